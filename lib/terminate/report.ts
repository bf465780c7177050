import type { ProcessIdentity } from '../identity'
import type { ProcessState } from '../process'
import type { SignalName } from '../signals'
import type { Evidence } from '../verdict'

/**
 * How it went with one process. `exited`: after the polite signal; `killed`: by SIGKILL; `already-gone`: before any
 * signal of ours, zombies included; `replaced`: its pid is somebody else's by now, who was left alone; `refused`: by a
 * rule, see the reason; `denied`: by the operating system; `alive`: it still runs.
 */
export type Outcome = 'exited' | 'killed' | 'already-gone' | 'replaced' | 'refused' | 'denied' | 'alive'

/** Why a process was refused, or is still alive. */
export type Reason =
  | 'self'
  | 'ancestor'
  | 'init'
  | 'kernel-thread'
  | 'other-user'
  | 'other-boot'
  | 'other-namespace'
  | 'too-young'
  | 'own-group'
  | 'unproven-group'
  | 'unknown-identity'
  | 'foreign'
  | 'unknown'
  | 'excepted'
  | 'all-or-nothing'
  | 'dry-run'
  | 'not-forced'
  | 'deadline'
  | 'unkillable'

export interface ProcessOutcome {
  readonly identity: ProcessIdentity
  readonly name?: string
  /** `target`: it was asked for, or matches the signature; `member`: it belongs to a target's group or tree. */
  readonly role: 'target' | 'member'
  readonly outcome: Outcome
  readonly reason?: Reason
  readonly evidence: readonly Evidence[]
  /** What reached it from us, in order. */
  readonly signals: readonly SignalName[]
  /** Milliseconds from the first signal to its exit, or to the end of the call; 0 where nothing was sent. */
  readonly ms: number
  /** Whether no signal of ours could have reached anybody else; null where none was sent. */
  readonly atomic: boolean | null
  /** How it ended; both null where the operating system does not tell. Absent while it lives. */
  readonly exit?: { readonly exitCode: number | null; readonly signal: SignalName | null }
  /** State of what is still alive, where it can be read. */
  readonly state?: ProcessState
}

export interface TerminationReport {
  readonly dryRun: boolean
  /**
   * Everything that was to end has ended: nothing is alive, refused or denied, and the scope is at rest. In a dry run:
   * nothing would be refused or denied. Processes that the call excludes by itself do not count against it: those of
   * `except`, and in a sweep the caller, its ancestors and what became another program meanwhile.
   */
  readonly ok: boolean
  /** One entry for each process that was considered, targets first. */
  readonly outcomes: readonly ProcessOutcome[]
  /** False: the last look at the scope still found new members, so there may be more. */
  readonly settled: boolean
  /** Looks at the scope. */
  readonly passes: number
  readonly durationMs: number
  /** Why the scope could not be looked at again after the first signal; what was known of it was ended all the same. */
  readonly failure?: { readonly code: string; readonly message: string }
}

/** What a call is doing: `asking` and `waiting` within the grace, then `forcing`; `done` comes once, at the end. */
export interface Progress {
  readonly phase: 'asking' | 'waiting' | 'forcing' | 'done'
  /** Of those that are to end. */
  readonly alive: number
  readonly total: number
  readonly elapsedMs: number
}
