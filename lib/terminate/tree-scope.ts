import { isProtectedSession, protectedGroup } from '../exclusions'
import type { ProcessInfo, Scan } from '../process'
import { admitMembers, type Candidate } from './admit'
import type { Member } from './batch'
import { both, type Context, type Growth, type Membership, noGrowth } from './context'
import { provenCandidates } from './group-scope'
import type { Steps } from './steps'

/** Deeper than any real tree; a family that outgrows this many levels in one look is looked at again anyway. */
const mostLevels = 256

/**
 * All that descends from the targets: children of everybody ever seen in the tree, and the groups and sessions that one
 * of them leads or led, which is where double forks end up after their parents have exited.
 */
export const treeScope: Membership = {
  *look(context) {
    const descended = yield* lookAtChildren(context)
    const grouped = yield* lookAtLed(context, 'group')
    const assembled = yield* lookAtLed(context, 'session')
    return both(descended, both(grouped, assembled))
  },
}

/** Level after level. Each is pinned before its children are listed, so that its numbers cannot change hands. */
function* lookAtChildren(context: Context): Steps<Growth> {
  let growth = noGrowth
  let parents = context.batch.members.filter((member) => member.isNode && mayHaveChildren(member))
  for (let level = 0; level < mostLevels && parents.length > 0; level += 1) {
    const pids = [...new Set(parents.map(({ identity }) => identity.pid))]
    const found = yield* context.os.scan({ fields: context.fields.member, where: { ppid: pids }, nested: true })
    const known = context.batch.members.length
    growth = both(growth, yield* admitMembers(context, childrenIn(context, found)))
    parents = context.batch.members.slice(known).filter((member) => member.isNode && mayHaveChildren(member))
  }
  return growth
}

/** The dead have none: theirs belong to somebody else by now. */
function mayHaveChildren({ isOpen, outcome }: Member): boolean {
  return isOpen || outcome === 'refused' || outcome === 'denied' || outcome === 'alive'
}

function childrenIn({ batch }: Context, { processes, nested }: Scan): Candidate[] {
  return processes.flatMap((row) => {
    // The child's own record of its parent says who that is, whatever has that number by now.
    const parent = row.parent && batch.find(row.parent)
    if (parent === undefined || !parent.isNode || isOlder(row, parent)) return []
    const found = `child of pid ${parent.identity.pid}`
    return [
      {
        row,
        isNested: nested.has(row.pid),
        evidence: [{ part: 'tree', expected: 'descendant of a target', found, holds: true }],
      },
    ]
  })
}

/** Nobody is older than who forked it. */
function isOlder(row: ProcessInfo, { identity }: Member): boolean {
  return BigInt(row.identity.startToken) < BigInt(identity.startToken)
}

function* lookAtLed(context: Context, kind: 'group' | 'session'): Steps<Growth> {
  const numbers = numbersOf(context, kind)
  if (numbers.length === 0) return noGrowth
  const where = kind === 'group' ? { pgid: numbers } : { sid: numbers }
  const { processes, nested } = yield* context.os.scan({ fields: context.fields.member, where, nested: true })
  return yield* admitMembers(context, yield* provenCandidates(context, kind, processes, nested))
}

/** Our own group and session, and those of our ancestors, pull nothing in, whoever leads them. */
function numbersOf({ batch, lineage }: Context, kind: 'group' | 'session'): number[] {
  if (batch.members.length === 0) return []
  const { observer } = lineage
  const numbers = new Set(batch.members.filter(({ isNode }) => isNode).map(({ identity }) => identity.pid))
  return [...numbers].filter((number) => {
    if (number <= 1) return false
    return kind === 'group' ? protectedGroup(number, observer) === undefined : !isProtectedSession(number, observer)
  })
}
