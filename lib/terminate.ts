import { invalidType } from './errors'
import type { ProcessIdentity } from './identity'
import { checkIdentity } from './identity'
import { type NativeBinding, native } from './native'
import type { ProcessInfo } from './process'
import { ProcessRef, pinOf } from './ref'
import type { TargetSource, Wanted } from './terminate/context'
import { endAsync, endSync } from './terminate/ending'
import { checkEnding, checkSyncEnding, type TerminateOptions, type TerminateSyncOptions } from './terminate/options'
import type { TerminationReport } from './terminate/report'

export type { Scope, TerminateOptions, TerminateSyncOptions } from './terminate/options'
export type { Outcome, ProcessOutcome, Progress, Reason, TerminationReport } from './terminate/report'

/** Whom to end. A bare pid is not enough: it says who has the number now, not who was meant. */
export type TerminationTarget = ProcessIdentity | ProcessInfo | ProcessRef

/**
 * Ends processes, and what belongs to them, and nobody else.
 *
 * All of the scope is found and pinned before the first signal; who is pinned is who was named, or nobody. Then they are
 * asked (the polite signal and SIGCONT), awaited, and after `graceMs` killed: one deadline for all of them. A scope that
 * can grow is looked at again while they go, after exits and ever more rarely in between, until nobody new turns up; one
 * that keeps growing is frozen first. So forking, stopping, re-parenting and outliving a leader do not help. One gap is
 * left by asking politely: what a member of a tree forks in the very instant it dies, and puts into a session of its own,
 * has nothing to be found by any more; `graceMs: 0` leaves none, nor does a marker (`sweep`).
 *
 * Never signalled, in any scope: the caller, its ancestors, pid 1, kernel threads, processes of other boots and pid
 * namespaces, and those of other users unless `users` says otherwise.
 *
 * @param targets - One or several. A `ProcessRef` keeps its pin through the leader's death, which proves its group.
 * @param options.scope - `process`: the targets. `group`: also the process groups they are in; refused as `own-group` or
 *   `ancestor` where that is the caller's or an ancestor's. `tree`: also all that descends from them, groups and sessions
 *   led by them included. A target that is refused brings nobody in.
 * @param binding - For tests: what to read and act through.
 * @returns What became of each process considered. Not ending somebody is a result and no error.
 * @throws {TypeError | RangeError} `ERR_INVALID_ARG`: a bad argument, before anything is read.
 * @throws {OsError} `EMFILE` and the like before the first signal; afterwards it is `failure` in the report.
 * @throws `abort.reason`, before anything is read or in the middle; nothing stays frozen then.
 * @remarks Source — linux: pidfd_open, pidfd_send_signal, epoll; see `scan`, and for groups PIDFD_SIGNAL_PROCESS_GROUP.
 */
export async function terminate(
  targets: TerminationTarget | readonly TerminationTarget[],
  options: TerminateOptions = {},
  binding: NativeBinding = native(),
): Promise<TerminationReport> {
  const plan = checkEnding(options)
  return endAsync(givenTargets(targets), plan, binding)
}

/**
 * {@link terminate} for exit handlers: blocks for `budgetMs` at most (and some more only to see the killed go), with the
 * same rules, scopes and report. What is alive when the budget is used up is killed and, if need be, reported `alive`.
 */
export function terminateSync(
  targets: TerminationTarget | readonly TerminationTarget[],
  options: TerminateSyncOptions = {},
  binding: NativeBinding = native(),
): TerminationReport {
  const plan = checkSyncEnding(options)
  return endSync(givenTargets(targets), plan, binding)
}

function givenTargets(targets: unknown): TargetSource {
  const list: readonly unknown[] = Array.isArray(targets) ? targets : [targets]
  const name = (index: number) => (Array.isArray(targets) ? `targets[${index}]` : 'targets')
  const given = list.map((target, index) => checkTarget(name(index), target))
  return { given, fields: [], exceptFields: [], spares: new Set() }
}

function checkTarget(option: string, target: unknown): Wanted {
  if (target instanceof ProcessRef) return { identity: target.identity, pin: pinOf(target) }
  if (typeof target === 'number') {
    throw invalidType(option, target, 'an identity: a pid may be reused at any time, so call identify(pid) first')
  }
  if (typeof target !== 'object' || target === null || Array.isArray(target)) {
    throw invalidType(option, target, 'a ProcessIdentity, a ProcessInfo or a ProcessRef')
  }
  if ('identity' in target) return { identity: checkIdentity(`${option}.identity`, target.identity) }
  return { identity: checkIdentity(option, target) }
}
