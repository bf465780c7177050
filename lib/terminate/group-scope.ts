import { protectedGroup } from '../exclusions'
import { compareIdentities } from '../identity'
import type { ProcessInfo } from '../process'
import type { Evidence } from '../verdict'
import { admitMembers, type Candidate } from './admit'
import { type Context, type Membership, noGrowth, type Refusal } from './context'
import { isNumberHeld } from './held-number'
import type { Steps } from './steps'

/** The process groups of the targets, leaders or not. */
export const groupScope: Membership = {
  refuse({ pgid }, observer) {
    if (pgid === undefined)
      return { reason: 'unknown', evidence: [{ part: 'group', expected: 'known', holds: 'unknown' }] }
    const guarded = protectedGroup(pgid, observer)
    if (guarded !== undefined) return refusal(guarded, 'not that of the caller or an ancestor', pgid)
    // 0: its leader lives outside of what can be seen from here.
    if (pgid <= 1) return refusal(pgid === 1 ? 'init' : 'other-namespace', 'above 1', pgid)
    return undefined
  },

  *look(context) {
    const pgids = groupsOfTargets(context)
    if (pgids.length === 0) return noGrowth
    const fields = context.fields.member
    const { processes, nested } = yield* context.os.scan({ fields, where: { pgid: pgids }, nested: true })
    return yield* admitMembers(context, yield* provenCandidates(context, 'group', processes, nested))
  },
}

function refusal(reason: Refusal['reason'], expected: string, pgid: number): Refusal {
  return { reason, evidence: [{ part: 'group', expected, found: String(pgid), holds: false }] }
}

/** A target that was gone before its group could be read can have been a leader: then its pid is the group's number. */
function groupsOfTargets({ batch, lineage }: Context): number[] {
  const pgids = new Set<number>()
  for (const { role, isNode, row, identity } of batch.members) {
    if (role === 'target' && isNode) pgids.add(row?.pgid ?? identity.pid)
  }
  return [...pgids].filter((pgid) => pgid > 1 && protectedGroup(pgid, lineage.observer) === undefined)
}

/**
 * The rows as members, by their groups or sessions: those of which the number is shown to be still that of a member, and
 * as refused those of which it is not.
 */
export function* provenCandidates(
  context: Context,
  part: 'group' | 'session',
  processes: readonly ProcessInfo[],
  nested: ReadonlySet<number>,
): Steps<Candidate[]> {
  const candidates: Candidate[] = []
  for (const [number, rows] of byNumber(processes, part)) {
    const unknown = rows.filter(({ identity }) => context.batch.find(identity) === undefined)
    const isHeld = unknown.length === 0 || (yield* isNumberHeld(context, number, rows))
    // Its leader is somebody new: the number was given away, and none of this is ours.
    const isReused = context.batch.withPid(number).length > 0 && unknown.some(({ pid }) => pid === number)
    if (!isHeld && isReused) continue
    const left = isHeld ? rows : yield* withoutEnded(context, rows)
    candidates.push(...left.map((row) => candidate(row, nested, part, number, isHeld)))
  }
  return candidates
}

/** A number is held by nobody when all who had it have ended, which is then no reason to refuse anybody. */
function* withoutEnded({ os }: Context, rows: readonly ProcessInfo[]): Steps<ProcessInfo[]> {
  const { processes } = yield* os.scan({ fields: ['state'], where: { pid: rows.map(({ pid }) => pid) } })
  const alive = processes.filter(({ state }) => state !== 'zombie')
  return rows.filter(({ identity }) => alive.some((row) => compareIdentities(row.identity, identity) !== 'different'))
}

function byNumber(processes: readonly ProcessInfo[], part: 'group' | 'session'): Map<number, ProcessInfo[]> {
  const numbers = new Map<number, ProcessInfo[]>()
  for (const row of processes) {
    const number = (part === 'group' ? row.pgid : row.sid) ?? 0
    const rows = numbers.get(number)
    if (rows === undefined) numbers.set(number, [row])
    else rows.push(row)
  }
  return numbers
}

function candidate(
  row: ProcessInfo,
  nested: ReadonlySet<number>,
  part: 'group' | 'session',
  number: number,
  isHeld: boolean,
): Candidate {
  const evidence: Evidence = { part, expected: String(number), found: String(number), holds: isHeld || 'unknown' }
  const base = { row, isNested: nested.has(row.pid), evidence: [evidence] }
  return isHeld ? base : { ...base, refusal: { reason: 'unproven-group', evidence: [] } }
}
