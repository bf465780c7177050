import { randomUUID } from 'node:crypto'
import { identify } from '../../lib/identity'
import type { SignatureParts } from '../../lib/signature'
import type { ForeignInput, ForeignReport } from '../fixtures/scenarios/kill-as-user'
import { type Answer, always, fateOf, local, sweepEveryWay, takeOverEveryWay, terminateEveryWay } from '../helpers/acts'
import { spawnFixture } from '../helpers/fixture'
import { describeWhere, linux, root } from '../helpers/guards'
import { isKernelThread, pidsByHand, statByHand } from '../helpers/proc-by-hand'
import { asUser, runScenario } from '../helpers/scenario'
import { harmTo, witness } from '../helpers/witness'

const nobody = 65534
const marked = () => {
  const mark = randomUUID()
  const ours: SignatureParts = { env: { PIDPROOF_TEST_MARK: mark } }
  return { env: { ...process.env, PIDPROOF_TEST_MARK: mark }, ours }
}

interface Foreigner {
  readonly who: string
  readonly modifiers: string
  /** A sweep looks at processes of the own effective user only. */
  readonly sweep: string
}

const foreigners: readonly Foreigner[] = [
  { who: 'a process of another user', modifiers: `+gid=${nobody} +uid=${nobody}`, sweep: 'unlisted' },
  {
    who: 'a process with our real and a foreign effective user',
    modifiers: `+resuid=0,${nobody},0`,
    sweep: 'unlisted',
  },
  {
    who: 'a process with a foreign real and our effective user',
    modifiers: `+resuid=${nobody},0,0`,
    sweep: 'refused other-user',
  },
]

describeWhere([linux, root], 'root leaves other users alone:', () => {
  test.each(foreigners)('$who lives through every act', async ({ modifiers, sweep }) => {
    const { env, ours } = marked()
    const victim = await spawnFixture(`+pgrp ${modifiers} listen 127.0.0.1`, { env })
    const before = witness(victim.pid)
    const ended = await terminateEveryWay(await identify(victim.pid))
    expect(fateOf(victim.pid, ended)).toEqual(always('refused other-user', ended))
    const swept = await sweepEveryWay(ours)
    expect(fateOf(victim.pid, swept)).toEqual(always(sweep, swept))
    const taken = await takeOverEveryWay(local(victim.port), ours)
    expect(fateOf(victim.pid, taken)).toEqual(always('refused excluded-owner', taken))
    expect(harmTo(before)).toEqual([])
  })

  test.each(foreigners)('$who is ended by each act that is told users: any', async ({ modifiers }) => {
    const { env, ours } = marked()
    const acts: ((pid: number, port: number) => Promise<Answer[]>)[] = [
      async (pid) => terminateEveryWay(await identify(pid), { users: 'any' }),
      () => sweepEveryWay(ours, { users: 'any' }),
      (_, port) => takeOverEveryWay(local(port), ours, { users: 'any' }),
    ]
    for (const act of acts) {
      const { pid, port } = await spawnFixture(`+pgrp ${modifiers} listen 127.0.0.1`, { env })
      const [first] = Object.values(fateOf(pid, await act(pid, port)))
      expect(first).toContain('exited SIGTERM')
      expect(statByHand(pid)?.state ?? 'gone').toMatch(/^(?:Z|gone)$/)
    }
  })

  test('users: any lifts no other rule: the caller and its parent live', async () => {
    for (const pid of [process.pid, process.ppid]) {
      const answers = await terminateEveryWay(await identify(pid), { users: 'any', dryRun: true })
      expect(fateOf(pid, answers)).toEqual(always(pid === process.pid ? 'refused self' : 'refused ancestor', answers))
    }
  })
})

const kernelThreads =
  process.platform !== 'linux'
    ? []
    : pidsByHand().filter((pid) => {
        const stat = statByHand(pid)
        return stat !== undefined && isKernelThread(stat)
      })
const visibleThreads = { isMet: kernelThreads.length > 0, reason: 'needs kernel threads, which a container hides' }

describeWhere([linux, visibleThreads], 'kernel threads are left alone:', () => {
  test.each(kernelThreads.slice(0, 3))('thread %i is refused by name and by signature', async (pid) => {
    const before = statByHand(pid)?.startTicks
    const ended = await terminateEveryWay(await identify(pid), { users: 'any' })
    expect(fateOf(pid, ended)).toEqual(always('refused kernel-thread', ended))
    const swept = await sweepEveryWay({ test: (found) => found.pid === pid }, { users: 'any' })
    expect(fateOf(pid, swept)).toEqual(always('refused kernel-thread', swept))
    expect(statByHand(pid)?.startTicks).toBe(before)
  })
})

describeWhere([linux], 'what cannot be read is not ours:', () => {
  const asNobody = (input: ForeignInput): Promise<ForeignReport> => {
    return root.isMet ? asUser(nobody, nobody, 'kill-as-user', { input }) : runScenario('kill-as-user', { input })
  }

  test('an own process with an unreadable environment lives through sweep and takeover', async () => {
    const { own } = await asNobody({})
    expect(own.harm).toEqual([])
    expect(own.swept).toEqual({
      'sweep process': 'refused unknown',
      'sweep group': 'refused unknown',
      'sweep tree': 'refused unknown',
    })
    expect(new Set(Object.values(own.taken))).toEqual(new Set(['refused invisible-owner']))
    // Named by its identity it needs no evidence: it can be ended after all.
    expect(own.ended).toContain('exited SIGTERM')
  })

  describeWhere([root], 'an unprivileged caller', () => {
    test('ends nobody else by identity, sweep or takeover, whatever users says', async () => {
      const { env, ours } = marked()
      const victim = await spawnFixture('+pgrp listen 127.0.0.1', { env })
      const before = witness(victim.pid)
      const input = { others: { identity: await identify(victim.pid), port: victim.port, ours } }
      const { others } = await asNobody(input)
      expect(others).toEqual({
        named: ['refused other-user'],
        namedForAny: ['denied'],
        swept: ['unlisted'],
        sweptForAny: ['refused unknown'],
        taken: ['refused invisible-owner'],
        takenForAny: ['refused invisible-owner'],
      })
      expect(harmTo(before)).toEqual([])
    })
  })
})
