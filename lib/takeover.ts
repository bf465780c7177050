import { performance } from 'node:perf_hooks'
import { type Address, checkAddress } from './addresses'
import { invalidType, isPidproofError, type TakeoverRefusal, TakeoverRefusedError } from './errors'
import { type ExclusionReason, exclusionOf } from './exclusions'
import { compareIdentities, type ProcessIdentity, verify } from './identity'
import { type NativeBinding, native } from './native'
import { checkKeys, checkMs, throwIfAborted } from './options'
import { waitForPortFree } from './port-free'
import { portOwners } from './port-owners'
import type { ProcessInfo } from './process'
import { checkSignature, fieldsOf, type Signature, type SignatureParts } from './signature'
import {
  conflictAmong,
  describeRefusal,
  distinct,
  find,
  firstOf,
  refusalAmong,
  refusalOf,
  whyOccupied,
} from './takeover/refusal'
import type { OccupiedReason, OwnerVerdict, Port, TakeoverOutcome, TakeoverReport } from './takeover/report'
import { joinFields, Lineage, memberFields, type TargetSource } from './terminate/context'
import { endAsync } from './terminate/ending'
import { type EndingPlan, endingKeys, planEnding, type TerminateOptions } from './terminate/options'
import { Os } from './terminate/os'
import type { TerminationReport } from './terminate/report'
import { runAsync, type Steps } from './terminate/steps'
import { type Evidence, judgeBy } from './verdict'

export type { OccupiedReason, OwnerVerdict, PortTakeover, TakeoverOutcome, TakeoverReport } from './takeover/report'

export interface TakeoverOptions extends TerminateOptions {
  /** What is to be free: ports, each on all addresses of both families, or addresses. */
  readonly ports: number | Address | readonly (number | Address)[]
  /** What makes a holder ours; {@link SignatureParts} are checked as `signature()` does. */
  readonly ours: Signature | SignatureParts
  /** Milliseconds from the last exit until every address can be bound, for all of them together. Default 5000. */
  readonly portWaitMs?: number | undefined
}

/** Between two tries to see whether somebody else has taken the port. */
const tryMs = 200

/**
 * Gets ports back from our own stale instance: all of them or none.
 *
 * Every port is inspected before anybody is signalled. A holder that is not ours, cannot be judged or cannot be seen, or
 * may not be ended by the rules of {@link terminate}, ends it there; so do two wanted addresses that can never both be
 * bound. Otherwise all holders and their scope are ended in one batch, and it waits until each address can really be
 * bound. A port that only remains of connections keep busy is waited for. A restarted holder is reported, not fought.
 *
 * @param options.scope - Default `tree`. `allOrNothing` is true by default: a descendant that may not be ended refuses.
 * @param binding - For tests: what to read and act through; likewise `waitFree`, which tries to bind.
 * @throws {TakeoverRefusedError} `ERR_TAKEOVER_REFUSED`, with `reason` and `report`; nobody was signalled. A dry run
 *   returns the report instead, with outcome `refused`.
 * @throws {OsError} With the code of bind(): `EACCES` for a privileged port, `EADDRNOTAVAIL` for a host that is not of
 *   this machine, before anybody is signalled; and the errors of {@link terminate}, `portOwners` and `waitForPortFree`.
 * @remarks Source — as `portOwners`, `terminate` and `waitForPortFree`. A name counts with all addresses it has here.
 */
export async function takeOverPorts(
  options: TakeoverOptions,
  binding: NativeBinding = native(),
  waitFree: typeof waitForPortFree = waitForPortFree,
): Promise<TakeoverReport> {
  const given = checkKeys('options', options, ['ports', 'ours', 'portWaitMs', ...endingKeys], '')
  const plan = planEnding(given, { scope: 'tree', allOrNothing: true })
  const portWaitMs = given.portWaitMs === undefined ? 5000 : checkMs('portWaitMs', given.portWaitMs)
  const addresses = checkPorts(given.ports)
  const ours = checkSignature('ours', given.ours)
  throwIfAborted(plan.abort)
  return new Takeover(addresses, ours, plan, portWaitMs, binding, waitFree).run()
}

function checkPorts(value: unknown): readonly Address[] {
  if (!Array.isArray(value)) return [checkAddress('ports', value)]
  if (value.length === 0) throw invalidType('ports', value, 'at least one port')
  return value.map((port: unknown, index) => checkAddress(`ports[${index}]`, port))
}

class Takeover {
  readonly #addresses: readonly Address[]
  readonly #ours: Signature
  readonly #plan: EndingPlan
  readonly #portWaitMs: number
  readonly #binding: NativeBinding
  readonly #waitFree: typeof waitForPortFree
  readonly #startedAt = performance.now()
  #ports: readonly Port[] = []
  #termination: TerminationReport | undefined

  constructor(
    addresses: readonly Address[],
    ours: Signature,
    plan: EndingPlan,
    portWaitMs: number,
    binding: NativeBinding,
    waitFree: typeof waitForPortFree,
  ) {
    this.#addresses = addresses
    this.#ours = ours
    this.#plan = plan
    this.#portWaitMs = portWaitMs
    this.#binding = binding
    this.#waitFree = waitFree
  }

  async run(): Promise<TakeoverReport> {
    const conflict = await conflictAmong(this.#addresses)
    if (conflict !== undefined) return this.#refuse('conflicting-addresses', conflict)
    this.#ports = await Promise.all(this.#addresses.map((address) => this.#inspect(address)))
    const occupied = this.#ports.filter(({ free }) => !free)
    if (occupied.length === 0) return this.#report('free')
    await this.#judge(occupied)
    const refusal = refusalOf(occupied)
    if (refusal !== undefined) return this.#refuse(refusal, describeRefusal(refusal, occupied))
    return this.#end(occupied)
  }

  async #inspect(address: Address): Promise<Port> {
    const { abort: signal } = this.#plan
    const before = await portOwners(address, { signal }, this.#binding)
    const held = [...before.listeners, ...before.others].filter(({ inode }) => inode !== '0')
    const canBeBound = await this.#tryBind(address, 0)
    // A listener that the kernel would tolerate beside us still takes connections that are meant for us.
    const free = canBeBound && !held.some(({ role }) => role === 'listener' || role === 'bound')
    return { address, before, held, free, verdicts: [] }
  }

  /** Whether it can be bound before the time is over. What else bind() says is an error. */
  async #tryBind(address: Address, timeoutMs: number): Promise<boolean> {
    try {
      await this.#waitFree(address, { timeoutMs, signal: this.#plan.abort })
      return true
    } catch (error) {
      if (isPidproofError(error) && error.code === 'ETIMEDOUT') return false
      throw error
    }
  }

  async #judge(occupied: readonly Port[]): Promise<void> {
    const owners = distinct(occupied.flatMap(({ held }) => held.flatMap((socket) => socket.owners)))
    const verdicts = await runAsync(this.#verdicts(owners), this.#plan.abort)
    const known = new Map(owners.map((owner, index) => [owner, verdicts[index]]))
    for (const port of occupied) {
      const own = distinct(port.held.flatMap((socket) => socket.owners))
      const judged = own.map((owner) => known.get(find(owners, owner) ?? owner) ?? this.#unread(owner))
      port.verdicts = (await Promise.all(judged)).filter((verdict) => verdict !== undefined)
    }
  }

  *#verdicts(owners: readonly ProcessIdentity[]): Steps<(OwnerVerdict | undefined)[]> {
    if (owners.length === 0) return []
    const os = new Os(this.#binding)
    const observer = yield* new Lineage(os).read()
    const fields = joinFields(memberFields, fieldsOf(this.#ours))
    const where = { pid: owners.map(({ pid }) => pid) }
    const { processes, nested } = yield* os.scan({ fields, where, nested: true })
    const rows = new Map(processes.map((row) => [row.pid, row]))
    return owners.map((identity) => {
      const row = rows.get(identity.pid)
      if (row === undefined || compareIdentities(row.identity, identity) !== 'same') return undefined
      const excluded = exclusionOf(row, observer, { users: this.#plan.users, isNested: nested.has(row.pid) })
      return this.#verdict(row, excluded?.reason)
    })
  }

  #verdict(row: ProcessInfo, excluded: ExclusionReason | undefined): OwnerVerdict {
    const { identity, name } = row
    const { verdict, evidence } = judgeBy(row, this.#ours)
    return { identity, ...(name !== undefined && { name }), verdict, evidence, ...(excluded && { excluded }) }
  }

  /** An owner without a row: one that has ended holds nothing any more; one that has not is hidden from us. */
  async #unread(identity: ProcessIdentity): Promise<OwnerVerdict | undefined> {
    const state = await verify(identity, this.#binding)
    if (state === 'gone' || state === 'replaced' || state === 'zombie') return undefined
    const evidence: Evidence = { part: 'process', expected: 'to be seen', found: state, holds: 'unknown' }
    return { identity, verdict: 'unknown', evidence: [evidence] }
  }

  async #end(occupied: readonly Port[]): Promise<TakeoverReport> {
    const targets = distinct(occupied.flatMap(({ verdicts }) => verdicts.map(({ identity }) => identity)))
    if (targets.length > 0) {
      const termination = await endAsync(this.#source(targets), this.#plan, this.#binding)
      this.#termination = termination
      const refusal = refusalAmong(termination)
      if (refusal !== undefined && this.#plan.allOrNothing) {
        return this.#refuse(refusal, `a process of the holders' ${this.#plan.scope} may not be ended`)
      }
      if (this.#plan.dryRun) return this.#report('alive')
      if (!termination.ok) {
        await Promise.all(occupied.map((port) => this.#lookAgain(port)))
        return this.#report('alive')
      }
    }
    if (this.#plan.dryRun) return this.#report('occupied', 'lingering')
    const deadline = performance.now() + this.#portWaitMs
    const reasons = await Promise.all(occupied.map((port) => this.#awaitFree(port, deadline)))
    const reason = firstOf<OccupiedReason>(['respawned', 'held', 'lingering'], reasons)
    if (reason !== undefined) return this.#report('occupied', reason)
    return this.#report(targets.length > 0 ? 'taken-over' : 'free')
  }

  #source(targets: readonly ProcessIdentity[]): TargetSource {
    return {
      given: targets.map((identity) => ({ identity })),
      fields: fieldsOf(this.#ours),
      exceptFields: [],
      spares: new Set(),
      judge: (row) => judgeBy(row, this.#ours),
    }
  }

  async #lookAgain(port: Port): Promise<void> {
    port.free = await this.#tryBind(port.address, 0)
    if (!port.free) port.after = await portOwners(port.address, { signal: this.#plan.abort }, this.#binding)
  }

  /** Undefined: it is free. A new holder ends the wait at once: it will not go away by itself. */
  async #awaitFree(port: Port, deadline: number): Promise<OccupiedReason | undefined> {
    for (;;) {
      const leftMs = Math.max(0, deadline - performance.now())
      port.free = await this.#tryBind(port.address, Math.min(tryMs, leftMs))
      if (port.free) return undefined
      const after = await portOwners(port.address, { signal: this.#plan.abort }, this.#binding)
      const reason = whyOccupied(port, after)
      if (reason !== 'respawned' && performance.now() < deadline) continue
      port.after = after
      return reason
    }
  }

  #refuse(reason: TakeoverRefusal, why: string): TakeoverReport {
    const report = this.#report('refused', reason)
    if (this.#plan.dryRun) return report
    throw new TakeoverRefusedError(`nothing was signalled: ${why}`, reason, report)
  }

  #report(outcome: TakeoverOutcome, reason?: TakeoverReport['reason']): TakeoverReport {
    return {
      dryRun: this.#plan.dryRun,
      outcome,
      ...(reason && { reason }),
      ports: this.#ports.map(({ address, before, verdicts, free, after }) => {
        return { address, before, verdicts, free, ...(after && { after }) }
      }),
      ...(this.#termination && { termination: this.#termination }),
      durationMs: performance.now() - this.#startedAt,
    }
  }
}
