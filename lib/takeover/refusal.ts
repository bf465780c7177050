import { type Address, bindConflict, resolveAddress } from '../addresses'
import type { TakeoverRefusal } from '../errors'
import { compareIdentities, type ProcessIdentity } from '../identity'
import type { PortOwners } from '../port-owners'
import type { TerminationReport } from '../terminate/report'
import type { OccupiedReason, OwnerVerdict, Port } from './report'

/** Two wanted addresses that can never both be bound, in words. Names count with all addresses they may mean. */
export async function conflictAmong(addresses: readonly Address[]): Promise<string | undefined> {
  const resolved = await Promise.all(addresses.map((address) => resolveAddress(address)))
  for (const [index, ones] of resolved.entries()) {
    for (const [before, others] of resolved.slice(0, index).entries()) {
      if (!ones.some((one) => others.some((other) => bindConflict(one, other)))) continue
      return `${shown(addresses[before])} and ${shown(addresses[index])} can never both be bound`
    }
  }
  return undefined
}

function shown(address: Address | undefined): string {
  if (address === undefined) return ''
  const { port, host, protocol = 'tcp' } = address
  return `${protocol} ${host === undefined ? 'port' : host} ${port}`
}

const refusals: readonly TakeoverRefusal[] = ['foreign-owner', 'unknown-owner', 'invisible-owner', 'excluded-owner']

export function refusalOf(occupied: readonly Port[]): TakeoverRefusal | undefined {
  return firstOf(refusals, occupied.flatMap(refusalsOf))
}

function refusalsOf({ held, before, verdicts }: Port): TakeoverRefusal[] {
  const found = verdicts.flatMap((owner) => refusalFor(owner) ?? [])
  // Occupied, and nobody to be seen: not even remains of a connection, which would go away by themselves.
  const isUnexplained = held.length === 0 && before.others.length === 0
  if (isUnexplained || held.some(({ owners }) => owners.length === 0)) found.push('invisible-owner')
  return found
}

function refusalFor({ verdict, excluded }: OwnerVerdict): TakeoverRefusal | undefined {
  if (verdict === 'foreign') return 'foreign-owner'
  if (verdict === 'unknown') return 'unknown-owner'
  return excluded === undefined ? undefined : 'excluded-owner'
}

export function describeRefusal(reason: TakeoverRefusal, occupied: readonly Port[]): string {
  const port = occupied.find((one) => refusalsOf(one).includes(reason))
  const where = shown(port?.address)
  const owner = port?.verdicts.find((one) => refusalFor(one) === reason)
  const who = `pid ${owner?.identity.pid}${owner?.name === undefined ? '' : ` (${owner.name})`}`
  switch (reason) {
    case 'foreign-owner':
      return `${where} is held by ${who}, which is not ours`
    case 'unknown-owner':
      return `${where} is held by ${who}, of which it cannot be told whether it is ours`
    case 'excluded-owner':
      return `${where} is held by ${who}, which may not be ended: ${owner?.excluded}`
    default:
      return `${where} is held by somebody who cannot be seen`
  }
}

/** What the ending itself refused, after it had pinned everybody. */
export function refusalAmong({ outcomes }: TerminationReport): TakeoverRefusal | undefined {
  const found = outcomes.flatMap(({ outcome, reason }): TakeoverRefusal[] => {
    if (outcome === 'denied') return ['excluded-owner']
    if (outcome !== 'refused' || reason === 'all-or-nothing') return []
    if (reason === 'foreign') return ['foreign-owner']
    return [reason === 'unknown' || reason === 'unknown-identity' ? 'unknown-owner' : 'excluded-owner']
  })
  return firstOf(refusals, found)
}

export function whyOccupied({ before }: Port, after: PortOwners): OccupiedReason {
  const known = ownersOf(before)
  const holders = ownersOf(after)
  if (holders.some((holder) => find(known, holder) === undefined)) return 'respawned'
  const sockets = [...after.listeners, ...after.others]
  return sockets.length > 0 && sockets.every(({ inode }) => inode === '0') ? 'lingering' : 'held'
}

function ownersOf({ listeners, others }: PortOwners): ProcessIdentity[] {
  return [...listeners, ...others].flatMap(({ owners }) => owners)
}

export function distinct(identities: readonly ProcessIdentity[]): ProcessIdentity[] {
  return identities.filter((identity, index) => find(identities, identity) === identities[index])
}

export function find(identities: readonly ProcessIdentity[], wanted: ProcessIdentity): ProcessIdentity | undefined {
  return identities.find((identity) => compareIdentities(identity, wanted) !== 'different')
}

export function firstOf<T>(order: readonly T[], found: readonly (T | undefined)[]): T | undefined {
  return order.find((one) => found.includes(one))
}
