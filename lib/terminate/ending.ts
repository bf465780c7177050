import { performance } from 'node:perf_hooks'
import { isPidproofError } from '../errors'
import type { NativeBinding } from '../native'
import { throwIfAborted } from '../options'
import type { ProcessState } from '../process'
import { Batch } from './batch'
import { type Context, joinFields, Lineage, memberFields, type TargetSource } from './context'
import { Exits } from './exits'
import { force, freeze } from './force'
import { isDone, isGrowing, isSettled, look, lookFirst, mayGrow } from './look'
import type { EndingPlan } from './options'
import { Os } from './os'
import type { TerminationReport } from './report'
import { scopes } from './scopes'
import { ask, probe, progress, reachable } from './send'
import { runAsync, runSync, type Steps } from './steps'

/** Looks at the scope while waiting: after exits, otherwise ever more rarely, and at most for a fifth of the time. */
const leastGapMs = 20
const mostGapMs = 500
const gapPerLook = 4
/** So many looks in a row at nobody who lives long enough to be asked. */
const vanishingLooks = 3

/** Ends what the source names, off the event loop; see the algorithm in `terminate`. */
export async function endAsync(
  source: TargetSource,
  plan: EndingPlan,
  binding: NativeBinding,
): Promise<TerminationReport> {
  throwIfAborted(plan.abort)
  return runAsync(end(source, plan, binding, true), plan.abort)
}

/** The same for exit handlers. */
export function endSync(source: TargetSource, plan: EndingPlan, binding: NativeBinding): TerminationReport {
  return runSync(end(source, plan, binding, false))
}

function* end(
  source: TargetSource,
  plan: EndingPlan,
  binding: NativeBinding,
  usesEvents: boolean,
): Steps<TerminationReport> {
  const os = new Os(binding)
  const batch = new Batch(binding)
  const exits = new Exits(binding, batch, usesEvents, plan.abort)
  const member = joinFields(memberFields, source.exceptFields)
  const fields = { member, target: joinFields(member, source.fields) }
  const context: Context = {
    plan,
    os,
    batch,
    exits,
    lineage: new Lineage(os),
    source,
    scope: scopes[plan.scope],
    fields,
  }
  try {
    yield* lookFirst(context)
    yield* probe(context)
    batch.settleEndedDoubts()
    const isHeldBack = plan.allOrNothing && holdBack(batch)
    if (plan.dryRun) for (const one of batch.open()) one.settle('alive', 'dry-run')
    else if (!isHeldBack) yield* act(context)
    if (batch.failure !== undefined && !isPidproofError(batch.failure)) throw batch.failure
    batch.settleEndedDoubts()
    progress(context, 'done')
    const isQuiet = !mayGrow(context) || batch.members.length === 0 || batch.quietPasses > 0
    return batch.report(plan.dryRun, plan.dryRun || isHeldBack ? isQuiet : isSettled(context))
  } finally {
    release(context)
  }
}

/** Refuses everybody when anybody is refused or denied who is not spared as a matter of course. */
function holdBack(batch: Batch): boolean {
  const isHeldBack = batch.members.some(({ outcome, isSpared }) => {
    return !isSpared && (outcome === 'refused' || outcome === 'denied')
  })
  if (isHeldBack) for (const member of batch.open()) member.settle('refused', 'all-or-nothing')
  return isHeldBack
}

function* act(context: Context): Steps<void> {
  const { plan, batch, exits } = context
  if (batch.open().length === 0 && isDone(context)) return
  exits.watch(reachable(batch.open()))
  batch.isActing = true
  if (plan.graceMs > 0 || !plan.force) {
    if (plan.scope === 'tree' && isGrowing(context)) yield* freeze(context, performance.now() + plan.killWaitMs)
    const deadline = performance.now() + plan.graceMs
    yield* ask(context, batch.open())
    progress(context, 'asking')
    yield* waitAsking(context, deadline)
  }
  if (plan.force && (batch.open().length > 0 || !isDone(context))) {
    yield* force(context, performance.now() + plan.killWaitMs)
  }
  yield* confirm(context)
}

/** Waits for exits until the one deadline that all share; who turns up meanwhile is asked as well. */
function* waitAsking(context: Context, deadline: number): Steps<void> {
  const { batch, exits } = context
  let gapMs = leastGapMs
  let lastLook = performance.now()
  for (let vanishing = 0; vanishing < vanishingLooks && performance.now() < deadline; ) {
    if (!mayGrow(context)) {
      if (!batch.isBusy) break
      yield* exits.next(deadline)
      progress(context, 'waiting')
      continue
    }
    const hasExits = yield* awaitNextLook(context, lastLook, gapMs, deadline)
    if (performance.now() >= deadline) break
    const begin = performance.now()
    const growth = yield* look(context)
    lastLook = performance.now()
    const leastMs = Math.max(leastGapMs, (lastLook - begin) * gapPerLook)
    gapMs = hasExits ? leastMs : Math.min(Math.max(gapMs * 2, leastMs), Math.max(mostGapMs, leastMs))
    yield* ask(context, growth.fresh)
    if (!batch.isBusy && isDone(context)) break
    vanishing = growth.vanished.length > 0 && !batch.isBusy ? vanishing + 1 : 0
  }
  exits.collect()
}

/**
 * Waits until it is time to look again: the gap has passed, or somebody exited and the least gap has, as exits come in
 * flocks and those of one moment share a look. At once where nobody is left to wait for.
 */
function* awaitNextLook(context: Context, lastLook: number, gapMs: number, deadline: number): Steps<boolean> {
  const { batch, exits } = context
  const due = Math.min(lastLook + gapMs, deadline)
  const soonest = Math.min(lastLook + leastGapMs, due)
  const before = batch.open().length
  while (batch.isBusy && performance.now() < due) {
    yield* exits.next(batch.open().length < before ? soonest : due)
    progress(context, 'waiting')
    if (batch.open().length < before && performance.now() >= soonest) break
  }
  return batch.open().length < before
}

/** What did not end, with the state it is in. */
function* confirm({ batch, os, exits, plan }: Context): Steps<void> {
  exits.collect()
  const alive = batch.open()
  if (alive.length === 0) return
  const pids = alive.map(({ identity }) => identity.pid)
  const states = yield* os.scan({ fields: ['state'], where: { pid: pids } })
  const stateOf = new Map<number, ProcessState | undefined>(states.processes.map(({ pid, state }) => [pid, state]))
  exits.collect()
  for (const member of batch.open()) {
    member.state = stateOf.get(member.identity.pid)
    const isStuck = member.wasKilled && member.state === 'uninterruptible'
    member.settle('alive', plan.force ? (isStuck ? 'unkillable' : 'deadline') : 'not-forced')
  }
}

/** Nobody is left frozen, watched or pinned, however the call ends. */
function release({ batch, exits, os }: Context): void {
  exits.close()
  try {
    os.resumeNow(batch.members.filter(({ isFrozen, wasKilled }) => isFrozen && !wasKilled))
  } finally {
    batch.closePins()
  }
}
