import { spawnSync } from 'node:child_process'
import { identify, type ProcessIdentity } from '../lib/identity'
import { waitForExit } from '../lib/wait'
import type { Leftovers } from './fixtures/scenarios/many-waits'
import { repository, scenarioArguments } from './helpers/build-fixtures'
import { FakeBinding } from './helpers/fake-binding'
import { type Fixture, spawnFixture } from './helpers/fixture'
import { describeWhere, linux } from './helpers/guards'
import { runScenario } from './helpers/scenario'

const gone = { exitCode: null, signal: null, alreadyGone: true }

/** A fake with one process of our user. */
function fakeWithOne(): { fake: FakeBinding; pid: number; identity: ProcessIdentity } {
  const fake = new FakeBinding()
  const { pid } = fake.add({ name: 'one' })
  return { fake, pid, identity: fake.identity(pid) }
}

/** The error, with what must hold after every failed wait: nothing is left behind. */
async function failureOf(fake: FakeBinding, wait: Promise<unknown>): Promise<Error & { code?: string; pid?: number }> {
  const error = await wait.then(
    () => new Error('it did not fail'),
    (reason) => reason,
  )
  expect([fake.openPinCount, fake.watchCount, fake.keepAlive]).toEqual([0, 0, false])
  return error
}

describe('waitForExit()', () => {
  test('tells how the process ended, and leaves nothing open', async () => {
    const { fake, pid, identity } = fakeWithOne()
    const wait = waitForExit(identity, {}, fake)
    fake.before('watchExit', () => setImmediate(() => fake.exit(pid, { exitCode: 3 })))
    expect(await wait).toEqual({ exitCode: 3, signal: null, alreadyGone: false })
    expect([fake.openPinCount, fake.watchCount]).toEqual([0, 0])
  })

  test('names the signal that ended it', async () => {
    const { fake, pid, identity } = fakeWithOne()
    fake.before('watchExit', () => setImmediate(() => fake.exit(pid, { signal: 15 })))
    expect(await waitForExit(identity, {}, fake)).toEqual({ exitCode: null, signal: 'SIGTERM', alreadyGone: false })
  })

  test('says nothing about the status where the kernel does not', async () => {
    const fake = new FakeBinding({ exitStatus: false })
    const { pid } = fake.add()
    fake.before('watchExit', () => setImmediate(() => fake.exit(pid)))
    expect(await waitForExit(fake.identity(pid), {}, fake)).toEqual({ ...gone, alreadyGone: false })
  })

  test('counts a zombie as exited before, with its status', async () => {
    const { fake, pid, identity } = fakeWithOne()
    fake.get(pid).notReaped = true
    fake.exit(pid, { exitCode: 4 })
    expect(await waitForExit(identity, {}, fake)).toEqual({ exitCode: 4, signal: null, alreadyGone: true })
  })

  test('counts as exited what is gone, was replaced or belongs to another boot', async () => {
    const { fake, pid, identity } = fakeWithOne()
    const other = fake.add()
    const identities = [identity, fake.identity(other.pid), { ...fake.identity(400), boot: 'an-earlier-one' }]
    fake.exit(pid)
    fake.reuse(other.pid)
    expect(await waitForExit(identities, {}, fake)).toEqual([gone, gone, gone])
    expect(fake.alive()).toContain(other.pid)
  })

  test('answers for several processes in their order, one of them twice', async () => {
    const fake = new FakeBinding()
    const [first, second] = [fake.add(), fake.add()]
    const identities = [first, second, first].map(({ pid }) => fake.identity(pid))
    const wait = waitForExit(identities, {}, fake)
    await new Promise((resolve) => setImmediate(resolve))
    fake.exit(second.pid, { exitCode: 2 })
    fake.exit(first.pid, { exitCode: 1 })
    expect((await wait).map(({ exitCode }) => exitCode)).toEqual([1, 2, 1])
    expect(fake.openPinCount).toBe(0)
  })

  test('has nothing to wait for in an empty list', async () => {
    expect(await waitForExit([], {}, new FakeBinding())).toEqual([])
  })

  test('rejects at the deadline with those that are still alive, and only those', async () => {
    const fake = new FakeBinding()
    const pids = [1, 2, 3].map(() => fake.add().pid)
    fake.before('watchExit', () => fake.exit(pids[1] ?? 0), { times: 1 })
    const wait = waitForExit(
      pids.map((pid) => fake.identity(pid)),
      { timeoutMs: 20 },
      fake,
    )
    const error = await failureOf(fake, wait)
    expect(error).toMatchObject({ code: 'ETIMEDOUT', survivors: [pids[0], pids[2]] })
    expect(error.message).toContain(`2 processes were still alive`)
  })

  test('finds an exit that has happened even when given no time', async () => {
    const { fake, pid, identity } = fakeWithOne()
    fake.get(pid).notReaped = true
    fake.exit(pid, { exitCode: 0 })
    expect(await waitForExit(identity, { timeoutMs: 0 }, fake)).toMatchObject({ exitCode: 0 })
    const alive = fake.identity(fake.add().pid)
    expect(await failureOf(fake, waitForExit(alive, { timeoutMs: 0 }, fake))).toMatchObject({ code: 'ETIMEDOUT' })
  })

  test('rejects with the reason of its signal, before anything is read or in the middle', async () => {
    const { fake, identity } = fakeWithOne()
    const reason = new Error('enough')
    const before = AbortSignal.abort(reason)
    expect(await failureOf(fake, waitForExit(identity, { signal: before }, fake))).toBe(reason)
    expect(fake.touched()).toBe(0)
    const abort = new AbortController()
    fake.before('watchExit', () => setImmediate(() => abort.abort(reason)))
    expect(await failureOf(fake, waitForExit(identity, { signal: abort.signal }, fake))).toBe(reason)
    const opening = new AbortController()
    fake.before('openPins', () => opening.abort(reason))
    expect(await failureOf(fake, waitForExit(identity, { signal: opening.signal }, fake))).toBe(reason)
  })

  test('refuses an identity of another pid namespace or of an unknown boot before anything is read', async () => {
    const { fake, identity } = fakeWithOne()
    const other = fake.identity(400)
    for (const strange of [
      { ...identity, namespace: '4026539999' },
      { ...identity, boot: '' },
    ]) {
      const error = await failureOf(fake, waitForExit([other, strange], {}, fake))
      expect(error).toMatchObject({ code: 'ENOTSUP', pid: identity.pid })
    }
    expect(fake.touched()).toBe(0)
  })

  test('does not take what cannot be looked at for gone', async () => {
    const { fake, pid, identity } = fakeWithOne()
    Object.assign(fake.get(pid), { hidden: true })
    expect(await failureOf(fake, waitForExit(identity, {}, fake))).toMatchObject({ code: 'ENOTSUP', pid })
  })

  test.each(['openPins', 'watchExit', 'pinState'] as const)('fails as a whole when %s does', async (method) => {
    const { fake, identity } = fakeWithOne()
    fake.fail(method, 'EMFILE')
    expect(await failureOf(fake, waitForExit([fake.identity(400), identity], {}, fake))).toMatchObject({
      name: 'OsError',
      code: 'EMFILE',
    })
  })

  test('keeps Node alive only while one that was told to is pending', async () => {
    const fake = new FakeBinding()
    const pids = [1, 2, 3].map(() => fake.add().pid)
    const waits = pids.map((pid, index) => waitForExit(fake.identity(pid), { keepAlive: index !== 2 }, fake))
    await new Promise((resolve) => setImmediate(resolve))
    expect([fake.watchCount, fake.keepAlive]).toEqual([3, true])
    for (const [index, pid] of pids.entries()) {
      fake.exit(pid)
      await waits[index]
      expect(fake.keepAlive).toBe(index === 0)
    }
  })

  test.each<[string, unknown]>([
    ['timeoutMs', Number.NaN],
    ['timeoutMs', -1],
    ['timeoutMs', Number.POSITIVE_INFINITY],
    ['timeoutMs', '100'],
    ['signal', {}],
    ['signal', 'SIGTERM'],
    ['keepAlive', 1],
    ['timeout', 100],
  ])('refuses the option %s: %p before anything is read', async (option, value) => {
    const { fake, identity } = fakeWithOne()
    const error = await failureOf(fake, waitForExit(identity, { [option]: value }, fake))
    expect(error.code).toBe('ERR_INVALID_ARG')
    expect(error.message).toContain(option)
    expect([fake.touched(), fake.calls.host]).toEqual([0, 0])
  })

  test.each<[string, (identity: ProcessIdentity) => unknown]>([
    ['identity', (identity) => identity.pid],
    ['identity', () => null],
    ['identity.startToken', (identity) => ({ ...identity, startToken: '12x' })],
    ['identity.boot', ({ boot, ...rest }) => rest],
    ['identities[1].pid', (identity) => [identity, { ...identity, pid: 0 }]],
  ])('refuses a garbled %s before anything is read', async (part, garble) => {
    const { fake, identity } = fakeWithOne()
    const error = await failureOf(fake, waitForExit(garble(identity) as ProcessIdentity, {}, fake))
    expect(error.code).toBe('ERR_INVALID_ARG')
    expect(error.message).toMatch(part)
    expect([fake.touched(), fake.calls.host]).toEqual([0, 0])
  })
})

describeWhere([linux], 'waitForExit() of live processes', () => {
  const spawnAll = (...words: string[]): Promise<Fixture[]> => Promise.all(words.map((each) => spawnFixture(each)))
  const identifyAll = (fixtures: readonly Fixture[]) => Promise.all(fixtures.map(({ pid }) => identify(pid)))

  test('shares one deadline, and tells how those ended that did', async () => {
    const fixtures = await spawnAll('die-by 9', 'exit 5', '+deaf forever')
    const identities = await identifyAll(fixtures)
    for (const fixture of fixtures) fixture.tell('')
    const error = await waitForExit(identities, { timeoutMs: 300 }).catch((reason) => reason)
    expect(error).toMatchObject({ code: 'ETIMEDOUT', survivors: [fixtures[2]?.pid] })
    expect(await waitForExit(identities.slice(0, 2))).toMatchObject([{ alreadyGone: true }, { alreadyGone: true }])
  })

  test('leaves the exit event of a child to Node', async () => {
    const [fixture] = await spawnAll('exit 5')
    if (fixture === undefined) throw new Error('no fixture')
    const wait = waitForExit(await identify(fixture.pid))
    fixture.tell('')
    await wait
    expect(await fixture.exited).toEqual({ code: 5, signal: null })
  })

  test('leaves neither listeners nor descriptors nor memory behind after 10,000 waits', async () => {
    const input = { waits: 10_000 }
    const left = await runScenario<Leftovers>('many-waits', { input, nodeArguments: ['--expose-gc'] })
    expect(left.endings).toEqual({
      'zombie: exited': 2500,
      'timeout: ETIMEDOUT': 2500,
      'abort: aborted': 2500,
      'aborted before: aborted': 2500,
    })
    expect(left.listeners).toBe(0)
    expect(left.descriptors[1]).toBe(left.descriptors[0])
    expect(left.heapGrowthBytes).toBeLessThan(1_000_000)
  })

  /** Runs a script with waitForExit and the identity of a live process at hand, in a Node of its own. */
  async function runNode(script: string): Promise<ReturnType<typeof spawnSync>> {
    scenarioArguments('many-waits')
    const [fixture] = await spawnAll('forever')
    const prelude = `
      require('./test/helpers/typescript-hook.cjs')
      const { identify } = require('./lib/identity.ts')
      const { waitForExit } = require('./lib/wait.ts')
      const pid = Number(process.argv[1])`
    const args = ['-e', `${prelude}\n${script}`, String(fixture?.pid)]
    return spawnSync(process.execPath, args, { cwd: repository, encoding: 'utf8', timeout: 30_000 })
  }

  test('lets Node end while a wait is pending', async () => {
    const ending = await runNode('identify(pid).then(waitForExit).then(console.log)')
    expect(ending).toMatchObject({ status: 0, signal: null, stdout: '', stderr: '' })
  })

  test('keeps Node alive until the time limit', async () => {
    const ending = await runNode(`
      identify(pid).then((it) => waitForExit(it, { timeoutMs: 50 })).catch(({ code }) => console.log(code))`)
    expect(ending).toMatchObject({ status: 0, stdout: 'ETIMEDOUT\n', stderr: '' })
  })

  test('keeps Node alive until the exit when told to, and for one that has happened', async () => {
    const ending = await runNode(`
      const kill = () => process.kill(pid, 'SIGKILL')
      identify(pid).then(async (it) => {
        const wait = waitForExit(it, { keepAlive: true }).then(() => console.log('exited'))
        setTimeout(kill, 20).unref()
        await wait
        await waitForExit(it).then(({ alreadyGone }) => console.log(alreadyGone))
        const self = await identify(process.pid)
        waitForExit(self).then(console.log)
      })`)
    expect(ending).toMatchObject({ status: 0, stdout: 'exited\ntrue\n', stderr: '' })
  })
})
