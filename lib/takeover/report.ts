import type { Address } from '../addresses'
import type { TakeoverRefusal } from '../errors'
import type { ExclusionReason } from '../exclusions'
import type { ProcessIdentity } from '../identity'
import type { PortOwners, PortSocket } from '../port-owners'
import type { TerminationReport } from '../terminate/report'
import type { Evidence, Verdict } from '../verdict'

/** Somebody who holds one of the ports. */
export interface OwnerVerdict {
  readonly identity: ProcessIdentity
  readonly name?: string
  readonly verdict: Verdict
  readonly evidence: readonly Evidence[]
  /** The rule that forbids to end it although it may be ours. */
  readonly excluded?: ExclusionReason
}

export interface PortTakeover {
  readonly address: Address
  /** The sockets and their owners before anything was done. */
  readonly before: PortOwners
  /** One entry for each owner that counts; none for a port that was free. */
  readonly verdicts: readonly OwnerVerdict[]
  /** Whether it could really be bound, at the end. */
  readonly free: boolean
  /** Who holds it at the end, where it is not free: `respawned` are holders that were not there before. */
  readonly after?: PortOwners
}

/**
 * `free`: nobody had to be ended. `taken-over`: our own holders were ended, and every address can be bound. `refused`: by
 * a rule, nobody was signalled. `alive`: somebody did not end (in a dry run: nobody was to). `occupied`: all ended, and
 * yet an address cannot be bound.
 */
export type TakeoverOutcome = 'free' | 'taken-over' | 'refused' | 'alive' | 'occupied'

/**
 * Why it is still occupied. `respawned`: another process took it, whom somebody started. `lingering`: nobody holds it,
 * but remains of connections do. `held`: those who held it before still do, or nobody who can be seen.
 */
export type OccupiedReason = 'respawned' | 'lingering' | 'held'

export interface TakeoverReport {
  readonly dryRun: boolean
  readonly outcome: TakeoverOutcome
  readonly reason?: TakeoverRefusal | OccupiedReason
  /** In the order of `ports`; empty when wanted addresses contradict each other, as nothing was looked at then. */
  readonly ports: readonly PortTakeover[]
  /** How the holders and their scope ended; absent when nobody had to. */
  readonly termination?: TerminationReport
  readonly durationMs: number
}

/** A wanted address, and all that is found out about it. */
export interface Port {
  readonly address: Address
  readonly before: PortOwners
  /** What keeps it from being free, as far as somebody holds it. */
  readonly held: readonly PortSocket[]
  free: boolean
  verdicts: readonly OwnerVerdict[]
  after?: PortOwners
}
