import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { identify, type ProcessIdentity } from '../../lib/identity'
import { terminate, terminateSync } from '../../lib/terminate'
import type { Identified } from '../fixtures/scenarios/identify'
import { type Answer, always, fateOf, local, sweepEveryWay, takeOverEveryWay, terminateEveryWay } from '../helpers/acts'
import { type Fixture, spawnFixture } from '../helpers/fixture'
import { describeWhere, linux, linuxAtLeast, pidNamespaces, testWhere } from '../helpers/guards'
import { livesByHand, statByHand } from '../helpers/proc-by-hand'
import { inPidNamespace } from '../helpers/scenario'
import { until } from '../helpers/until'
import { accepts, harmTo, witness } from '../helpers/witness'

const ticksPerSecond = 100

function marked() {
  const mark = randomUUID()
  return { env: { ...process.env, PIDPROOF_TEST_MARK: mark }, ours: { env: { PIDPROOF_TEST_MARK: mark } } }
}

describeWhere([linux], 'a record of somebody else ends nobody:', () => {
  interface Forgery {
    readonly title: string
    readonly change: Partial<ProcessIdentity> | ((identity: ProcessIdentity) => Partial<ProcessIdentity>)
    readonly fate: string
  }

  const forgeries: readonly Forgery[] = [
    { title: 'another boot', change: { boot: '00000000-0000-4000-8000-000000000000' }, fate: 'refused other-boot' },
    { title: 'an unknown boot', change: { boot: '' }, fate: 'refused unknown-identity' },
    { title: 'another pid namespace', change: { namespace: '1' }, fate: 'refused other-namespace' },
    { title: 'an unknown pid namespace', change: { namespace: '' }, fate: 'refused unknown-identity' },
    {
      title: 'another start and no unique id',
      change: ({ startToken }) => ({ startToken: String(Number(startToken) - 1), unique: null }),
      fate: 'replaced',
    },
  ]

  async function tryForgery({ change, fate }: Omit<Forgery, 'title'>): Promise<void> {
    const fixture = await spawnFixture('+pgrp tree leader(member)')
    const before = witness(fixture.pid, fixture.pidOf('member'))
    const identity = await identify(fixture.pid)
    const forged = { ...identity, ...(typeof change === 'function' ? change(identity) : change) }
    const answers = await terminateEveryWay(forged)
    expect(fateOf(fixture.pid, answers)).toEqual(always(fate, answers))
    const cautious = await terminateEveryWay([forged], { allOrNothing: true })
    expect(fateOf(fixture.pid, cautious)).toEqual(always(fate, cautious))
    expect(answers.flatMap(({ outcomes }) => outcomes)).toHaveLength(answers.length)
    expect(harmTo(before)).toEqual([])
  }

  test.each(forgeries)('$title', tryForgery)

  testWhere([linuxAtLeast(6, 9)], 'another unique id, all else being equal', () => {
    return tryForgery({ change: ({ unique }) => ({ unique: String(BigInt(unique ?? 0) + 1n) }), fate: 'replaced' })
  })

  testWhere([pidNamespaces], 'the record of a namesake that was made in another pid namespace', async () => {
    const { identity } = await inPidNamespace<Identified>('identify')
    const { boot, namespace } = identity
    await tryForgery({ change: { boot, namespace }, fate: 'refused other-namespace' })
    await tryForgery({ change: ({ pid }) => ({ ...identity, pid }), fate: 'refused other-namespace' })
  })
})

describeWhere([linux], 'a dry run signals nobody:', () => {
  test('in no call and no scope, and says who would have been signalled', async () => {
    const { env, ours } = marked()
    const fixture = await spawnFixture('+pgrp tree leader:listen(a:deaf,b:stopped,c:setsid,d:double)', { env })
    const pids = ['leader', 'a', 'b', 'c', 'd'].map((name) => fixture.pidOf(name))
    const before = witness(...pids)
    const port = Number(fixture.value('leader-port'))
    const dry = { dryRun: true } as const
    const ended = await terminateEveryWay(await identify(fixture.pid), dry)
    const swept = await sweepEveryWay(ours, dry)
    const taken = await takeOverEveryWay(local(port), ours, dry)
    expect(harmTo(before)).toEqual([])
    expect(await accepts(port)).toBe(true)
    expect(listed([...ended, ...swept, ...taken], pids)).toEqual({
      'terminate process': 1,
      'terminateSync process': 1,
      'terminate group': 4,
      'terminateSync group': 4,
      'terminate tree': 5,
      'terminateSync tree': 5,
      'sweep process': 5,
      'sweep group': 5,
      'sweep tree': 5,
      // All five have inherited the listener.
      'takeOverPorts process': 5,
      'takeOverPorts group': 5,
      'takeOverPorts tree': 5,
    })
  })
})

/** How many of these each act says to have left alive for the sake of the dry run; all others are an error. */
function listed(answers: readonly Answer[], pids: readonly number[]): Record<string, number> {
  return Object.fromEntries(
    answers.map(({ act, outcomes }) => {
      for (const { identity, outcome, reason, signals } of outcomes) {
        expect(pids).toContain(identity.pid)
        expect([outcome, reason, signals]).toEqual(['alive', 'dry-run', []])
      }
      return [act, outcomes.length]
    }),
  )
}

describeWhere([linux], 'all or nothing:', () => {
  test.each(['process', 'group', 'tree'] as const)('one refused target saves the others, scope %s', async (scope) => {
    const fixture = await spawnFixture('+pgrp tree leader(a,b:setsid)')
    const before = witness(fixture.pid, fixture.pidOf('a'), fixture.pidOf('b'))
    const targets = [await identify(fixture.pid), await identify(process.pid)]
    const { outcomes, ok } = await terminate(targets, { allOrNothing: true, scope })
    const sync = terminateSync(targets, { allOrNothing: true, scope })
    for (const report of [outcomes, sync.outcomes]) {
      const others = report.filter(({ identity }) => identity.pid !== process.pid)
      expect(report.find(({ identity }) => identity.pid === process.pid)?.reason).toBe('self')
      expect(new Set(others.map(({ outcome, reason }) => `${outcome} ${reason}`))).toEqual(
        new Set(['refused all-or-nothing']),
      )
    }
    expect([ok, sync.ok]).toEqual([false, false])
    expect(harmTo(before)).toEqual([])
    // Without it the same call ends the others.
    await terminate(targets, { scope })
    expect(livesByHand(fixture.pid)).toBe(false)
  })

  test('one too young saves all others that a sweep finds', async () => {
    const { env, ours } = marked()
    const found = [await spawnFixture('+pgrp forever', { env }), await spawnFixture('+pgrp forever', { env })]
    const before = witness(...found.map(({ pid }) => pid))
    const except = [await identify(found[0]?.pid ?? 0)]
    const swept = await sweepEveryWay(ours, { allOrNothing: true, minAgeMs: 3_600_000, except })
    expect(new Set(swept.flatMap(({ outcomes }) => outcomes.map(({ reason }) => reason)))).toEqual(
      new Set(['too-young', 'excepted']),
    )
    expect(harmTo(before)).toEqual([])
  })
})

describeWhere([linux], 'who is too young lives:', () => {
  const { env, ours } = marked()
  let old: Fixture

  beforeAll(async () => {
    old = await spawnFixture('+pgrp listen 127.0.0.1', { env })
  })

  test('below minAgeMs, whoever asks', async () => {
    const before = witness(old.pid)
    const minAgeMs = 3_600_000
    const ended = await terminateEveryWay(await identify(old.pid), { minAgeMs })
    expect(fateOf(old.pid, ended)).toEqual(always('refused too-young', ended))
    const swept = await sweepEveryWay(ours, { minAgeMs })
    expect(fateOf(old.pid, swept)).toEqual(always('refused too-young', swept))
    const taken = await takeOverEveryWay(local(old.port), ours, { minAgeMs })
    expect(fateOf(old.pid, taken)).toEqual(always('refused excluded-owner, refused too-young', taken))
    expect(harmTo(before)).toEqual([])
  })

  test('below olderThanMs of the signature, while the old one is ended', async () => {
    await until('some age of the old one', () => ageMsByHand(old.pid) > 3000)
    const young = await spawnFixture('+pgrp listen 127.0.0.1', { env })
    const before = witness(young.pid)
    // Nobody younger than the old one can be as old as that by then.
    const aged = () => ({ ...ours, olderThanMs: ageMsByHand(old.pid) - 20 })
    const taken = await takeOverEveryWay(local(young.port), aged())
    expect(fateOf(young.pid, taken)).toEqual(always('refused foreign-owner', taken))
    const rehearsed = await sweepEveryWay(aged(), { dryRun: true })
    expect(fateOf(young.pid, rehearsed)).toEqual(always('unlisted', rehearsed))
    const swept = await sweepEveryWay(aged())
    expect(fateOf(old.pid, swept)['sweep process']).toContain('exited')
    expect(fateOf(young.pid, swept)['sweep process']).toBe('unlisted')
    expect(harmTo(before)).toEqual([])
  })
})

function ageMsByHand(pid: number): number {
  const [uptime] = readFileSync('/proc/uptime', 'latin1').split(' ')
  return Number(uptime) * 1000 - Number(statByHand(pid)?.startTicks) * (1000 / ticksPerSecond)
}
