import type { Address } from '../addresses'
import { isPidproofError } from '../errors'
import { formatIdentity, type ProcessIdentity } from '../identity'
import type { PortOwners, PortSocket } from '../port-owners'
import { type ProcessInfo, readProcess } from '../process'
import { addressText } from './addresses'
import { age, counted, dateTime } from './format'
import { processCommand, processJson, processName } from './process-view'
import { truncate, visible } from './text'
import { ellipsis, type Ui } from './ui'

/**
 * What is the matter with a port. `held`: somebody listens. `bound`: somebody has it without listening. `connection`:
 * it is the local end of somebody's connection. `lingering`: a past connection still has it for a while.
 * `invisible`: the same as held, bound or connection, but by somebody whom this user cannot see.
 */
export type PortVerdict = 'free' | 'held' | 'bound' | 'connection' | 'lingering' | 'invisible'

/** The sockets of a port, and who their owners are. */
export interface PortAnswer {
  readonly address: Address
  readonly verdict: PortVerdict
  readonly owners: PortOwners
  /** By identity as a word. One that has ended since is missing. */
  readonly processes: ReadonlyMap<string, ProcessInfo>
}

/** Returns what is the matter with a port, after reading who its owners are. */
export async function examinePort(address: Address, owners: PortOwners): Promise<PortAnswer> {
  const identities = [...owners.listeners, ...owners.others].flatMap((socket) => socket.owners)
  const unique = new Map(identities.map((identity) => [formatIdentity(identity), identity]))
  const processes = new Map<string, ProcessInfo>()
  for (const [id, identity] of unique) {
    const process = await readOwner(identity)
    if (process) processes.set(id, process)
  }
  return { address, verdict: verdictOf(owners), owners, processes }
}

async function readOwner(identity: ProcessIdentity): Promise<ProcessInfo | undefined> {
  try {
    return await readProcess(identity, { fields: ['name', 'exe', 'argv', 'user', 'state', 'startedAt'] })
  } catch (error) {
    if (isPidproofError(error) && ['ESRCH', 'ERR_PROCESS_REPLACED', 'EACCES', 'EPERM'].includes(error.code))
      return undefined
    throw error
  }
}

function verdictOf({ listeners, others }: PortOwners): PortVerdict {
  const byRole = (role: PortSocket['role']) => others.filter((socket) => socket.role === role)
  const strongest = [listeners, byRole('bound'), byRole('connection')].find((sockets) => sockets.length > 0)
  if (strongest === undefined) return others.length > 0 ? 'lingering' : 'free'
  if (strongest.every((socket) => socket.owners.length === 0)) return 'invisible'
  if (strongest === listeners) return 'held'
  return strongest[0]?.role === 'bound' ? 'bound' : 'connection'
}

/** Returns a port's answer for JSON. */
export function portJson({ address, verdict, owners, processes }: PortAnswer): Record<string, unknown> {
  return { ...address, protocol: address.protocol ?? 'tcp', answer: verdict, ...ownersJson(owners, processes) }
}

/** Returns the sockets of a port for JSON, their owners with what is known of them. */
export function ownersJson(
  { listeners, others, ...owners }: PortOwners,
  processes: PortAnswer['processes'] = new Map(),
): Record<string, unknown> {
  const socket = (one: PortSocket) => ({
    ...one,
    owners: one.owners.map((identity) => {
      const id = formatIdentity(identity)
      const process = processes.get(id)
      return process ? processJson(process) : { pid: identity.pid, identity, id }
    }),
  })
  return { ...owners, listeners: listeners.map(socket), others: others.map(socket) }
}

/** Returns what is the matter with a port, in words: the answer first, then each owner. */
export function renderPort(answer: PortAnswer, ui: Ui): string {
  const { address, verdict, owners } = answer
  const { bold, green, red, yellow } = ui.colours
  const paint = verdict === 'free' ? green : verdict === 'lingering' ? yellow : red
  const head = `${bold(visible(addressText(address)))}  ${paint(headlines[verdict](owners))}`
  const notes = notesOf(answer).map((note) => `    ${ui.colours.dim(note)}`)
  return [head, ...ownerLines(answer, ui), ...notes].map((line) => `${line}\n`).join('')
}

const headlines: Readonly<Record<PortVerdict, (owners: PortOwners) => string>> = {
  free: () => 'free: no socket has it',
  held: ({ listeners }) => `held: ${counted(holdersOf(listeners).length, 'process listens', 'processes listen')}`,
  bound: () => 'held without listening: bound, so nobody else can have it',
  connection: () => 'not free: it is the local end of a connection',
  lingering: () => 'not held by anybody: a past connection still has it, and gives it back by itself',
  invisible: ({ listeners }) =>
    `held by somebody this user cannot see: a socket ${listeners.length > 0 ? 'listens' : 'has it'}, its process is hidden`,
}

interface Holder {
  readonly identity: ProcessIdentity
  readonly sockets: PortSocket[]
}

function holdersOf(sockets: readonly PortSocket[]): Holder[] {
  const holders = new Map<string, Holder>()
  for (const socket of sockets) {
    for (const identity of socket.owners) {
      const id = formatIdentity(identity)
      const holder = holders.get(id) ?? { identity, sockets: [] }
      holder.sockets.push(socket)
      holders.set(id, holder)
    }
  }
  return [...holders.values()]
}

/** The sockets worth a line each: connections accepted by a listener say nothing new. */
function telling({ verdict, owners }: PortAnswer): readonly PortSocket[] {
  if (owners.listeners.length === 0)
    return owners.others.filter(({ role }) => role !== 'lingering' || verdict === 'lingering')
  return [...owners.listeners, ...owners.others.filter(({ role }) => role === 'bound')]
}

function ownerLines(answer: PortAnswer, ui: Ui): string[] {
  const sockets = telling(answer)
  const owned = holdersOf(sockets).flatMap((holder) => holderLines(holder, answer.processes, ui))
  const ownerless = sockets
    .filter(({ owners }) => owners.length === 0)
    .map((socket) => `    ${socketText(socket)}${socket.uid === undefined ? '' : `, made by user id ${socket.uid}`}`)
  return [...owned, ...ownerless]
}

function holderLines({ identity, sockets }: Holder, processes: PortAnswer['processes'], ui: Ui): string[] {
  const { bold, cyan, dim } = ui.colours
  const id = formatIdentity(identity)
  const process = processes.get(id)
  const name = process ? bold(processName(process)) : dim('(has ended since, or cannot be read)')
  const line = (label: string, text: string) => {
    const room = ui.width === undefined ? text : truncate(text, Math.max(1, ui.width - 16), ellipsis(ui))
    return `      ${dim(label.padEnd(9))} ${room}`
  }
  const since = process?.startedAt
  return [
    `    ${cyan(String(identity.pid))} ${name}  ${sockets.map(socketText).join(' and ')}`,
    line('identity', id),
    ...(since
      ? [
          line(
            'since',
            `${dateTime(since)} (${age(since)} ago)${process.user ? `, user ${visible(process.user)}` : ''}`,
          ),
        ]
      : []),
    ...(process ? [line('command', processCommand(process))] : []),
  ]
}

function socketText(socket: PortSocket): string {
  const { role, protocol, state, localAddress, localPort, remoteAddress, remotePort } = socket
  const at = (host: string, port: number) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)
  const local = `${protocol} ${at(localAddress, localPort)}`
  switch (role) {
    case 'listener':
      return `listens on ${local}${localAddress === '::' && socket.v6Only === false ? ' (IPv4 too)' : ''}`
    case 'bound':
      return `has bound ${local} and does not listen`
    default:
      return `${state} ${local} to ${at(remoteAddress, remotePort)}`
  }
}

function notesOf(answer: PortAnswer): string[] {
  const { verdict, owners } = answer
  const notes: string[] = []
  const hidden = telling(answer).some((socket) => socket.owners.length === 0 && socket.inode !== '0')
  if (hidden && owners.visibility === 'partial') {
    notes.push('Its process belongs to another user: ask as that user or as root. This is not "free".')
  } else if (hidden) {
    notes.push("No process that can be seen from here has it: it is in another pid namespace, or the kernel's own.")
  } else if (owners.visibility === 'partial') {
    notes.push('Some processes could not be looked at; they may have the same socket open.')
  }
  const connections = owners.others.filter(({ role }) => role === 'connection').length
  if (verdict === 'held' && connections > 0) notes.push(counted(connections, 'connection', 'connections'))
  if (verdict === 'free' && !owners.boundVisible) {
    notes.push('A socket that is bound and does not listen cannot be seen on this system.')
  }
  return notes
}
