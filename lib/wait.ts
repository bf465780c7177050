import { performance } from 'node:perf_hooks'
import { NotSupportedError, TimedOutError } from './errors'
import { checkIdentity, host, type ProcessIdentity, placeOf } from './identity'
import { type NativeBinding, type NativeHost, native } from './native'
import { checkAbortSignal, checkBoolean, checkKeys, checkOptionalMs, throwIfAborted } from './options'
import { type ExitResult, type WaitLimits, waitForPins } from './pin-wait'
import { closePinned, openPins, type Pinned, type PinOutcome } from './pins'

export type { ExitResult } from './pin-wait'

export interface WaitOptions {
  /** Milliseconds from now, for all processes together; 0 only looks. Default: no limit. */
  readonly timeoutMs?: number | undefined
  /** Ends the wait with a rejection by its reason. */
  readonly signal?: AbortSignal | undefined
  /** Whether the pending wait keeps Node running. Default: it does not, but a `timeoutMs` does until then. */
  readonly keepAlive?: boolean | undefined
}

/**
 * Waits until a process, or every one of several, has exited, and tells how. A zombie has exited; a process that is
 * gone, was replaced, or belongs to an earlier boot exited before. Nothing is polled, reaped or signalled.
 *
 * @param binding - For tests: what to wait through.
 * @returns One result, or one per identity in the same order. The status is known for children and for what we may
 *   look at while it is a zombie; for every process since Linux 6.15.
 * @throws {TimedOutError} `ETIMEDOUT`: `survivors` are the pids that were still alive then.
 * @throws {NotSupportedError} `ENOTSUP`: an identity of another pid namespace, or one of which it cannot be told
 *   whether it still is that process.
 * @throws {OsError} `EMFILE` and the like: the wait failed, which says nothing about the processes.
 * @remarks Source — linux: epoll on pidfds, PIDFD_GET_INFO, field 52 of /proc/<pid>/stat; before 5.3 a look at
 *   /proc/<pid> every 5 to 100 ms.
 */
export function waitForExit(
  identity: ProcessIdentity,
  options?: WaitOptions,
  binding?: NativeBinding,
): Promise<ExitResult>
export function waitForExit(
  identities: readonly ProcessIdentity[],
  options?: WaitOptions,
  binding?: NativeBinding,
): Promise<ExitResult[]>
export async function waitForExit(
  targets: ProcessIdentity | readonly ProcessIdentity[],
  options: WaitOptions = {},
  binding: NativeBinding = native(),
): Promise<ExitResult | ExitResult[]> {
  const identities = isList(targets)
    ? Array.from(targets, (target, index) => checkIdentity(`identities[${index}]`, target))
    : [checkIdentity('identity', targets)]
  const results = await waitForAll(identities, checkWaitOptions(options), binding)
  return isList(targets) ? results : (results[0] ?? gone)
}

const gone: ExitResult = { exitCode: null, signal: null, alreadyGone: true }

function isList<T extends object>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value)
}

async function waitForAll(
  identities: readonly ProcessIdentity[],
  limits: WaitLimits,
  binding: NativeBinding,
): Promise<ExitResult[]> {
  throwIfAborted(limits.signal)
  const here = host(binding)
  const local = identities.filter((identity) => !isOfOtherBoot(identity, here))
  for (const identity of local) refuseElsewhere(identity, here)
  const outcomes = await openPins(local, binding)
  try {
    const pinned = outcomes.flatMap((outcome) => toWaitFor(outcome))
    const waited = await waitForPins(pinned, limits, binding)
    const exits = new Map(pinned.map(({ identity }, index) => [identity, waited[index]]))
    const survivors = pinned.filter(({ identity }) => exits.get(identity) === undefined)
    if (survivors.length > 0) throw stillAlive(survivors)
    return identities.map((identity) => exits.get(identity) ?? { ...gone })
  } finally {
    closePinned(outcomes, binding)
  }
}

/** Boot ids differ from machine to machine and from boot to boot: what such an identity names is over. */
function isOfOtherBoot(identity: ProcessIdentity, here: NativeHost): boolean {
  return identity.boot !== '' && here.boot !== '' && identity.boot !== here.boot
}

function refuseElsewhere(identity: ProcessIdentity, here: NativeHost): void {
  const place = placeOf(identity, here)
  if (place === 'here') return
  const why = place === 'elsewhere' ? 'belongs to another pid namespace' : 'is of an unknown boot or pid namespace'
  throw new NotSupportedError(`pid ${identity.pid} ${why}: it cannot be waited for`, {
    code: 'ENOTSUP',
    pid: identity.pid,
  })
}

function toWaitFor(outcome: PinOutcome): readonly Pinned[] {
  const { identity, status } = outcome
  if (status === 'pinned') return [{ identity, pin: outcome.pin }]
  if (status === 'failed') throw outcome.error
  if (status === 'gone' || status === 'replaced') return []
  throw new NotSupportedError(`pid ${identity.pid}: it cannot be told whether it still is that process`, {
    code: 'ENOTSUP',
    pid: identity.pid,
  })
}

// ---- for the other files of this library

export function checkWaitOptions(options: unknown): WaitLimits {
  const { timeoutMs, signal, keepAlive } = checkKeys('options', options, ['timeoutMs', 'signal', 'keepAlive'], '')
  const limitMs = checkOptionalMs('timeoutMs', timeoutMs)
  return {
    deadline: limitMs === undefined ? undefined : performance.now() + limitMs,
    signal: checkAbortSignal('signal', signal),
    keepAlive: keepAlive === undefined ? false : checkBoolean('keepAlive', keepAlive),
  }
}

/** The error of a wait that came to its deadline with somebody alive. */
export function stillAlive(survivors: readonly Pinned[]): TimedOutError {
  const pids = survivors.map(({ identity }) => identity.pid)
  const shown = pids.length > 10 ? `${pids.slice(0, 10).join(', ')}, …` : pids.join(', ')
  const who = pids.length === 1 ? `pid ${shown} was` : `${pids.length} processes were`
  return new TimedOutError(`${who} still alive when the time was over${pids.length === 1 ? '' : `: ${shown}`}`, pids)
}
