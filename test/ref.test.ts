import { identify, type ProcessIdentity } from '../lib/identity'
import { native } from '../lib/native'
import { closePinned, openPins, openPinsSync, type Pinned, signalPins, signalPinsSync } from '../lib/pins'
import { openProcess, type ProcessRef, pinOf, type SignalResult, signalProcess, signalProcessSync } from '../lib/ref'
import type { SignalName } from '../lib/signals'
import { countPidfds } from './helpers/exits'
import { FakeBinding } from './helpers/fake-binding'
import { spawnFixture } from './helpers/fixture'
import { describeWhere, linux } from './helpers/guards'
import { livesByHand } from './helpers/proc-by-hand'

type Failure = Error & { code?: string; pid?: number }

function fakeWithOne(
  init: Parameters<FakeBinding['add']>[0] = {},
  options?: ConstructorParameters<typeof FakeBinding>[0],
) {
  const fake = new FakeBinding(options)
  const { pid } = fake.add({ name: 'one', ...init })
  return { fake, pid, identity: fake.identity(pid) }
}

async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  return promise.then(
    () => new Error('it did not fail'),
    (reason) => reason,
  )
}

const unsent = (outcome: SignalResult['outcome']): SignalResult => ({ delivered: false, outcome, atomic: null })
const sent: SignalResult = { delivered: true, outcome: 'sent', atomic: true }

describe('openProcess()', () => {
  test('pins a running process, and a zombie', async () => {
    const { fake, pid, identity } = fakeWithOne({ notReaped: true })
    const ref = await openProcess(identity, fake)
    expect(ref.identity).toEqual(identity)
    expect(ref.state()).toBe('running')
    fake.exit(pid)
    const again = await openProcess(identity, fake)
    expect([ref.state(), again.state()]).toEqual(['zombie', 'zombie'])
    fake.reap(pid)
    expect(ref.state()).toBe('gone')
    ref.close()
    again.close()
    expect(fake.openPinCount).toBe(0)
  })

  test('rejects for a process that is gone', async () => {
    const { fake, pid, identity } = fakeWithOne()
    fake.exit(pid)
    expect(await failureOf(openProcess(identity, fake))).toMatchObject({
      name: 'NoSuchProcessError',
      code: 'ESRCH',
      pid,
    })
  })

  test('rejects when another process has the pid, which one catch serves with the former', async () => {
    const { fake, pid, identity } = fakeWithOne()
    fake.reuse(pid)
    const error = await failureOf(openProcess(identity, fake))
    expect(error).toMatchObject({ name: 'ProcessReplacedError', code: 'ERR_PROCESS_REPLACED', pid })
    expect(fake.openPinCount).toBe(0)
  })

  test.each<[string, Partial<ProcessIdentity>]>([
    ['another boot', { boot: 'an-earlier-one' }],
    ['an unknown boot', { boot: '' }],
    ['another pid namespace', { namespace: '4026539999' }],
  ])('rejects an identity of %s before anything is read', async (_, part) => {
    const { fake, pid, identity } = fakeWithOne()
    expect(await failureOf(openProcess({ ...identity, ...part }, fake))).toMatchObject({ code: 'ENOTSUP', pid })
    expect(fake.touched()).toBe(0)
  })

  test('rejects what it cannot tell, and its own shortage under its own code', async () => {
    const { fake, pid, identity } = fakeWithOne({ hidden: true })
    expect(await failureOf(openProcess(identity, fake))).toMatchObject({
      name: 'NotSupportedError',
      code: 'ENOTSUP',
      pid,
    })
    fake.fail('openPins', 'EMFILE')
    expect(await failureOf(openProcess(identity, fake))).toMatchObject({ name: 'OsError', code: 'EMFILE' })
  })

  test.each([undefined, null, 7, 'v1:7:1:-:-:-', [], {}, { pid: 7 }])(
    'refuses %p instead of an identity',
    async (value) => {
      const fake = new FakeBinding()
      expect((await failureOf(openProcess(value as ProcessIdentity, fake))).code).toBe('ERR_INVALID_ARG')
      expect([fake.touched(), fake.calls.host]).toEqual([0, 0])
    },
  )
})

describe('a ProcessRef', () => {
  test('signals the process that it was opened for and no later one', async () => {
    const { fake, pid, identity } = fakeWithOne({ ignores: [15] })
    const ref = await openProcess(identity, fake)
    expect(await ref.signal('SIGTERM')).toEqual(sent)
    expect(fake.delivered).toMatchObject([{ pid, signal: 15, scope: 0 }])
    fake.reuse(pid)
    expect(await ref.signal('SIGKILL')).toEqual(unsent('already-gone'))
    expect(fake.delivered).toHaveLength(1)
    expect(fake.alive()).toContain(pid)
    ref.close()
  })

  test('says that a zombie felt nothing', async () => {
    const { fake, pid, identity } = fakeWithOne({ notReaped: true })
    const ref = await openProcess(identity, fake)
    fake.exit(pid)
    expect(await ref.signal('SIGKILL')).toEqual(unsent('already-gone'))
    ref.close()
  })

  test('rejects when the operating system refuses the signal', async () => {
    const { fake, pid, identity } = fakeWithOne({ uid: 4242 })
    const ref = await openProcess(identity, fake)
    expect(await failureOf(ref.signal('SIGTERM'))).toMatchObject({ name: 'AccessDeniedError', code: 'EPERM', pid })
    expect(fake.delivered).toEqual([])
    ref.close()
  })

  test('says when a signal might have reached somebody else', async () => {
    const { fake, identity } = fakeWithOne({}, { atomic: false })
    using ref = await openProcess(identity, fake)
    expect(await ref.signal('SIGTERM')).toEqual({ ...sent, atomic: false })
  })

  test('tells how the process ended, also after it has', async () => {
    const { fake, pid, identity } = fakeWithOne()
    const ref = await openProcess(identity, fake)
    const exited = ref.exited()
    fake.exit(pid, { exitCode: 6 })
    expect(await exited).toEqual({ exitCode: 6, signal: null, alreadyGone: false })
    expect(await ref.exited()).toEqual({ exitCode: 6, signal: null, alreadyGone: true })
    ref.close()
  })

  test('rejects at the deadline and by its signal, and can be waited for again', async () => {
    const { fake, pid, identity } = fakeWithOne()
    const ref = await openProcess(identity, fake)
    expect(await failureOf(ref.exited({ timeoutMs: 1 }))).toMatchObject({ code: 'ETIMEDOUT', survivors: [pid] })
    const abort = new AbortController()
    const wait = failureOf(ref.exited({ signal: abort.signal }))
    abort.abort('enough')
    expect(await wait).toBe('enough')
    expect(fake.watchCount).toBe(0)
    fake.exit(pid)
    expect(await ref.exited({ timeoutMs: 0 })).toMatchObject({ exitCode: 0 })
    ref.close()
  })

  test('goes on with pending waits after close(), then gives its descriptor back', async () => {
    const { fake, pid, identity } = fakeWithOne()
    const ref = await openProcess(identity, fake)
    const [exited, late] = [ref.exited(), failureOf(ref.exited({ timeoutMs: 5 }))]
    ref.close()
    expect(await late).toMatchObject({ code: 'ETIMEDOUT' })
    fake.exit(pid)
    expect(await exited).toMatchObject({ exitCode: 0 })
    expect(fake.openPinCount).toBe(0)
  })

  test('answers nothing once closed, and may be closed twice', async () => {
    const { fake, identity } = fakeWithOne()
    const ref = await openProcess(identity, fake)
    expect(pinOf(ref)).toBeDefined()
    ref.close()
    ref.close()
    const calls = fake.touched()
    expect((await failureOf(ref.signal('SIGTERM'))).code).toBe('ERR_INVALID_ARG')
    expect((await failureOf(ref.exited())).code).toBe('ERR_INVALID_ARG')
    for (const ask of [() => ref.state(), () => pinOf(ref)]) expect(ask).toThrow(/open ProcessRef/)
    expect(fake.touched()).toBe(calls)
  })

  test('is closed at the end of its scope', async () => {
    const { fake, identity } = fakeWithOne()
    {
      using one = await openProcess(identity, fake)
      await using other = await openProcess(identity, fake)
      expect([one.state(), other.state(), fake.openPinCount]).toEqual(['running', 'running', 2])
    }
    expect(fake.openPinCount).toBe(0)
  })

  test('refuses unknown signals and options before anything is asked', async () => {
    const { fake, identity } = fakeWithOne()
    using ref = await openProcess(identity, fake)
    const calls = fake.touched()
    for (const signal of [0, 9, 'SIGNOPE', 'sigterm', undefined, null] as unknown as SignalName[]) {
      expect((await failureOf(ref.signal(signal))).code).toBe('ERR_INVALID_ARG')
    }
    expect((await failureOf(ref.exited({ timeoutMs: -1 }))).code).toBe('ERR_INVALID_ARG')
    expect(fake.touched()).toBe(calls)
  })
})

describe.each<[string, (...args: Parameters<typeof signalProcess>) => Promise<SignalResult>]>([
  ['signalProcess()', signalProcess],
  ['signalProcessSync()', async (...args) => signalProcessSync(...args)],
])('%s', (_, signal) => {
  test('signals exactly that process and leaves nothing open', async () => {
    const { fake, pid, identity } = fakeWithOne()
    expect(await signal(identity, 'SIGHUP', fake)).toEqual(sent)
    expect(fake.delivered).toMatchObject([{ pid, signal: 1 }])
    expect(fake.openPinCount).toBe(0)
  })

  test('signals nobody else when the process is gone, is a zombie or was replaced', async () => {
    const { fake, pid, identity } = fakeWithOne()
    fake.reuse(pid)
    expect(await signal(identity, 'SIGKILL', fake)).toEqual(unsent('replaced'))
    const zombie = fake.add({ notReaped: true })
    const zombieIdentity = fake.identity(zombie.pid)
    fake.exit(zombie.pid)
    expect(await signal(zombieIdentity, 'SIGKILL', fake)).toEqual(unsent('already-gone'))
    fake.reap(zombie.pid)
    expect(await signal(zombieIdentity, 'SIGKILL', fake)).toEqual(unsent('already-gone'))
    expect(fake.delivered.filter((delivery) => delivery.pid === pid)).toEqual([])
    expect(fake.alive()).toContain(pid)
    expect(fake.openPinCount).toBe(0)
  })

  test('signals nobody when it cannot tell, or the identity is of elsewhere', async () => {
    const { fake, identity } = fakeWithOne({ hidden: true })
    expect(await signal(identity, 'SIGKILL', fake)).toEqual(unsent('unknown'))
    const calls = fake.touched()
    expect(await signal({ ...identity, boot: '' }, 'SIGKILL', fake)).toEqual(unsent('unknown'))
    expect(await signal({ ...identity, boot: 'an-earlier-one' }, 'SIGKILL', fake)).toEqual(unsent('elsewhere'))
    expect(await signal({ ...identity, namespace: '1' }, 'SIGKILL', fake)).toEqual(unsent('elsewhere'))
    expect(fake.delivered).toEqual([])
    expect(fake.touched()).toBe(calls)
  })

  test('fails when the operating system refuses or is short of something', async () => {
    const { fake, pid, identity } = fakeWithOne({ uid: 4242 })
    expect(await failureOf(signal(identity, 'SIGTERM', fake))).toMatchObject({ code: 'EPERM', pid })
    for (const method of ['openPins', 'openPinsSync'] as const) fake.fail(method, 'ENFILE')
    expect(await failureOf(signal(identity, 'SIGTERM', fake))).toMatchObject({ name: 'OsError', code: 'ENFILE' })
    expect(fake.openPinCount).toBe(0)
  })

  test('refuses numbers, unknown names and garbled identities before anything is read', async () => {
    const { fake, identity } = fakeWithOne()
    for (const name of [0, 15, 'SIGNOPE', 'TERM', undefined] as unknown as SignalName[]) {
      expect((await failureOf(signal(identity, name, fake))).code).toBe('ERR_INVALID_ARG')
    }
    for (const wrong of [identity.pid, { ...identity, unique: '-1' }] as unknown as ProcessIdentity[]) {
      expect((await failureOf(signal(wrong, 'SIGKILL', fake))).code).toBe('ERR_INVALID_ARG')
    }
    expect([fake.touched(), fake.calls.host]).toEqual([0, 0])
  })
})

describe.each([
  ['openPins()', openPins, signalPins],
  ['openPinsSync()', openPinsSync, signalPinsSync],
])('%s', (_, open, signal) => {
  test('asks once for all processes that count here, and answers in their order', async () => {
    const fake = new FakeBinding()
    const pids = ['running', 'gone', 'replaced', 'zombie'].map(
      (name) => fake.add({ name, notReaped: name === 'zombie' }).pid,
    )
    const [running, ended, replaced, zombie] = pids.map((pid) => fake.identity(pid)) as [
      ProcessIdentity,
      ProcessIdentity,
      ProcessIdentity,
      ProcessIdentity,
    ]
    fake.exit(ended.pid)
    fake.reuse(replaced.pid)
    fake.exit(zombie.pid)
    const elsewhere = { ...running, namespace: '1' }
    fake.fail('openPins', 'EMFILE', { pid: 400 })
    fake.fail('openPinsSync', 'EMFILE', { pid: 400 })
    const identities = [elsewhere, running, { ...running, boot: '' }, ended, replaced, zombie, fake.identity(400)]
    const outcomes = await open(identities, fake)
    expect(outcomes.map(({ identity }) => identity)).toEqual(identities)
    expect(outcomes).toMatchObject([
      { status: 'elsewhere' },
      { status: 'pinned', liveness: 'running' },
      { status: 'unknown' },
      { status: 'gone' },
      { status: 'replaced' },
      { status: 'pinned', liveness: 'zombie' },
      { status: 'failed', error: { code: 'EMFILE', pid: 400 } },
    ])
    expect(fake.calls.openPins + fake.calls.openPinsSync).toBe(1)
    closePinned(outcomes, fake)
    expect(fake.openPinCount).toBe(0)
  })

  test('gives pins through which a batch is signalled, one outcome each', async () => {
    const fake = new FakeBinding()
    const [mine, theirs, ended] = [fake.add(), fake.add({ uid: 4242 }), fake.add()]
    const outcomes = await open(
      [mine, theirs, ended].map(({ pid }) => fake.identity(pid)),
      fake,
    )
    const pinned: Pinned[] = outcomes.filter((outcome) => outcome.status === 'pinned')
    fake.exit(ended.pid)
    expect(await signal(pinned, 0, 'process', fake)).toMatchObject([
      { outcome: 'sent', atomic: true },
      { outcome: 'failed', error: { code: 'EPERM', pid: theirs.pid } },
      { outcome: 'already-gone' },
    ])
    expect(fake.delivered).toEqual([])
    await signal(pinned.slice(0, 1), 'SIGTERM', 'group', fake)
    expect(fake.delivered).toMatchObject([{ pid: mine.pid, signal: 15, scope: 1 }])
  })
})

describeWhere([linux], 'a ProcessRef of a live process', () => {
  let ref: ProcessRef
  afterEach(() => ref.close())

  test('asks, signals and waits through one descriptor', async () => {
    const fixture = await spawnFixture('forever')
    const identity = await identify(fixture.pid)
    const before = countPidfds()
    ref = await openProcess(identity)
    expect(countPidfds()).toBe(before + 1)
    expect(ref.state()).toBe('running')
    const exited = ref.exited()
    expect(await ref.signal('SIGTERM')).toEqual(sent)
    expect(await exited).toEqual({ exitCode: null, signal: 'SIGTERM', alreadyGone: false })
    await fixture.exited
    expect(ref.state()).toBe('gone')
    expect(await ref.signal('SIGKILL')).toEqual(unsent('already-gone'))
    ref.close()
    expect(countPidfds()).toBe(before)
    expect(await failureOf(openProcess(identity))).toMatchObject({ code: 'ESRCH', pid: fixture.pid })
  })

  test('closes no descriptor of anybody else when closed twice', async () => {
    const identity = await identify(process.pid)
    ref = await openProcess(identity)
    ref.close()
    const next = await openProcess(identity)
    ref.close()
    expect(next.state()).toBe('running')
    next.close()
  })

  test('refuses an identity with another start, and the process lives', async () => {
    const fixture = await spawnFixture('forever')
    const identity = await identify(fixture.pid)
    const shifted = { ...identity, startToken: String(BigInt(identity.startToken) + 1n), unique: null }
    expect(await failureOf(openProcess(shifted))).toMatchObject({ code: 'ERR_PROCESS_REPLACED' })
    for (const acting of [signalProcess(shifted, 'SIGKILL'), signalProcessSync(shifted, 'SIGKILL')]) {
      expect(await acting).toEqual(unsent('replaced'))
    }
    ref = await openProcess(identity)
    expect(ref.state()).toBe('running')
    expect(livesByHand(fixture.pid)).toBe(true)
  })

  test('is what signalProcess() uses, and its twin', async () => {
    const fixture = await spawnFixture('+deaf forever')
    const identity = await identify(fixture.pid)
    expect(await signalProcess(identity, 'SIGTERM')).toEqual(sent)
    ref = await openProcess(identity, native())
    expect(signalProcessSync(identity, 'SIGKILL')).toEqual(sent)
    expect(await ref.exited({ timeoutMs: 10_000 })).toMatchObject({ signal: 'SIGKILL' })
  })
})
