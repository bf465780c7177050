import { performance } from 'node:perf_hooks'
import { compareIdentities, type ProcessIdentity } from '../identity'
import { livenessNames, type NativeBinding, type NativePin } from '../native'
import type { ProcessInfo, ProcessState } from '../process'
import type { SignalName } from '../signals'
import type { Evidence } from '../verdict'
import type { Outcome, ProcessOutcome, Reason, TerminationReport } from './report'

export interface Exit {
  readonly exitCode: number | null
  readonly signal: SignalName | null
}

/** One process that is considered, from the first look to the report. */
export class Member {
  identity: ProcessIdentity
  readonly role: 'target' | 'member'
  /** As it was when it was taken in; absent where it could not be read. */
  row: ProcessInfo | undefined
  /** Its process group when it was first seen. */
  pgid: number | undefined
  pin: NativePin | undefined
  /** The pin is somebody else's to close. */
  isBorrowed = false
  /** What descends from it, or belongs to a group or session that it leads, belongs to the scope. */
  isNode = false
  /** Refused, but as a matter of course: does not count against the success of the call. */
  isSpared = false
  /** Every rule has been asked about it already. */
  mayBeFrozen = false
  isFrozen = false
  isDoubtful = false
  outcome: Outcome | undefined
  reason: Reason | undefined
  state: ProcessState | undefined
  exit: Exit | undefined
  readonly evidence: Evidence[]
  readonly signals: SignalName[] = []
  #atomic: boolean | null = null
  #firstSignalAt: number | undefined
  #settledAt: number | undefined

  constructor(identity: ProcessIdentity, role: 'target' | 'member', evidence: readonly Evidence[] = []) {
    this.identity = identity
    this.role = role
    this.evidence = [...evidence]
  }

  /** It is to be ended and has not been seen to end. */
  get isOpen(): boolean {
    return this.outcome === undefined
  }

  get wasKilled(): boolean {
    return this.signals.includes('SIGKILL')
  }

  settle(outcome: Outcome, reason?: Reason, evidence: readonly Evidence[] = []): this {
    this.outcome = outcome
    this.reason = reason
    this.evidence.push(...evidence)
    this.#settledAt = performance.now()
    return this
  }

  /**
   * A signal of ours, sent at that time, reached it. Its exit may have been told before the answer to the signal was, so
   * how it ended is decided anew.
   */
  reached(signal: SignalName, atomic: boolean, at: number): void {
    this.signals.push(signal)
    this.#atomic = atomic && this.#atomic !== false
    this.#firstSignalAt ??= at
    if (this.exit !== undefined) this.outcome = this.#outcomeOf(this.exit)
  }

  /** It has exited; whether by our doing shows in what it was sent and, where known, in how it ended. */
  exited(exit: Exit): void {
    if (!this.isOpen) return
    this.exit = exit
    this.settle(this.#outcomeOf(exit))
  }

  #outcomeOf(exit: Exit): Outcome {
    if (this.signals.length === 0) return 'already-gone'
    return this.wasKilled && !endedOtherwise(exit) ? 'killed' : 'exited'
  }

  report(): ProcessOutcome {
    const name = this.row?.name
    return {
      identity: this.identity,
      ...(name !== undefined && { name }),
      role: this.role,
      outcome: this.outcome ?? 'alive',
      ...(this.reason && { reason: this.reason }),
      evidence: this.evidence,
      signals: this.signals,
      ms: this.#firstSignalAt === undefined ? 0 : (this.#settledAt ?? performance.now()) - this.#firstSignalAt,
      atomic: this.#atomic,
      ...(this.exit && { exit: this.exit }),
      ...(this.outcome === 'alive' && this.state && { state: this.state }),
    }
  }
}

function endedOtherwise({ exitCode, signal }: Exit): boolean {
  return exitCode !== null || (signal !== null && signal !== 'SIGKILL')
}

/** All that one call considers. Members stay in it whatever becomes of them, and so do their pins. */
export class Batch {
  readonly members: Member[] = []
  readonly startedAt = performance.now()
  /** Looks at the scope so far, how many of them brought in somebody alive, and how many last ones found nothing new. */
  passes = 0
  growingPasses = 0
  quietPasses = 0
  /** From the first signal that may be sent on. */
  isActing = false
  hasSignalled = false
  /** Groups in which members were gone before they could be pinned, and groups that are not empty for no known reason. */
  readonly vanishedGroups = new Set<number>()
  readonly huntedGroups = new Set<number>()
  failure: unknown
  readonly #binding: NativeBinding
  readonly #byPid = new Map<number, Member[]>()

  constructor(binding: NativeBinding) {
    this.#binding = binding
  }

  add(member: Member): Member {
    this.members.push(member)
    const namesakes = this.#byPid.get(member.identity.pid)
    if (namesakes === undefined) this.#byPid.set(member.identity.pid, [member])
    else namesakes.push(member)
    return member
  }

  /** Takes it out again, as if it had never been considered. */
  drop(member: Member): void {
    if (member.pin !== undefined && !member.isBorrowed) this.#binding.closePins([member.pin])
    this.members.splice(this.members.indexOf(member), 1)
    const namesakes = this.withPid(member.identity.pid).filter((other) => other !== member)
    this.#byPid.set(member.identity.pid, namesakes)
  }

  /** Those who could not be judged and have exited since, as most of them were about to when they were read. */
  settleEndedDoubts(): void {
    for (const member of this.members.filter(({ reason }) => reason === 'unknown')) {
      if (!this.hasExited(member)) continue
      if (member.isDoubtful) this.drop(member)
      else member.settle('already-gone')
    }
  }

  find(identity: ProcessIdentity): Member | undefined {
    return this.withPid(identity.pid).find((member) => compareIdentities(member.identity, identity) !== 'different')
  }

  /** More than one where the number was reused while we looked. */
  withPid(pid: number): readonly Member[] {
    return this.#byPid.get(pid) ?? []
  }

  open(): Member[] {
    return this.members.filter((member) => member.isOpen)
  }

  /** Whether somebody is still to be ended, and can be. */
  get isBusy(): boolean {
    return this.members.some(({ isOpen, pin }) => isOpen && pin !== undefined)
  }

  /** Whether the number of a pinned process is still its own: it runs, or waits as a zombie to be collected. */
  holdsNumber(member: Member): boolean {
    if (member.pin === undefined) return false
    const state = this.#binding.pinState(member.pin)
    if (!state.ok) return false
    const liveness = livenessNames[state.value]
    return liveness === 'running' || liveness === 'zombie'
  }

  /** Whether a pinned process has exited, as far as its pin tells. */
  hasExited(member: Member): boolean {
    if (member.pin === undefined) return false
    const state = this.#binding.pinState(member.pin)
    if (!state.ok) return false
    const liveness = livenessNames[state.value]
    return liveness === 'zombie' || liveness === 'gone'
  }

  closePins(): void {
    const own = this.members.filter((member) => !member.isBorrowed)
    const pins = own.flatMap(({ pin }) => (pin === undefined ? [] : [pin]))
    for (const member of own) member.pin = undefined
    if (pins.length > 0) this.#binding.closePins(pins)
  }

  report(dryRun: boolean, isSettled: boolean): TerminationReport {
    const failure = this.failure as { code?: unknown; message?: unknown } | undefined
    return {
      dryRun,
      ok: isSettled && failure === undefined && this.members.every((member) => isWell(member)),
      outcomes: [...this.members].sort(byRole).map((member) => member.report()),
      settled: isSettled,
      passes: this.passes,
      durationMs: performance.now() - this.startedAt,
      ...(failure && { failure: { code: String(failure.code), message: String(failure.message) } }),
    }
  }
}

function isWell({ outcome, reason, isSpared }: Member): boolean {
  if (outcome === 'alive') return reason === 'dry-run'
  return isSpared || (outcome !== 'refused' && outcome !== 'denied')
}

function byRole(a: Member, b: Member): number {
  return Number(a.role === 'member') - Number(b.role === 'member')
}

/** Parents before children: nobody is older than who forked it. */
export function byAge({ identity: a }: Member, { identity: b }: Member): number {
  // Decimal numbers without leading zeros: a longer one is greater.
  if (a.startToken.length !== b.startToken.length) return a.startToken.length - b.startToken.length
  if (a.startToken !== b.startToken) return a.startToken < b.startToken ? -1 : 1
  return a.pid - b.pid
}
