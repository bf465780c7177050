import { performance } from 'node:perf_hooks'
import { protectedGroup } from '../exclusions'
import type { ProcessInfo, ProcessState } from '../process'
import { isEndable, isOldEnough } from './admit'
import { type Context, type Growth, isQuiet, joinFields } from './context'
import { isDone, isGrowing, look } from './look'
import { progress, reachable, send } from './send'
import type { Steps } from './steps'

/** Looks that bring in somebody, and looks for those who are gone before they can be pinned, which cost less. */
const mostRounds = 20
const mostHunts = 1000
/** So many looks in a row at members that are gone before they can be reached, and more is needed than pins. */
const vanishingRounds = 2
const atRest: ReadonlySet<ProcessState | undefined> = new Set([
  'stopped',
  'traced',
  'uninterruptible',
  'zombie',
  'dead',
])

/** Kills what is alive, and whoever turns up, until nobody does. Bounded in rounds and by the deadline. */
export function* force(context: Context, deadline: number): Steps<void> {
  let vanishing = 0
  yield* look(context)
  for (let growing = 0, quiet = 0; growing < mostRounds && quiet < mostHunts; ) {
    const growth = yield* killOnce(context, deadline)
    if (isQuiet(growth) && !context.batch.isBusy && isDone(context)) return
    vanishing = growth.vanished.length > 0 && growth.fresh.length === 0 ? vanishing + 1 : 0
    if (vanishing >= vanishingRounds) yield* killGroups(context)
    if (performance.now() >= deadline) break
    if (growth.fresh.length > 0) growing += 1
    else quiet += 1
  }
  yield* kill(context)
  yield* waitForExits(context, deadline)
}

/** Kills who is known, and looks who turned up; once nobody did, waits for the exits. */
function* killOnce(context: Context, deadline: number): Steps<Growth> {
  if (isGrowing(context)) yield* freeze(context, deadline)
  yield* kill(context)
  const growth = yield* look(context)
  if (isQuiet(growth) && context.batch.isBusy) yield* waitForExits(context, deadline)
  return growth
}

function* kill(context: Context): Steps<void> {
  const targets = context.batch.open().filter(({ wasKilled }) => !wasKilled)
  if (targets.length === 0) return
  yield* send(context, targets, 'SIGKILL')
  progress(context, 'forcing')
}

function* waitForExits(context: Context, deadline: number): Steps<void> {
  const { batch, exits } = context
  while (batch.isBusy && performance.now() < deadline) {
    yield* exits.next(deadline)
    progress(context, 'forcing')
  }
  exits.collect()
}

/** Stops everybody, parents first, and whoever turns up, until all stand still and a look finds nobody new. */
export function* freeze(context: Context, deadline: number): Steps<void> {
  for (let round = 0; round < mostRounds && performance.now() < deadline; round += 1) {
    const moving = reachable(context.batch.open()).filter(({ isFrozen, wasKilled }) => !isFrozen && !wasKilled)
    for (const member of moving) member.isFrozen = true
    yield* send(context, moving, 'SIGSTOP')
    yield* comeToRest(context, deadline)
    const growth = yield* look(context)
    if (growth.fresh.length === 0) return
  }
}

/** On a busy machine it takes its time until a stopped process gets the processor to stop on. */
function* comeToRest(context: Context, deadline: number): Steps<void> {
  for (
    let pauseMs = 1;
    !(yield* isAtRest(context)) && performance.now() < deadline;
    pauseMs = Math.min(pauseMs * 2, 20)
  ) {
    yield* context.exits.next(Math.min(performance.now() + pauseMs, deadline))
  }
}

/** A stopped process may still be on its way through a fork: only its state says that it stands still. */
function* isAtRest({ batch, os }: Context): Steps<boolean> {
  const pids = batch
    .open()
    .filter(({ isFrozen, wasKilled }) => isFrozen && !wasKilled)
    .map(({ identity }) => identity.pid)
  if (pids.length === 0) return true
  const { processes } = yield* os.scan({ fields: ['state'], where: { pid: pids } })
  return processes.every(({ state }) => atRest.has(state))
}

/**
 * Against members that fork and exit faster than they can be pinned: the signal to a whole group, which no fork escapes.
 * Only through the pin of its leader, and only while every live process in it is one that may be ended.
 */
function* killGroups(context: Context): Steps<void> {
  const { batch, os, lineage, scope } = context
  // Without groups in the scope, somebody in it must have been seen to match.
  const groups =
    scope.look === undefined ? batch.vanishedGroups : new Set([...batch.vanishedGroups, ...batch.huntedGroups])
  for (const pgid of groups) {
    if (pgid <= 1 || protectedGroup(pgid, lineage.observer) !== undefined) continue
    const leader = batch.withPid(pgid).find(({ isNode, pin }) => isNode && pin !== undefined)
    if (leader?.pin === undefined || !(yield* isAllOurs(context, pgid))) continue
    batch.hasSignalled = true
    const at = performance.now()
    const [answer] = yield* os.signal([{ identity: leader.identity, pin: leader.pin }], 'SIGKILL', 'group')
    if (answer?.outcome !== 'sent') continue
    for (const member of batch.open()) if (member.pgid === pgid) member.reached('SIGKILL', answer.atomic, at)
  }
}

/** Nobody hidden, nobody undecided, and everybody who is seen may be ended and belongs to the scope. */
function* isAllOurs(context: Context, pgid: number): Steps<boolean> {
  const fields = joinFields(context.fields.target, context.fields.member)
  const found = yield* context.os.scan({ fields, where: { pgid }, nested: true })
  if (found.partial || found.undecided.length > 0) return false
  return found.processes.every((row) => isOurs(context, row, found.nested.has(row.pid)))
}

function isOurs(context: Context, row: ProcessInfo, isNested: boolean): boolean {
  const { batch, scope, source } = context
  if (row.state === 'zombie') return true
  if (!isEndable(context, row, isNested)) return false
  const known = batch.find(row.identity)
  if (known !== undefined) return known.outcome !== 'refused' && known.outcome !== 'denied'
  // A member by its group, or a target of its own.
  return scope.look !== undefined || (source.judge?.(row).verdict === 'ours' && isOldEnough(context, row))
}
