import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { identify, type ProcessIdentity } from '../../lib/identity'
import { openProcess } from '../../lib/ref'
import { signature } from '../../lib/signature'
import { sweep } from '../../lib/sweep'
import { takeOverPorts } from '../../lib/takeover'
import { type TerminationReport, terminate, terminateSync } from '../../lib/terminate'
import type { Case } from './cases'
import { type Fixture, spawnFixture } from './fixture'
import { livesByHand } from './proc-by-hand'

const times = { graceMs: 400, killWaitMs: 5000 }

function outcomeOf({ outcomes }: TerminationReport, pid: number) {
  const found = outcomes.filter(({ identity }) => identity.pid === pid)
  assert.equal(found.length, 1, `${found.length} outcomes of pid ${pid}`)
  return found[0]
}

function assertEnded(report: TerminationReport, fixture: Fixture, names: readonly string[]): void {
  for (const name of names) {
    const pid = fixture.pidOf(name)
    assert.equal(livesByHand(pid), false, `${name} is alive: ${JSON.stringify(report)}`)
    // The kernel itself may be first: it hangs up a group with a stopped member when that is orphaned.
    assert.ok(['exited', 'killed', 'already-gone'].includes(outcomeOf(report, pid)?.outcome ?? ''))
  }
  assert.equal(report.ok, true, JSON.stringify(report))
}

function identifyNamed(fixture: Fixture, name: string): Promise<ProcessIdentity> {
  return identify(fixture.pidOf(name))
}

export const endingCases: readonly Case[] = [
  {
    title: 'who obeys exits, who does not is killed, and every signal tells whether it was atomic',
    run: async ({ atomicSignals }) => {
      const [polite, deaf, stopped] = [
        await spawnFixture('forever'),
        await spawnFixture('+deaf forever'),
        await spawnFixture('stopped'),
      ]
      const identities = await Promise.all([polite, deaf, stopped].map(({ pid }) => identify(pid)))
      const report = await terminate(identities, times)
      assert.deepEqual(
        report.outcomes.map(({ outcome, atomic }) => [outcome, atomic]),
        ['exited', 'killed', 'exited'].map((outcome) => [outcome, atomicSignals]),
      )
      assert.equal(report.ok, true)
    },
  },
  {
    title: 'a group ends with all its members, and nobody else',
    run: async () => {
      const fixture = await spawnFixture('tree top(leader:pgrp(a,b:deaf,c:stopped,d:double),bystander:pgrp)')
      const report = await terminate(await identifyNamed(fixture, 'leader'), { scope: 'group', ...times })
      assertEnded(report, fixture, ['leader', 'a', 'b', 'c', 'd'])
      assert.equal(livesByHand(fixture.pidOf('bystander')), true)
      assert.equal(livesByHand(fixture.pid), true)
    },
  },
  {
    title: 'a group whose leader is gone ends through a member that was named',
    run: async () => {
      const fixture = await spawnFixture('tree top(leader:pgrp+exit(a,b:deaf,c:double),bystander:pgrp)')
      const identities = await Promise.all(['a', 'b', 'c'].map((name) => identifyNamed(fixture, name)))
      const report = await terminate(identities, { scope: 'group', ...times })
      assertEnded(report, fixture, ['a', 'b', 'c'])
      assert.equal(livesByHand(fixture.pidOf('bystander')), true)
    },
  },
  {
    title: 'a tree ends through its sessions and groups, and nobody else',
    run: async () => {
      const fixture = await spawnFixture(
        'tree top(root:pgrp(a:setsid(aa:deaf),b:double(bb),c:stopped,d(dd:pgrp+deaf)),bystander:pgrp(ba))',
      )
      const report = await terminate(await identifyNamed(fixture, 'root'), { scope: 'tree', ...times })
      assertEnded(report, fixture, ['root', 'a', 'aa', 'b', 'bb', 'c', 'd', 'dd'])
      assert.deepEqual(
        ['bystander', 'ba'].map((name) => livesByHand(fixture.pidOf(name))),
        [true, true],
      )
    },
  },
  {
    title: 'a reference keeps its group after the leader has died',
    run: async () => {
      const fixture = await spawnFixture('tree top(leader:pgrp(a:deaf,b:stopped))')
      const ref = await openProcess(await identifyNamed(fixture, 'leader'))
      const report = await terminate(ref, { scope: 'group', ...times })
      ref.close()
      assertEnded(report, fixture, ['leader', 'a', 'b'])
    },
  },
  {
    title: 'a sweep ends what carries the marker, wherever it went, and nothing else',
    run: async () => {
      const mark = randomUUID()
      const ours = signature({ env: { PIDPROOF_TEST_MARK: mark } })
      const spec = 'tree top:deaf(a:setsid,b:double(bb),s:stopped)'
      const marked = await spawnFixture(spec, { env: { PIDPROOF_TEST_MARK: mark } })
      const other = await spawnFixture(spec, { env: { PIDPROOF_TEST_MARK: `${mark}0` } })
      const report = await sweep({ ours, ...times })
      assertEnded(report, marked, ['top', 'a', 'b', 'bb', 's'])
      for (const name of ['top', 'a', 'b', 'bb', 's']) assert.equal(livesByHand(other.pidOf(name)), true)
    },
  },
  {
    title: 'a takeover ends every holder of the port and gets it',
    run: async () => {
      const mark = randomUUID()
      const fixture = await spawnFixture('+deaf pass-listener 127.0.0.1 keep', { env: { PIDPROOF_TEST_MARK: mark } })
      const ports = [{ port: fixture.port, host: '127.0.0.1' }]
      const report = await takeOverPorts({ ports, ours: { env: { PIDPROOF_TEST_MARK: mark } }, ...times })
      assert.equal(report.outcome, 'taken-over')
      assert.deepEqual([fixture.pid, fixture.pidOf('holder')].map(livesByHand), [false, false])
    },
  },
]

/** They hold up the event loop, so nothing else can be timed beside them. */
export const blockingEndingCases: readonly Case[] = [
  {
    title: 'an exit handler ends a group within its budget',
    run: async () => {
      const fixture = await spawnFixture('tree top(leader:pgrp(a:deaf,b:stopped))')
      const report = terminateSync(await identifyNamed(fixture, 'leader'), { scope: 'group', budgetMs: 1000 })
      assertEnded(report, fixture, ['leader', 'a', 'b'])
      assert.ok(report.durationMs < 3000)
    },
  },
]
