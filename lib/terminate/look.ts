import { performance } from 'node:perf_hooks'
import { protectedGroup } from '../exclusions'
import type { ProcessInfo } from '../process'
import { admitTargets } from './admit'
import type { Member } from './batch'
import { both, type Context, type Growth, isQuiet, noGrowth } from './context'
import type { Steps } from './steps'

/** A tree with somebody as young as this may fork again before it is signalled. */
const youngMs = 250
/** Whatever still grows after so many looks has to be frozen first, which is a signal. */
const mostFirstLooks = 4
/** Where nobody was found, more looks are taken as long as they cost next to nothing. */
const cheapLooksMs = 2
const cheapLooks = 4

/** Whether anything can be found that was not there at first. */
export function mayGrow({ source, scope }: Context): boolean {
  return source.find !== undefined || scope.look !== undefined
}

/** The looks before the first signal: until one of them finds nobody new. */
export function* lookFirst(context: Context): Steps<void> {
  const { batch, source } = context
  const began = performance.now()
  const given = yield* admitTargets(context, source.given)
  batch.passes = 1
  let growth = both(given, yield* look(context, 1))
  batch.growingPasses = growth.fresh.length > 0 ? 1 : 0
  while (mayGrow(context) && !isQuiet(growth) && batch.passes < mostFirstLooks) growth = yield* look(context)
  while (batch.members.length === 0 && batch.passes < cheapLooks && performance.now() - began < cheapLooksMs) {
    if (source.find === undefined) break
    yield* look(context)
  }
}

/**
 * Takes in who belongs to the scope by now. Once something was signalled, a look that fails does not end the call:
 * what is known is ended all the same, and the report says why there may be more.
 */
export function* look(context: Context, pass = context.batch.passes + 1): Steps<Growth> {
  const { batch, source, scope, plan } = context
  if (!mayGrow(context) || batch.failure !== undefined) return noGrowth
  let growth = noGrowth
  batch.passes = pass
  try {
    if (source.find) growth = yield* admitTargets(context, yield* source.find(context))
    if (scope.look) growth = both(growth, yield* scope.look(context))
    for (const { pgid } of growth.vanished) if (pgid !== undefined) batch.vanishedGroups.add(pgid)
    if (isQuiet(growth)) growth = yield* unexplained(context)
  } catch (error) {
    if (!batch.hasSignalled || plan.abort?.aborted) throw error
    batch.failure = error
    return noGrowth
  }
  if (growth.fresh.length > 0) batch.growingPasses += 1
  batch.quietPasses = isQuiet(growth) ? batch.quietPasses + 1 : 0
  return growth
}

/**
 * Whether enough looks in a row found nobody new. One look is no snapshot: a process that was forked during it by one
 * that ended during it is in none of its rows, so whoever searches for all that match looks again, and more often where
 * somebody was seen who ended at once.
 */
export function isSettled(context: Context): boolean {
  const { batch, source } = context
  if (!mayGrow(context)) return true
  if (batch.failure !== undefined) return false
  const hunts = batch.vanishedGroups.size > 0
  const needed = source.find === undefined ? (hunts ? 3 : 1) : hunts ? 6 : 3
  return batch.members.length === 0 || batch.quietPasses >= needed
}

/** Whether more looks are of no use: enough found nobody, or there can be none any more. */
export function isDone(context: Context): boolean {
  return context.batch.failure !== undefined || isSettled(context)
}

/**
 * Whether members are born faster than they can be listed and signalled, so that the scope has to be frozen first. In a
 * tree it is enough that somebody was born just now: a child that is born while its parent is ended has no parent to be
 * found by any more.
 */
export function isGrowing({ batch, plan }: Context): boolean {
  if (batch.growingPasses >= 2) return true
  if (plan.scope !== 'tree') return false
  const youngest = Date.now() - youngMs
  return batch.members.some(({ role, row }) => role === 'member' && Number(row?.startedAt ?? 0) > youngest)
}

/**
 * The groups that are not empty although everybody known in them has ended: their pins tell at once, where a look may
 * miss members that fork and end while it lasts. They stand for what there must be, so that nothing is called settled.
 */
function* unexplained(context: Context): Steps<Growth> {
  const { batch, os, lineage } = context
  const leaders = batch.members.filter((member) => {
    return isDeadLeader(member) && protectedGroup(member.identity.pid, lineage.observer) === undefined
  })
  const pinned = leaders.flatMap(({ identity, pin }) => (pin === undefined ? [] : [{ identity, pin }]))
  const answers = yield* os.signal(pinned, 0, 'group')
  const inhabited = leaders.filter((_, index) => answers[index]?.outcome === 'sent')
  if (inhabited.length === 0) return noGrowth
  const pgids = inhabited.map(({ identity }) => identity.pid)
  const { processes } = yield* os.scan({ fields: context.fields.target, where: { pgid: pgids } })
  const vanished = inhabited.filter(({ identity }) => {
    const rows = processes.filter(({ pgid }) => pgid === identity.pid)
    return rows.length === 0 || rows.some((row) => !isExplained(context, row))
  })
  for (const { identity } of vanished) batch.huntedGroups.add(identity.pid)
  return { fresh: [], vanished }
}

function isDeadLeader({ isNode, pin, outcome, pgid, identity }: Member): boolean {
  const isDead = outcome === 'exited' || outcome === 'killed' || outcome === 'already-gone'
  return isNode && isDead && pin !== undefined && (pgid ?? identity.pid) === identity.pid
}

/** Known, or dead, or none of ours: where groups do not belong to the scope, a member of one must match by itself. */
function isExplained({ batch, scope, source }: Context, row: ProcessInfo): boolean {
  if (row.state === 'zombie' || batch.find(row.identity) !== undefined) return true
  return scope.look === undefined && source.judge?.(row).verdict !== 'ours'
}
