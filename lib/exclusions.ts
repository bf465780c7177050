import { InternalError } from './errors'
import { compareIdentities, host, type ProcessIdentity } from './identity'
import type { NativeBinding, NativeHost } from './native'
import type { Field, ProcessInfo, Scan, ScanOptions } from './process'
import type { Steps } from './terminate/steps'
import type { Evidence } from './verdict'

/** Why a process must not be signalled, whoever asks. Only `other-user` can be lifted, by `users: 'any'`. */
export type ExclusionReason =
  | 'self'
  | 'ancestor'
  | 'init'
  | 'kernel-thread'
  | 'other-namespace'
  | 'other-user'
  | 'unknown'

export interface Exclusion {
  readonly reason: ExclusionReason
  readonly evidence: Evidence
}

/** Who is looking: what the exclusions are computed against, once a call, on identities and never on text. */
export interface Observer {
  readonly host: NativeHost
  readonly self: ProcessInfo
  /** Nearest first. */
  readonly ancestors: readonly ProcessInfo[]
  /** Whether `ancestors` goes up to the top; false where a parent is hidden from us. */
  readonly isWhole: boolean
}

/** What a row must have been read with to be checked. */
export const exclusionFields: readonly Field[] = ['uid', 'group', 'parent']

const mostGenerations = 256
const mostWalks = 4

type Look = (options: ScanOptions) => Steps<Scan>

/**
 * Reads the caller and its ancestors. A parent that dies during the walk hands its child to somebody further up, so the
 * walk is repeated until it reaches the top or stops twice at somebody who is hidden.
 */
export function* observe(binding: NativeBinding, look: Look): Steps<Observer> {
  const here = host(binding)
  let found: Observer | undefined
  for (let walk = 0; walk < mostWalks; walk += 1) {
    found = yield* walkUp(here, look)
    if (found.isWhole) break
  }
  if (found === undefined) throw new InternalError('no walk was made', { code: 'ERR_INTERNAL' })
  return found
}

function* walkUp(here: NativeHost, look: Look): Steps<Observer> {
  const self = yield* rowOf(here.pid, look)
  if (self === undefined) {
    throw new InternalError(`pid ${here.pid}: this process cannot see itself`, { code: 'ERR_INTERNAL', pid: here.pid })
  }
  const ancestors: ProcessInfo[] = []
  let child = self
  while (child.ppid !== 0 && ancestors.length < mostGenerations) {
    const parent = yield* rowOf(child.ppid, look)
    if (parent === undefined || isOlder(child.identity, parent.identity)) break
    ancestors.push(parent)
    child = parent
  }
  // init is excluded by its number, so it does not matter whether it can be seen.
  return { host: here, self, ancestors, isWhole: child.ppid <= 1 }
}

function* rowOf(pid: number, look: Look): Steps<ProcessInfo | undefined> {
  const { processes } = yield* look({ fields: exclusionFields, where: { pid } })
  return processes[0]
}

function isOlder(one: ProcessIdentity, other: ProcessIdentity): boolean {
  return BigInt(one.startToken) < BigInt(other.startToken)
}

/** The rule that forbids to signal this process, if there is one. The row must have {@link exclusionFields}. */
export function exclusionOf(
  row: ProcessInfo,
  observer: Observer,
  { users, isNested }: { readonly users: 'self' | 'any'; readonly isNested: boolean },
): Exclusion | undefined {
  return (
    excludedByKinship(row, observer) ??
    excludedByKind(row, isNested) ??
    (users === 'self' ? excludedByUser(row, observer) : undefined)
  )
}

function excludedByKinship(row: ProcessInfo, observer: Observer): Exclusion | undefined {
  const { self, ancestors, isWhole } = observer
  const is = (other: ProcessInfo) => compareIdentities(row.identity, other.identity) !== 'different'
  if (row.pid === observer.host.pid || is(self)) return exclude('self', 'self', 'not the caller', `pid ${row.pid}`)
  if (ancestors.some(is)) return exclude('ancestor', 'ancestor', 'no ancestor of the caller', `pid ${row.pid}`)
  // Above a hidden parent may be others that are ours; the leaders of our session and group are such, as a rule.
  if (!isWhole && (row.pid === self.sid || row.pid === self.pgid)) {
    return exclude('ancestor', 'ancestor', 'no leader of the session of the caller', `pid ${row.pid}`)
  }
  return undefined
}

function excludedByKind(row: ProcessInfo, isNested: boolean): Exclusion | undefined {
  if (row.pid <= 1) return exclude('init', 'pid', 'above 1', String(row.pid))
  if (row.isKernelThread) return exclude('kernel-thread', 'kind', 'a process', 'a kernel thread')
  if (isNested) return exclude('other-namespace', 'namespace', 'that of the caller', 'one below it')
  return undefined
}

/** Both users must be ours: a set-id program is somebody else's as well. */
function excludedByUser({ uid, euid, unreadable }: ProcessInfo, { host: here }: Observer): Exclusion | undefined {
  const expected = here.uid === here.euid ? String(here.uid) : `${here.uid}, effective ${here.euid}`
  if (uid === undefined || euid === undefined) {
    const reason = unreadable.uid
    const evidence: Evidence = { part: 'user', expected, holds: 'unknown', ...(reason && { reason }) }
    return { reason: 'unknown', evidence }
  }
  if (uid === here.uid && euid === here.euid) return undefined
  return exclude('other-user', 'user', expected, uid === euid ? String(uid) : `${uid}, effective ${euid}`)
}

function exclude(reason: ExclusionReason, part: string, expected: string, found: string): Exclusion {
  return { reason, evidence: { part, expected, found, holds: false } }
}

/** Whether that number names the group of the caller or of an ancestor: nothing may be pulled in through it. */
export function protectedGroup(pgid: number, { self, ancestors }: Observer): 'own-group' | 'ancestor' | undefined {
  if (pgid === self.pgid) return 'own-group'
  return ancestors.some((ancestor) => ancestor.pgid === pgid) ? 'ancestor' : undefined
}

/** {@link protectedGroup} for sessions. */
export function isProtectedSession(sid: number, { self, ancestors }: Observer): boolean {
  return self.sid === sid || ancestors.some((ancestor) => ancestor.sid === sid)
}
