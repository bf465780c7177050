import type { GroupInput } from '../fixtures/scenarios/escape-groups'
import type { SweepInput } from '../fixtures/scenarios/escape-sweeps'
import type { TreeInput } from '../fixtures/scenarios/escape-trees'
import type { EscapeReport } from '../helpers/escape'
import { describeWhere, linuxAtLeast, pidNamespaces, testWhere } from '../helpers/guards'
import { inPidNamespace } from '../helpers/scenario'

const rounds = 20
const timeoutMs = 120_000
// What forks there cannot flood the machine: beyond this there are no more pids in the namespace.
const pidMax = 1000

async function expectNobodyLeft(name: string, input: GroupInput | TreeInput | SweepInput): Promise<void> {
  const report = await inPidNamespace<EscapeReport>(name, { input, pidMax, timeoutMs })
  expect(report).toEqual({ rounds, survivors: [], complaints: [], harm: [], ended: expect.any(Number) })
  expect(report.ended).toBeGreaterThanOrEqual(rounds)
}

describeWhere([pidNamespaces], `zero survivors in ${rounds} rounds, and all bystanders live:`, () => {
  const group = (kind: GroupInput['kind']) => () => expectNobodyLeft('escape-groups', { kind, rounds })
  const tree = (kind: TreeInput['kind']) => () => expectNobodyLeft('escape-trees', { kind, rounds })
  const swept = (kind: SweepInput['kind']) => () => expectNobodyLeft('escape-sweeps', { kind, rounds })
  const limit = timeoutMs + 10_000

  describe('a group', () => {
    testWhere([linuxAtLeast(6, 9)], 'without leader, by a reference from its lifetime', group('throughReference'), limit)
    testWhere([linuxAtLeast(6, 14)], 'without leader, by a record of it alone', group('throughRecord'), limit)
    test('with stopped and deaf members', group('stoppedAndDeaf'), limit)
    test('that forks on SIGTERM', group('forkOnTerm'), limit)
    test('that forks all the time', group('constantForkers'), limit)
    test('that restarts what ends', group('supervisor'), limit)
    testWhere([linuxAtLeast(6, 9)], 'that is a chain of forks and exits', group('chain'), limit)
  })

  describe('a tree', () => {
    test('with grandchildren in sessions of their own', tree('sessions'), limit)
    test('with stopped and deaf members', tree('stoppedAndDeaf'), limit)
    test('with double forks', tree('doubleForks'), limit)
    test('with members that are re-parented during the grace', tree('reparented'), limit)
    test('that forks on SIGTERM', tree('forkOnTerm'), limit)
    test('that forks all the time', tree('constantForkers'), limit)
    test('that restarts what ends', tree('supervisor'), limit)
    test('that restarts what ends in new sessions', tree('supervisorOfSessions'), limit)
    test('of more than a hundred', tree('many'), limit)
  })

  describe('a sweep by marker', () => {
    test('of orphans, sessions, double forks, deaf and stopped ones', swept('scattered'), limit)
    test('of what forks on SIGTERM', swept('forkOnTerm'), limit)
    test('of what forks all the time', swept('constantForkers'), limit)
    test('of what restarts what ends', swept('supervisor'), limit)
    test('of a chain of forks and exits at full speed', swept('chain'), limit)
    test('of a chain of forks and exits', swept('slowerChain'), limit)
    test('of a chain of forks and exits, each in a session of its own', swept('chainOfSessions'), limit)
  })
})
