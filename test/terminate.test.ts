import { constants } from 'node:os'
import { performance } from 'node:perf_hooks'
import type { ProcessIdentity } from '../lib/identity'
import { readProcess } from '../lib/process'
import { openProcess } from '../lib/ref'
import { type Progress, type TerminationReport, terminate, terminateSync } from '../lib/terminate'
import { expectClean, outcomeOf, signalsTo, summary } from './helpers/ending'
import { FakeBinding, type FakeOptions, type FakeProcessInit } from './helpers/fake-binding'

const { SIGTERM, SIGKILL, SIGSTOP, SIGCONT, SIGUSR1 } = constants.signals
const deaf: FakeProcessInit = { ignores: [SIGTERM] }
const quick = { graceMs: 20, killWaitMs: 500 }

describe('terminate() of one process', () => {
  test('asks, wakes, waits and reports', async () => {
    const fake = new FakeBinding()
    const { pid } = fake.add({ name: 'backend' })
    const report = await terminate(fake.identity(pid), {}, fake)
    expect(report).toMatchObject({ ok: true, dryRun: false, settled: true })
    expect(outcomeOf(report, pid)).toMatchObject({
      name: 'backend',
      role: 'target',
      outcome: 'exited',
      exit: { exitCode: null, signal: 'SIGTERM' },
      atomic: true,
      evidence: [{ part: 'identity', holds: true }],
    })
    expect(signalsTo(fake, pid)[0]).toBe(SIGTERM)
    expect(fake.alive()).not.toContain(pid)
    expectClean(fake)
  })

  test('a process that ignores it is killed after the grace', async () => {
    const fake = new FakeBinding()
    const { pid } = fake.add(deaf)
    const report = await terminate(fake.identity(pid), quick, fake)
    const { outcome, signals, ms } = outcomeOf(report, pid)
    expect({ outcome, signals }).toEqual({ outcome: 'killed', signals: ['SIGTERM', 'SIGCONT', 'SIGKILL'] })
    expect(ms).toBeGreaterThanOrEqual(19)
    expect(report.ok).toBe(true)
  })

  test('a stopped process is woken to obey', async () => {
    const fake = new FakeBinding()
    const { pid } = fake.add({ state: 'T' })
    const report = await terminate(fake.identity(pid), {}, fake)
    expect(outcomeOf(report, pid)).toMatchObject({ outcome: 'exited', signals: ['SIGTERM', 'SIGCONT'] })
  })

  test('graceMs 0 kills at once', async () => {
    const fake = new FakeBinding()
    const { pid } = fake.add()
    const report = await terminate(fake.identity(pid), { graceMs: 0 }, fake)
    expect(signalsTo(fake, pid)).toEqual([SIGKILL])
    expect(outcomeOf(report, pid).outcome).toBe('killed')
  })

  test('another polite signal is followed by SIGCONT, SIGKILL and SIGSTOP are not', async () => {
    const fake = new FakeBinding()
    const [one, two, three] = [fake.add({ state: 'T' }), fake.add(), fake.add()]
    await terminate(fake.identity(one.pid), { signal: 'SIGUSR1' }, fake)
    expect(signalsTo(fake, one.pid)).toEqual([SIGUSR1, SIGCONT])
    const report = await terminate(fake.identity(two.pid), { signal: 'SIGKILL' }, fake)
    expect(signalsTo(fake, two.pid)).toEqual([SIGKILL])
    expect(outcomeOf(report, two.pid).outcome).toBe('killed')
    await terminate(fake.identity(three.pid), { signal: 'SIGSTOP', force: false, graceMs: 5 }, fake)
    expect(signalsTo(fake, three.pid)).toEqual([SIGSTOP])
  })

  test('without force it is only asked', async () => {
    const fake = new FakeBinding()
    const { pid } = fake.add(deaf)
    const report = await terminate(fake.identity(pid), { ...quick, force: false }, fake)
    expect(outcomeOf(report, pid)).toMatchObject({ outcome: 'alive', reason: 'not-forced', state: 'sleeping' })
    expect(signalsTo(fake, pid)).not.toContain(SIGKILL)
    expect(report.ok).toBe(false)
    expectClean(fake)
  })

  test('what SIGKILL does not end is reported alive, with its state', async () => {
    const fake = new FakeBinding()
    const [stuck, slow] = [fake.add({ unkillable: true, state: 'D' }), fake.add({ unkillable: true })]
    const targets = [fake.identity(stuck.pid), fake.identity(slow.pid)]
    const report = await terminate(targets, { graceMs: 5, killWaitMs: 30 }, fake)
    expect(summary(report)).toEqual({ [stuck.pid]: 'alive: unkillable', [slow.pid]: 'alive: deadline' })
    expect(outcomeOf(report, stuck.pid).state).toBe('uninterruptible')
    expect(report.ok).toBe(false)
    expectClean(fake)
  })

  test('an exit that is told before the answer to the signal is still an exit by it', async () => {
    const fake = new FakeBinding()
    const { pid } = fake.add(deaf)
    const slowly = fake.signalPins.bind(fake)
    // Exit notices come from another thread than answers: let all of them be first.
    fake.signalPins = async (...call) => {
      const answer = await slowly(...call)
      await new Promise((resolve) => setTimeout(resolve, 5))
      return answer
    }
    const report = await terminate(fake.identity(pid), quick, fake)
    expect(outcomeOf(report, pid)).toMatchObject({ outcome: 'killed', signals: ['SIGTERM', 'SIGCONT', 'SIGKILL'] })
    expect(outcomeOf(report, pid).ms).toBeGreaterThan(0)
  })

  test('without an exit status the last signal tells how it ended', async () => {
    const fake = new FakeBinding({ exitStatus: false })
    const [polite, dumb] = [fake.add(), fake.add(deaf)]
    const report = await terminate([fake.identity(polite.pid), fake.identity(dumb.pid)], quick, fake)
    expect(summary(report)).toEqual({ [polite.pid]: 'exited', [dumb.pid]: 'killed' })
    expect(outcomeOf(report, dumb.pid).exit).toEqual({ exitCode: null, signal: null })
  })

  test('one that exits by itself under SIGKILL has exited', async () => {
    const fake = new FakeBinding()
    const { pid } = fake.add({ ...deaf, onSignal: (signal) => signal === SIGKILL && fake.exit(pid, { exitCode: 3 }) })
    const report = await terminate(fake.identity(pid), quick, fake)
    expect(outcomeOf(report, pid)).toMatchObject({ outcome: 'exited', exit: { exitCode: 3, signal: null } })
  })

  test('a kernel without race-free signals shows in the report', async () => {
    const fake = new FakeBinding({ atomic: false })
    const { pid } = fake.add()
    expect(outcomeOf(await terminate(fake.identity(pid), {}, fake), pid).atomic).toBe(false)
  })

  test('a row and a reference are targets as well, and the reference keeps its pin', async () => {
    const fake = new FakeBinding()
    const [one, two] = [fake.add(), fake.add()]
    const ref = await openProcess(fake.identity(two.pid), fake)
    const report = await terminate([await readProcess(one.pid, {}, fake), ref], {}, fake)
    expect(summary(report)).toEqual({ [one.pid]: 'exited', [two.pid]: 'exited' })
    expect(fake.openPinCount).toBe(1)
    expect(ref.state()).toBe('gone')
    ref.close()
    expectClean(fake)
    await expect(terminate(ref, {}, fake)).rejects.toMatchObject({ code: 'ERR_INVALID_ARG' })
  })

  test('one process that is named twice is ended once', async () => {
    const fake = new FakeBinding()
    const { pid } = fake.add(deaf)
    const plain = { ...fake.identity(pid), unique: null }
    const report = await terminate([fake.identity(pid), plain, fake.identity(pid)], quick, fake)
    expect(report.outcomes).toHaveLength(1)
    expect(signalsTo(fake, pid).filter((signal) => signal === SIGKILL)).toHaveLength(1)
  })

  test('no targets are no work', async () => {
    const fake = new FakeBinding()
    expect(await terminate([], {}, fake)).toMatchObject({ ok: true, outcomes: [] })
    expect(fake.touched()).toBe(0)
  })
})

describe('what has ended already', () => {
  test('is already gone: reaped, a zombie, or dead between pin and signal', async () => {
    const fake = new FakeBinding()
    const [reaped, zombie, dying, other] = [fake.add(), fake.add({ state: 'Z' }), fake.add(), fake.add()]
    const targets = [reaped, zombie, dying, other].map(({ pid }) => fake.identity(pid))
    fake.exit(reaped.pid)
    fake.before('watchExit', () => fake.exit(dying.pid))
    const report = await terminate(targets, {}, fake)
    expect(summary(report)).toEqual({
      [reaped.pid]: 'already-gone',
      [zombie.pid]: 'already-gone',
      [dying.pid]: 'already-gone',
      [other.pid]: 'exited',
    })
    expect(fake.delivered.every(({ pid }) => pid === other.pid)).toBe(true)
    expect(report.ok).toBe(true)
    expectClean(fake)
  })

  test('a successor to its pid is never signalled, whenever it came', async () => {
    const moments = ['openPins', 'scan', 'signalPins', 'watchExit'] as const
    for (const moment of moments) {
      for (const uniqueIds of [true, false]) {
        const fake = new FakeBinding({ uniqueIds })
        const { pid } = fake.add()
        const identity = fake.identity(pid)
        let innocent: { readonly startToken: bigint } | undefined
        fake.before(moment, () => {
          innocent = fake.reuse(pid)
        })
        const report = await terminate(identity, quick, fake)
        expect([moment, summary(report)[pid]]).toEqual([moment, expect.stringMatching(/^(replaced|already-gone)$/)])
        expect(fake.delivered).toEqual([])
        expect(fake.get(pid).startToken).toBe(innocent?.startToken)
        expectClean(fake)
      }
    }
  })

  test('a pid that was reused within the same clock tick is told apart by the unique id', async () => {
    const fake = new FakeBinding()
    const { pid, startToken } = fake.add()
    const identity = fake.identity(pid)
    fake.reuse(pid, { startToken })
    expect(summary(await terminate(identity, {}, fake))).toEqual({ [pid]: 'replaced' })
    expect(fake.alive()).toContain(pid)
  })
})

describe('what must not be signalled', () => {
  async function refused(fake: FakeBinding, identity: ProcessIdentity, options = {}) {
    const bystander = fake.add()
    const report = await terminate([identity, fake.identity(bystander.pid)], options, fake)
    expect(fake.delivered.every(({ pid }) => pid === bystander.pid)).toBe(true)
    expect(report.ok).toBe(false)
    expect(outcomeOf(report, bystander.pid).outcome).toBe('exited')
    expectClean(fake)
    const { outcome, reason, evidence } = outcomeOf(report, identity.pid)
    expect(outcome).toBe('refused')
    expect(evidence.some(({ holds }) => holds !== true)).toBe(true)
    return reason
  }

  test.each<[string, number, FakeOptions]>([
    ['self', 500, {}],
    ['ancestor', 400, {}],
    ['ancestor', 1, {}],
    ['kernel-thread', 2, { uid: 0 }],
  ])('%s: pid %p, in every scope and whatever users says', async (reason, pid, options) => {
    for (const scope of ['process', 'group', 'tree'] as const) {
      for (const users of ['self', 'any'] as const) {
        const fake = new FakeBinding(options)
        expect(await refused(fake, fake.identity(pid), { scope, users })).toBe(reason)
      }
    }
  })

  test.each<[string, FakeProcessInit, FakeOptions]>([
    ['other-user', { uid: 1001 }, { uid: 1000 }],
    ['other-user', { uid: 1001 }, { uid: 0 }],
    ['other-user', { uid: 1000, euid: 0 }, { uid: 1000 }],
    ['other-namespace', { nested: true }, { uid: 0 }],
    ['unknown', { missing: { uid: 'denied' } }, { uid: 1000 }],
    ['unknown-identity', { hidden: true }, { uid: 1000 }],
  ])('%s: %p', async (reason, init, options) => {
    const fake = new FakeBinding(options)
    const { pid } = fake.add(init)
    expect(await refused(fake, fake.identity(pid))).toBe(reason)
    expect(fake.alive()).toContain(pid)
  })

  test('users any ends the processes of others, as far as the system lets us', async () => {
    const root = new FakeBinding({ uid: 0 })
    const { pid } = root.add({ uid: 1001 })
    expect(summary(await terminate(root.identity(pid), { users: 'any' }, root))).toEqual({ [pid]: 'exited' })
    const user = new FakeBinding()
    const other = user.add({ uid: 1001 })
    const report = await terminate(user.identity(other.pid), { users: 'any' }, user)
    expect(summary(report)).toEqual({ [other.pid]: 'denied' })
    expect(report.ok).toBe(false)
  })

  test.each<[string, Partial<ProcessIdentity>]>([
    ['other-boot', { boot: 'another-boot' }],
    ['other-namespace', { namespace: '1' }],
    ['unknown-identity', { boot: '' }],
  ])('%s: an identity with %p', async (reason, change) => {
    const fake = new FakeBinding()
    const { pid } = fake.add()
    expect(await refused(fake, { ...fake.identity(pid), ...change })).toBe(reason)
    expect(fake.alive()).toContain(pid)
  })

  test('too young for minAgeMs', async () => {
    const fake = new FakeBinding()
    const young = fake.add({ startedAtMs: Date.now() - 1000 })
    const old = fake.add({ startedAtMs: Date.now() - 10_000 })
    const targets = [fake.identity(young.pid), fake.identity(old.pid)]
    const report = await terminate(targets, { minAgeMs: 5000 }, fake)
    expect(summary(report)).toEqual({ [young.pid]: 'refused: too-young', [old.pid]: 'exited' })
  })

  test('of unknown age, when there is a floor', async () => {
    const fake = new FakeBinding()
    const { pid } = fake.add({ missing: { startedAt: 'denied' } })
    expect(summary(await terminate(fake.identity(pid), { minAgeMs: 1 }, fake))).toEqual({ [pid]: 'refused: unknown' })
  })

  test('a process that hides after it was pinned', async () => {
    const fake = new FakeBinding()
    const { pid } = fake.add()
    const identity = fake.identity(pid)
    const scan = fake.scan.bind(fake)
    fake.scan = async (fields, filter) => {
      if (filter.pids?.includes(pid)) fake.get(pid).hidden = true
      return scan(fields, filter)
    }
    expect(summary(await terminate(identity, {}, fake))).toEqual({ [pid]: 'refused: unknown' })
    expect(fake.delivered).toEqual([])
  })
})

describe('what the operating system refuses', () => {
  test('EPERM is denied, and the others still end', async () => {
    const fake = new FakeBinding()
    const [one, two] = [fake.add(), fake.add()]
    fake.fail('signalPins', 'EPERM', { pid: one.pid, times: 9 })
    const report = await terminate([fake.identity(one.pid), fake.identity(two.pid)], {}, fake)
    expect(summary(report)).toEqual({ [one.pid]: 'denied', [two.pid]: 'exited' })
    expect(outcomeOf(report, one.pid).evidence).toContainEqual({
      part: 'permission',
      expected: 'to signal it',
      found: 'EPERM',
      holds: false,
    })
    expect(report.ok).toBe(false)
  })

  test('EPERM for SIGKILL only, after a set-id exec', async () => {
    const fake = new FakeBinding()
    const { pid } = fake.add({ ...deaf, onSignal: () => fake.fail('signalPins', 'EPERM', { pid, times: 9 }) })
    const report = await terminate(fake.identity(pid), { ...quick, signal: 'SIGTERM' }, fake)
    expect(outcomeOf(report, pid)).toMatchObject({ outcome: 'denied' })
    expect(fake.alive()).toContain(pid)
  })

  test.each([
    ['openPins', 'EMFILE'],
    ['scan', 'ENFILE'],
    ['signalPins', 'ENOMEM'],
    ['watchExit', 'EMFILE'],
    ['openPins', 'ENOTSUP'],
  ] as const)('a failure of ours before the first signal (%s: %s) fails the call', async (method, code) => {
    const fake = new FakeBinding()
    const [one, two] = [fake.add(), fake.add()]
    fake.fail(method, code, method === 'openPins' ? { pid: two.pid } : {})
    const targets = [fake.identity(one.pid), fake.identity(two.pid)]
    await expect(terminate(targets, {}, fake)).rejects.toMatchObject({ code })
    expect(fake.delivered).toEqual([])
    expectClean(fake)
  })

  test('a look that fails after the first signal does not let anybody escape', async () => {
    const fake = new FakeBinding()
    const leader = fake.add(deaf)
    const member = fake.fork(leader.pid)
    leader.onSignal = (signal) => {
      if (signal === SIGTERM) fake.fail('scan', 'EMFILE', { times: 1 })
    }
    const report = await terminate(fake.identity(leader.pid), { ...quick, scope: 'group' }, fake)
    expect(summary(report)).toEqual({ [leader.pid]: 'killed', [member.pid]: 'killed' })
    expect(report).toMatchObject({ ok: false, settled: false, failure: { code: 'EMFILE' } })
    expectClean(fake)
  })

  test('nor does it keep the call waiting for nobody', async () => {
    const fake = new FakeBinding()
    const { pid } = fake.add({ onSignal: () => fake.fail('scan', 'EMFILE') })
    const begin = performance.now()
    const report = await terminate(fake.identity(pid), { graceMs: 20_000, scope: 'group' }, fake)
    expect(performance.now() - begin).toBeLessThan(5000)
    expect(report).toMatchObject({ ok: false, settled: false, failure: { code: 'EMFILE' } })
    expect(summary(report)).toEqual({ [pid]: 'exited' })
  })
})

describe('one deadline for all', () => {
  test('thirty deaf processes take one grace, not thirty', async () => {
    const fake = new FakeBinding()
    const targets = Array.from({ length: 30 }, () => fake.identity(fake.add(deaf).pid))
    const begin = performance.now()
    const report = await terminate(targets, { graceMs: 60 }, fake)
    expect(performance.now() - begin).toBeLessThan(600)
    expect(Object.values(summary(report))).toEqual(targets.map(() => 'killed'))
  })

  test('it ends as soon as all have exited', async () => {
    const fake = new FakeBinding()
    const targets = Array.from({ length: 5 }, () => fake.identity(fake.add({ dieAfterMs: 20 }).pid))
    const begin = performance.now()
    await terminate(targets, { graceMs: 20_000 }, fake)
    expect(performance.now() - begin).toBeLessThan(5000)
  })

  test('waiting neither reads nor signals', async () => {
    const fake = new FakeBinding()
    const { pid } = fake.add({ dieAfterMs: 60 })
    let touched = 0
    await terminate(
      fake.identity(pid),
      {
        graceMs: 5000,
        onProgress: ({ phase }) => {
          if (phase === 'asking') touched = fake.touched()
        },
      },
      fake,
    )
    expect(fake.touched() - touched).toBe(0)
  })
})

describe('all or nothing', () => {
  test.each<[string, FakeProcessInit]>([
    ['refused', { uid: 1001 }],
    ['unknown', { hidden: true }],
    ['out of reach', { missing: { uid: 'denied' } }],
  ])('nobody is signalled when one target is %s', async (_what, init) => {
    const fake = new FakeBinding()
    const [good, bad] = [fake.add(), fake.add(init)]
    const targets = [fake.identity(good.pid), fake.identity(bad.pid)]
    const report = await terminate(targets, { allOrNothing: true }, fake)
    expect(fake.delivered).toEqual([])
    expect(summary(report)[good.pid]).toBe('refused: all-or-nothing')
    expect(report.ok).toBe(false)
  })

  test('nor when the system would not let us signal one', async () => {
    const fake = new FakeBinding()
    const [good, bad] = [fake.add(), fake.add()]
    fake.fail('signalPins', 'EPERM', { pid: bad.pid, times: 9 })
    const targets = [fake.identity(good.pid), fake.identity(bad.pid)]
    const report = await terminate(targets, { allOrNothing: true }, fake)
    expect(summary(report)).toEqual({ [good.pid]: 'refused: all-or-nothing', [bad.pid]: 'denied' })
    expect(fake.delivered).toEqual([])
  })

  test('nor when a member of the scope may not be ended', async () => {
    const fake = new FakeBinding()
    const leader = fake.add()
    const member = fake.fork(leader.pid, { uid: 1001 })
    const report = await terminate(fake.identity(leader.pid), { allOrNothing: true, scope: 'group' }, fake)
    expect(summary(report)).toEqual({ [leader.pid]: 'refused: all-or-nothing', [member.pid]: 'refused: other-user' })
    expect(fake.delivered).toEqual([])
  })

  test('what is gone already does not matter', async () => {
    const fake = new FakeBinding()
    const [gone, replaced, good] = [fake.add(), fake.add(), fake.add()]
    const targets = [gone, replaced, good].map(({ pid }) => fake.identity(pid))
    fake.exit(gone.pid)
    fake.reuse(replaced.pid)
    const report = await terminate(targets, { allOrNothing: true }, fake)
    expect(summary(report)).toEqual({ [gone.pid]: 'already-gone', [replaced.pid]: 'replaced', [good.pid]: 'exited' })
    expect(report.ok).toBe(true)
  })
})

describe('a dry run', () => {
  test('reports the same, of the same shape, and signals nobody', async () => {
    const build = () => {
      const fake = new FakeBinding()
      const leader = fake.add({ ...deaf, name: 'leader' })
      fake.fork(leader.pid, { uid: 1001 })
      fake.fork(leader.pid)
      const zombie = fake.add({ state: 'Z' })
      return { fake, targets: [leader.pid, zombie.pid, 500].map((pid) => fake.identity(pid)) }
    }
    const dry = build()
    const rehearsed = await terminate(dry.targets, { ...quick, scope: 'tree', dryRun: true }, dry.fake)
    expect(dry.fake.delivered).toEqual([])
    expectClean(dry.fake)
    const real = build()
    const done = await terminate(real.targets, { ...quick, scope: 'tree' }, real.fake)
    const shape = (report: TerminationReport) =>
      report.outcomes.map(({ identity, role, name, evidence, outcome, reason }) => {
        const ended = outcome === 'exited' || outcome === 'killed' || reason === 'dry-run'
        return { pid: identity.pid, role, name, evidence, ended, reason: ended ? undefined : reason }
      })
    expect(shape(rehearsed)).toEqual(shape(done))
    expect(Object.keys(rehearsed).sort()).toEqual(Object.keys(done).sort())
    expect(outcomeOf(rehearsed, dry.targets[0]?.pid ?? 0)).toMatchObject({
      outcome: 'alive',
      reason: 'dry-run',
      signals: [],
    })
  })

  test('is ok when nothing would be refused', async () => {
    const fake = new FakeBinding()
    const { pid } = fake.add()
    expect(await terminate(fake.identity(pid), { dryRun: true }, fake)).toMatchObject({ ok: true, dryRun: true })
    expect(await terminate(fake.identity(500), { dryRun: true }, fake)).toMatchObject({ ok: false })
    expect(fake.alive()).toContain(pid)
  })
})

describe('abort', () => {
  test('before: its reason, and nothing is read', async () => {
    const fake = new FakeBinding()
    const { pid } = fake.add()
    const reason = new Error('not now')
    await expect(terminate(fake.identity(pid), { abort: AbortSignal.abort(reason) }, fake)).rejects.toBe(reason)
    expect(fake.touched()).toBe(0)
  })

  test('while waiting: nobody is killed, and nothing stays open', async () => {
    const fake = new FakeBinding()
    const { pid } = fake.add(deaf)
    const controller = new AbortController()
    const reason = new Error('enough')
    const onProgress = ({ phase }: Progress) => {
      if (phase === 'asking') setImmediate(() => controller.abort(reason))
    }
    const ending = terminate(fake.identity(pid), { graceMs: 60_000, abort: controller.signal, onProgress }, fake)
    await expect(ending).rejects.toBe(reason)
    expect(signalsTo(fake, pid)).toEqual([SIGTERM, SIGCONT])
    expectClean(fake)
  })

  test.each(['openPins', 'scan'] as const)('during %s: nobody is signalled, and no pin is lost', async (method) => {
    const fake = new FakeBinding()
    const { pid } = fake.add()
    const controller = new AbortController()
    fake.before(method, () => controller.abort(new Error('enough')))
    await expect(terminate(fake.identity(pid), { abort: controller.signal }, fake)).rejects.toThrow('enough')
    expect(fake.delivered).toEqual([])
    expectClean(fake)
  })

  test('while frozen: everybody is woken again', async () => {
    const fake = new FakeBinding()
    const controller = new AbortController()
    const root = fake.add({ onSignal: (signal) => signal === SIGSTOP && controller.abort(new Error('enough')) })
    const child = fake.fork(root.pid)
    const ending = terminate(fake.identity(root.pid), { scope: 'tree', abort: controller.signal }, fake)
    await expect(ending).rejects.toThrow('enough')
    expect([root, child].map(({ state }) => state)).toEqual(['S', 'S'])
    expect(signalsTo(fake, child.pid)).toEqual([SIGSTOP, SIGCONT])
    expectClean(fake)
  })

  test('what onProgress throws ends the call as cleanly', async () => {
    const fake = new FakeBinding()
    const { pid } = fake.add(deaf)
    const onProgress = () => {
      throw new Error('mine')
    }
    await expect(terminate(fake.identity(pid), { onProgress }, fake)).rejects.toThrow('mine')
    expectClean(fake)
  })
})

describe('progress', () => {
  test('goes through the phases and ends with nobody alive', async () => {
    const fake = new FakeBinding()
    const targets = [fake.identity(fake.add(deaf).pid), fake.identity(fake.add().pid)]
    const seen: Progress[] = []
    await terminate(targets, { ...quick, onProgress: (progress) => seen.push(progress) }, fake)
    const phases = seen.map(({ phase }) => phase)
    expect([...new Set(phases)]).toEqual(['asking', 'waiting', 'forcing', 'done'])
    expect(seen[0]).toMatchObject({ total: 2 })
    expect(seen.at(-1)).toMatchObject({ phase: 'done', alive: 0, total: 2 })
    expect(seen.every(({ elapsedMs }, index) => elapsedMs >= (seen[index - 1]?.elapsedMs ?? 0))).toBe(true)
  })
})

describe('terminateSync()', () => {
  test('asks, waits for its budget and kills, without events', () => {
    const fake = new FakeBinding()
    const [polite, dumb, gone] = [fake.add(), fake.add(deaf), fake.add()]
    const targets = [polite, dumb, gone].map(({ pid }) => fake.identity(pid))
    fake.exit(gone.pid)
    const report = terminateSync(targets, { budgetMs: 40 }, fake)
    expect(summary(report)).toEqual({ [polite.pid]: 'exited', [dumb.pid]: 'killed', [gone.pid]: 'already-gone' })
    expect(fake.calls).toMatchObject({ scan: 0, openPins: 0, signalPins: 0, watchExit: 0 })
    expect(report.ok).toBe(true)
    expectClean(fake)
  })

  test('keeps to its budget', () => {
    const fake = new FakeBinding()
    const { pid } = fake.add({ unkillable: true })
    const begin = performance.now()
    expect(summary(terminateSync(fake.identity(pid), { budgetMs: 60 }, fake))).toEqual({ [pid]: 'alive: deadline' })
    expect(performance.now() - begin).toBeLessThan(400)
  })

  test('budgetMs 0 kills at once', () => {
    const fake = new FakeBinding()
    const { pid } = fake.add()
    terminateSync(fake.identity(pid), { budgetMs: 0 }, fake)
    expect(signalsTo(fake, pid)).toEqual([SIGKILL])
  })

  test('has the same rules, scopes and dry run', () => {
    const fake = new FakeBinding()
    const leader = fake.add()
    const member = fake.fork(leader.pid)
    const targets = [fake.identity(leader.pid), fake.identity(500), fake.identity(400)]
    const rehearsed = terminateSync(targets, { scope: 'group', dryRun: true }, fake)
    expect(fake.delivered).toEqual([])
    expect(summary(rehearsed)).toEqual({
      [leader.pid]: 'alive: dry-run',
      [member.pid]: 'alive: dry-run',
      500: 'refused: self',
      400: 'refused: ancestor',
    })
    expect(summary(terminateSync(targets, { scope: 'group', budgetMs: 40 }, fake))).toEqual({
      [leader.pid]: 'exited',
      [member.pid]: 'exited',
      500: 'refused: self',
      400: 'refused: ancestor',
    })
  })

  test('takes in what is forked while it asks', () => {
    const fake = new FakeBinding()
    const leader = fake.add({ onSignal: (signal) => signal === SIGTERM && fake.fork(leader.pid, deaf) })
    const report = terminateSync(fake.identity(leader.pid), { scope: 'group', budgetMs: 60 }, fake)
    expect(Object.values(summary(report))).toEqual(['exited', 'killed'])
    expect(report.ok).toBe(true)
  })

  test('a failure before the first signal is thrown', () => {
    const fake = new FakeBinding()
    const { pid } = fake.add()
    fake.fail('openPinsSync', 'EMFILE')
    expect(() => terminateSync(fake.identity(pid), {}, fake)).toThrow(expect.objectContaining({ code: 'EMFILE' }))
    expect(fake.delivered).toEqual([])
    expectClean(fake)
  })
})
