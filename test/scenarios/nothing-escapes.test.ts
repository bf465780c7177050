import type { GroupInput } from '../fixtures/scenarios/escape-groups'
import type { SweepInput } from '../fixtures/scenarios/escape-sweeps'
import type { TreeInput } from '../fixtures/scenarios/escape-trees'
import type { EscapeReport } from '../helpers/escape'
import { describeWhere, linuxAtLeast, pidNamespaces, type Requirement, testWhere } from '../helpers/guards'
import { inPidNamespace } from '../helpers/scenario'

const rounds = 20
const timeoutMs = 120_000
// What forks there cannot flood the machine: beyond this there are no more pids in the namespace.
const pidMax = 4000

type Input = GroupInput | TreeInput | SweepInput

/** `members`: how many each round has to account for; where they come and go, at least so many. */
async function expectNobodyLeft(name: string, input: Input, members: number, isExact: boolean): Promise<void> {
  const report = await inPidNamespace<EscapeReport>(name, { input, pidMax, timeoutMs })
  expect(report).toEqual({ rounds, survivors: [], complaints: [], harm: [], ended: expect.any(Number) })
  if (isExact) expect(report.ended).toBe(rounds * members)
  else expect(report.ended).toBeGreaterThanOrEqual(rounds * members)
}

function trial(title: string, name: string, input: Omit<Input, 'rounds'>, members: number, isExact: boolean): void {
  const run = () => expectNobodyLeft(name, { ...input, rounds } as Input, members, isExact)
  const needed = needs[`${name} ${input.kind}`]
  testWhere(needed === undefined ? [] : [needed], title, run, timeoutMs + 10_000)
}

/** The signal to a group whose leader has been reaped, and the way back to such a leader. */
const needs: Readonly<Record<string, Requirement>> = {
  'escape-groups throughReference': linuxAtLeast(6, 9),
  'escape-groups throughRecord': linuxAtLeast(6, 14),
  'escape-groups chain': linuxAtLeast(6, 9),
}

type Row<K> = readonly [title: string, kind: K, members: number]

const groups: readonly Row<GroupInput['kind']>[] = [
  ['without leader, by a reference from its lifetime', 'throughReference', 6],
  ['without leader, by a record of it alone', 'throughRecord', 6],
  ['with stopped and deaf members', 'stoppedAndDeaf', 6],
]
const movingGroups: readonly Row<GroupInput['kind']>[] = [
  ['that forks on SIGTERM', 'forkOnTerm', 6],
  ['that forks all the time', 'constantForkers', 4],
  ['that restarts what ends', 'supervisor', 4],
  ['that is a chain of forks and exits', 'chain', 1],
]
const trees: readonly Row<TreeInput['kind']>[] = [
  ['with grandchildren in sessions of their own', 'sessions', 8],
  ['with stopped and deaf members', 'stoppedAndDeaf', 6],
  ['with double forks', 'doubleForks', 9],
  ['with members that are re-parented during the grace', 'reparented', 7],
  ['of more than a hundred', 'many', 111],
  ['in an exit handler', 'inExitHandler', 6],
]
const movingTrees: readonly Row<TreeInput['kind']>[] = [
  ['that forks on SIGTERM', 'forkOnTerm', 6],
  ['that forks all the time', 'constantForkers', 4],
  ['that restarts what ends', 'supervisor', 4],
  ['that restarts what ends in new sessions', 'supervisorOfSessions', 4],
]
const sweeps: readonly Row<SweepInput['kind']>[] = [
  ['of orphans, sessions, double forks, deaf and stopped ones', 'scattered', 9],
]
const movingSweeps: readonly Row<SweepInput['kind']>[] = [
  ['of what forks on SIGTERM', 'forkOnTerm', 10],
  ['of what forks all the time', 'constantForkers', 4],
  ['of what restarts what ends', 'supervisor', 8],
  ['of a chain of forks and exits at full speed', 'chain', 1],
  ['of a chain of forks and exits, deaf', 'slowerChain', 1],
  ['of a chain of forks and exits, each in a session of its own', 'chainOfSessions', 1],
]

describeWhere([pidNamespaces], `zero survivors in ${rounds} rounds, and all bystanders live:`, () => {
  describe('a group', () => {
    for (const [title, kind, members] of groups) trial(title, 'escape-groups', { kind }, members, true)
    for (const [title, kind, members] of movingGroups) trial(title, 'escape-groups', { kind }, members, false)
  })

  describe('a tree', () => {
    for (const [title, kind, members] of trees) trial(title, 'escape-trees', { kind }, members, true)
    for (const [title, kind, members] of movingTrees) trial(title, 'escape-trees', { kind }, members, false)
  })

  describe('a sweep by marker', () => {
    for (const [title, kind, members] of sweeps) trial(title, 'escape-sweeps', { kind }, members, true)
    for (const [title, kind, members] of movingSweeps) trial(title, 'escape-sweeps', { kind }, members, false)
  })
})
