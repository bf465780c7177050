import { constants } from 'node:os'
import { argv } from '../lib/argv'
import { type SignatureParts, signature } from '../lib/signature'
import { type SweepOptions, sweep } from '../lib/sweep'
import { expectClean, outcomeOf, signalsTo, summary } from './helpers/ending'
import { FakeBinding, type FakeProcess, type FakeProcessInit } from './helpers/fake-binding'

const { SIGTERM, SIGKILL, SIGSTOP, SIGCONT } = constants.signals
const marker = { APP: 'mine' }
const ours: SignatureParts = { env: marker }
const quick = { graceMs: 150, killWaitMs: 1000 }

async function sweepOf(fake: FakeBinding, options: Partial<SweepOptions> = {}) {
  const report = await sweep({ ours, ...quick, ...options }, fake)
  expect(fake.alive()).toEqual(expect.arrayContaining([1, 400, 500]))
  expectClean(fake)
  return report
}

describe('sweep()', () => {
  test('ends all that is ours, wherever it is, and nothing else', async () => {
    const fake = new FakeBinding()
    const [one, two] = [fake.add({ env: marker }), fake.add({ env: marker, ignores: [SIGTERM], state: 'T' })]
    const others = [fake.add(), fake.add({ env: { APP: 'yours' } }), fake.add({ env: { XAPP: 'mine', APPX: 'mine' } })]
    const report = await sweepOf(fake)
    expect(summary(report)).toEqual({ [one.pid]: 'exited', [two.pid]: 'killed' })
    expect(report).toMatchObject({ ok: true, settled: true, considered: 2 })
    expect(outcomeOf(report, one.pid)).toMatchObject({
      role: 'target',
      evidence: expect.arrayContaining([{ part: 'env.APP', expected: 'mine', found: 'mine', holds: true }]),
    })
    expect(fake.alive()).toEqual(expect.arrayContaining(others.map(({ pid }) => pid)))
  })

  test('nothing of ours is a result, and costs no pin', async () => {
    const fake = new FakeBinding()
    fake.add()
    expect(await sweepOf(fake)).toMatchObject({ ok: true, outcomes: [], considered: 0 })
    expect(fake.calls).toMatchObject({ openPins: 0, signalPins: 0 })
  })

  test('decides natively what is literal: other environments do not become strings', async () => {
    const fake = new FakeBinding()
    const filters: unknown[] = []
    const scan = fake.scan.bind(fake)
    fake.scan = (fields, filter) => {
      filters.push(filter)
      return scan(fields, filter)
    }
    await sweepOf(fake, { ours: { env: marker, exe: 'app', argv: '--x' } })
    expect(filters[0]).toEqual({
      uids: Uint32Array.of(1000),
      exe: ['app'],
      argvTokens: [],
      argvSequences: [['--x']],
      env: ['APP=mine'],
    })
  })

  test('patterns and functions decide about what is left', async () => {
    const fake = new FakeBinding()
    const two = fake.add({ env: { APP: 'mine-2' }, argv: ['app', '--port=2'] })
    fake.add({ env: { APP: 'mine-x' }, argv: ['app', '--port=3'] })
    fake.add({ env: { APP: 'mine-2' }, argv: ['app', '--port=4'] })
    const report = await sweepOf(fake, {
      ours: signature({
        env: { APP: /^mine-\d$/ },
        argv: argv.pattern(/^--port=/),
        test: ({ argv }) => argv?.[1] !== '--port=4',
      }),
    })
    expect(summary(report)).toEqual({ [two.pid]: 'exited' })
    expect(report.considered).toBe(3)
  })

  test('the caller and its ancestors match without harm, and without spoiling the result', async () => {
    const fake = new FakeBinding()
    Object.assign(fake.get(500), { env: ['APP=mine'] })
    Object.assign(fake.get(400), { env: ['APP=mine'] })
    const stale = fake.add({ env: marker })
    for (const allOrNothing of [true, false]) {
      const report = await sweepOf(fake, { allOrNothing, dryRun: allOrNothing })
      expect(summary(report)).toEqual({
        400: 'refused: ancestor',
        500: 'refused: self',
        [stale.pid]: allOrNothing ? 'alive: dry-run' : 'exited',
      })
      expect(report.ok).toBe(true)
    }
  })

  test('other users are not looked at, unless users is any', async () => {
    const fake = new FakeBinding({ uid: 0 })
    const other = fake.add({ uid: 1001, env: marker })
    expect(await sweepOf(fake)).toMatchObject({ ok: true, outcomes: [] })
    expect(fake.alive()).toContain(other.pid)
    expect(summary(await sweepOf(fake, { users: 'any' }))).toEqual({ [other.pid]: 'exited' })
  })

  test('a set-id program of ours is refused, as its real user is somebody else', async () => {
    const fake = new FakeBinding({ uid: 0 })
    const { pid } = fake.add({ uid: 1001, euid: 0, env: marker })
    const report = await sweepOf(fake)
    expect(summary(report)).toEqual({ [pid]: 'refused: other-user' })
    expect(report.ok).toBe(false)
  })

  test('a signature about another user matches nobody of ours', async () => {
    const fake = new FakeBinding()
    fake.add({ env: marker })
    expect(await sweepOf(fake, { ours: { env: marker, uid: 1001 } })).toMatchObject({ outcomes: [], considered: 0 })
    expect(fake.calls.scan).toBe(0)
  })

  describe('what cannot be judged', () => {
    const hidden: FakeProcessInit = { env: marker, missing: { env: 'denied' } }

    test('is listed as unknown and left alone', async () => {
      const fake = new FakeBinding()
      const [unknown, good] = [fake.add(hidden), fake.add({ env: marker })]
      const report = await sweepOf(fake)
      expect(summary(report)).toEqual({ [unknown.pid]: 'refused: unknown', [good.pid]: 'exited' })
      expect(outcomeOf(report, unknown.pid).evidence).toEqual([
        { part: 'env.APP', expected: 'mine', holds: 'unknown', reason: 'denied' },
      ])
      expect(report.ok).toBe(false)
      expect(fake.alive()).toContain(unknown.pid)
    })

    test('is not listed when another part speaks against it, or it is out of the question anyway', async () => {
      const fake = new FakeBinding()
      fake.add({ ...hidden, name: 'other' })
      fake.add({ ...hidden, uid: 1001, euid: 1000, name: 'app' })
      Object.assign(fake.get(400), { missing: { env: 'denied' }, name: 'app' })
      expect(await sweepOf(fake, { ours: { env: marker, name: 'app' } })).toMatchObject({ ok: true, outcomes: [] })
    })

    test('holds back all or nothing', async () => {
      const fake = new FakeBinding()
      const [unknown, good] = [fake.add(hidden), fake.add({ env: marker })]
      const report = await sweepOf(fake, { allOrNothing: true })
      expect(summary(report)).toEqual({ [unknown.pid]: 'refused: unknown', [good.pid]: 'refused: all-or-nothing' })
      expect(fake.delivered).toEqual([])
    })

    test('is not listed when it has ended since', async () => {
      const fake = new FakeBinding()
      const { pid } = fake.add(hidden)
      fake.before('openPins', () => fake.exit(pid))
      expect(await sweepOf(fake)).toMatchObject({ ok: true, outcomes: [] })
    })

    test('ends when it can be judged a moment later', async () => {
      const fake = new FakeBinding()
      const process = fake.add(hidden)
      // It was a set-id program until it changed to another one.
      fake.before('openPins', () => Object.assign(process, { missing: {} }))
      expect(summary(await sweepOf(fake))).toEqual({ [process.pid]: 'exited' })
    })

    test('but belongs to the tree of one of ours ends with it', async () => {
      const fake = new FakeBinding()
      const root = fake.add({ env: marker })
      const child = fake.fork(root.pid, hidden)
      const report = await sweepOf(fake, { scope: 'tree' })
      expect(summary(report)).toEqual({ [root.pid]: 'exited', [child.pid]: 'exited' })
      expect(report.ok).toBe(true)
    })
  })

  test('a process that becomes another program after it was found is left alone', async () => {
    const fake = new FakeBinding()
    const process = fake.add({ env: marker })
    fake.before('openPins', () => Object.assign(process, { env: ['APP=yours'], argv: ['innocent'] }))
    const report = await sweepOf(fake, { allOrNothing: true })
    expect(summary(report)).toEqual({ [process.pid]: 'refused: foreign' })
    expect(fake.delivered).toEqual([])
    expect(report.ok).toBe(true)
  })

  test('but not when it belongs to the tree of one of ours', async () => {
    const fake = new FakeBinding()
    const root = fake.add({ env: marker })
    const child = fake.fork(root.pid)
    // Listed between fork and exec, with the environment of its parent still.
    fake.before('openPins', () => Object.assign(child, { env: ['APP=yours'] }))
    const report = await sweepOf(fake, { scope: 'tree' })
    expect(summary(report)).toEqual({ [root.pid]: 'exited', [child.pid]: 'exited' })
    expect(report.ok).toBe(true)
  })

  test('a successor to its pid is left alone', async () => {
    const fake = new FakeBinding()
    const { pid } = fake.add({ env: marker })
    fake.before('openPins', () => fake.reuse(pid, { env: { APP: 'yours' } }))
    const report = await sweepOf(fake)
    expect(summary(report)).toEqual({ [pid]: 'replaced' })
    expect(fake.alive()).toContain(pid)
  })

  describe('except', () => {
    test('spares identities, and does not count against the result', async () => {
      const fake = new FakeBinding()
      const [spared, other] = [fake.add({ env: marker }), fake.add({ env: marker })]
      const except = [fake.identity(spared.pid)]
      const report = await sweepOf(fake, { except, allOrNothing: true })
      expect(summary(report)).toEqual({ [spared.pid]: 'refused: excepted', [other.pid]: 'exited' })
      expect(report.ok).toBe(true)
    })

    test('spares what a function says, in the tree of another one too, with all below it', async () => {
      const fake = new FakeBinding()
      const root = fake.add({ env: marker })
      const spared = fake.fork(root.pid, { argv: ['app', 'keep'], pid: 7000, pgid: 7000, sid: 7000, env: {} })
      const below = fake.fork(spared.pid, { pid: 7001, argv: ['app'] })
      const report = await sweepOf(fake, { scope: 'tree', except: ({ argv }) => argv?.includes('keep') ?? false })
      expect(summary(report)).toEqual({ [root.pid]: 'exited', [spared.pid]: 'refused: excepted' })
      expect(fake.alive()).toEqual(expect.arrayContaining([spared.pid, below.pid]))
    })

    test.each<[string, unknown]>([
      ['text', 'x'],
      ['a pid', [500]],
    ])('%s is a TypeError', async (_what, except) => {
      const fake = new FakeBinding()
      await expect(sweep({ ours, except } as SweepOptions, fake)).rejects.toMatchObject({ name: 'TypeError' })
      expect(fake.touched()).toBe(0)
    })
  })

  test.each<[string, Partial<SweepOptions>]>([
    ['test', { ours: { env: marker, test: () => fails() } }],
    ['a test that answers with a promise', { ours: { env: marker, test: (async () => true) as never } }],
    ['except', { except: () => fails() }],
    ['an except that answers with a promise', { except: (async () => false) as never }],
  ])('what %s throws rejects before anybody is signalled', async (_what, options) => {
    const fake = new FakeBinding()
    fake.add({ env: marker })
    await expect(sweep({ ours, ...quick, ...options }, fake)).rejects.toThrow(/mine|true or false/)
    expect(fake.delivered).toEqual([])
    expectClean(fake)
  })

  test('what a test throws later on rejects after everybody known has been ended', async () => {
    const fake = new FakeBinding()
    const first = fake.add({ env: marker, ignores: [SIGTERM] })
    first.onSignal = (signal) => signal === SIGTERM && fake.add({ env: marker, name: 'late' })
    const test = ({ name }: { readonly name?: string | undefined }) => (name === 'late' ? fails() : true)
    await expect(sweep({ ours: { env: marker, test }, ...quick }, fake)).rejects.toThrow('mine')
    expect(fake.alive()).not.toContain(first.pid)
    expectClean(fake)
  })

  test('a dry run has the same report, and signals nobody', async () => {
    const fake = new FakeBinding()
    const [one, unknown] = [fake.add({ env: marker }), fake.add({ env: marker, missing: { env: 'denied' } })]
    const report = await sweepOf(fake, { dryRun: true })
    expect(summary(report)).toEqual({ [one.pid]: 'alive: dry-run', [unknown.pid]: 'refused: unknown' })
    expect(fake.delivered).toEqual([])
  })

  test('olderThanMs spares what is younger', async () => {
    const fake = new FakeBinding()
    const old = fake.add({ env: marker, startedAtMs: Date.now() - 60_000 })
    const young = fake.add({ env: marker, startedAtMs: Date.now() - 1000 })
    expect(summary(await sweepOf(fake, { ours: { env: marker, olderThanMs: 30_000 } }))).toEqual({
      [old.pid]: 'exited',
    })
    expect(fake.alive()).toContain(young.pid)
  })

  describe('what turns up meanwhile', () => {
    test('is asked and ended as well', async () => {
      const fake = new FakeBinding()
      const late: FakeProcess[] = []
      const first = fake.add({ env: marker })
      first.onSignal = (signal) => signal === SIGTERM && late.push(fake.add({ env: marker, ignores: [SIGTERM] }))
      const report = await sweepOf(fake)
      expect(summary(report)).toEqual({ [first.pid]: 'exited', [late[0]?.pid ?? 0]: 'killed' })
      expect(signalsTo(fake, late[0]?.pid ?? 0).slice(0, 2)).toEqual([SIGTERM, SIGCONT])
      expect(report).toMatchObject({ ok: true, settled: true })
    })

    /** The link that is listed has exited when it is pinned, except by a pin made at once. */
    function chain(fake: FakeBinding, leader: FakeProcess | undefined, isSlow: boolean) {
      let link: FakeProcess = leader ? fake.fork(leader.pid) : fake.add({ env: marker })
      const hop = () => {
        if (link.gone || link.state === 'T') return
        const next = fake.fork(link.pid)
        fake.exit(link.pid)
        link = next
      }
      fake.before('openPins', hop, { times: 99_999 })
      if (!isSlow) fake.before('openPinsSync', hop, { times: 99_999 })
      return () => link
    }

    test('faster than it can be pinned ends by the signal to the group of one of ours', async () => {
      const fake = new FakeBinding()
      const leader = fake.add({ env: marker })
      const last = chain(fake, leader, false)
      const report = await sweepOf(fake)
      expect(last().gone).toBe(true)
      expect(fake.delivered.some(({ signal, scope }) => signal === SIGKILL && scope === 1)).toBe(true)
      expect(report).toMatchObject({ ok: true, settled: true })
    })

    test('without a leader is stopped at once when it is caught', async () => {
      const fake = new FakeBinding()
      const last = chain(fake, undefined, true)
      const report = await sweepOf(fake)
      expect(last().gone).toBe(true)
      expect(signalsTo(fake, last().pid)[0]).toBe(SIGSTOP)
      expect(report).toMatchObject({ ok: true, settled: true })
    })

    test('is not ended by group either when all its links are too young', async () => {
      const fake = new FakeBinding()
      const leader = fake.add({ env: marker })
      const last = chain(fake, leader, false)
      const report = await sweepOf(fake, { minAgeMs: 60_000, killWaitMs: 100 })
      expect(last().gone).toBe(false)
      expect(fake.delivered.every(({ pid, scope }) => pid === leader.pid && scope === 0)).toBe(true)
      expect(report.ok).toBe(false)
    })

    test('that was never seen to match is not ended by group either, and that is reported', async () => {
      const fake = new FakeBinding()
      const leader = fake.add({ env: marker })
      const unseen = fake.fork(leader.pid)
      const scan = fake.scan.bind(fake)
      fake.scan = async (fields, filter) => {
        Object.assign(unseen, { pgid: 1, env: [] })
        const found = await scan(fields, filter)
        unseen.pgid = leader.pid
        return found
      }
      const report = await sweepOf(fake, { killWaitMs: 100 })
      expect(unseen.gone).toBe(false)
      expect(report).toMatchObject({ ok: false, settled: false })
    })

    test.each<[string, FakeProcessInit, Partial<SweepOptions>]>([
      ['another user', { uid: 1001, euid: 0 }, {}],
      ['a namespace below', { nested: true }, {}],
      ['a name that is excepted', { name: 'keep' }, { except: ({ name }) => name === 'keep' }],
      ['an age below the floor', { startedAtMs: Date.now() }, { minAgeMs: 60_000 }],
      ['an unreadable environment', { missing: { env: 'denied' } }, {}],
    ])('does not make us stop, for a moment only, one of %s', async (_what, init, options) => {
      const fake = new FakeBinding({ uid: 0 })
      const first = fake.add({ env: marker })
      chain(fake, undefined, true)
      let late: FakeProcess | undefined
      first.onSignal = () => {
        late ??= fake.add({ env: marker, ...init })
      }
      await sweepOf(fake, options)
      expect(fake.calls.openPinsSync).toBeGreaterThan(0)
      expect(fake.alive()).toContain(late?.pid)
      expect(signalsTo(fake, late?.pid ?? 0)).toEqual([])
    })

    test('is not ended by group while a stranger is in it', async () => {
      const fake = new FakeBinding()
      const leader = fake.add({ env: marker })
      const stranger = fake.fork(leader.pid, { env: {} })
      chain(fake, leader, false)
      const report = await sweepOf(fake, { killWaitMs: 100 })
      expect(fake.alive()).toContain(stranger.pid)
      expect(fake.delivered.every(({ scope }) => scope === 0)).toBe(true)
      expect(report).toMatchObject({ ok: false, settled: false })
    })
  })
})

function fails(): never {
  throw new Error('mine')
}
