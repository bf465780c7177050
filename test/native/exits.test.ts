import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { type NativeExit, type NativePin, native } from '../../lib/native'
import type { Teardown, TeardownInput } from '../fixtures/scenarios/exit-teardown'
import type { Exits } from '../fixtures/scenarios/exits'
import type { Exhaustion } from '../fixtures/scenarios/exits-without-descriptors'
import { repository, scenarioArguments } from '../helpers/build-fixtures'
import {
  closeAllPins,
  countDescriptors,
  countPidfds,
  exitOf,
  pinAll,
  pinOne,
  sleepsOf,
  watcherThreads,
} from '../helpers/exits'
import { spawnFixture } from '../helpers/fixture'
import { describeWhere, linux, linuxAtLeast, root, testWhere } from '../helpers/guards'
import { asUser, runScenario } from '../helpers/scenario'
import { within } from '../helpers/until'

jest.setTimeout(120_000)

/** A natively made error is of the realm outside the test's. */
const typeError = expect.objectContaining({ name: 'TypeError' })

/** Before Linux 6.15 a status is lost when the parent collects it before the watcher looks. */
function toldAs(exit: NativeExit): readonly NativeExit[] {
  return linuxAtLeast(6, 15).isMet ? [exit] : [exit, {}]
}

/** Starts many processes that sleep, children of a shell that collects them, and hands over their pids. */
async function withSleepers(count: number, body: (pids: number[]) => Promise<void>): Promise<void> {
  const script = `i=0; while [ $i -lt ${count} ]; do sleep 300 & echo $!; i=$((i+1)); done; echo all; wait`
  const shell = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const pids: number[] = []
  const started = new Promise<void>((resolve) => {
    createInterface(shell.stdout).on('line', (line) => (line === 'all' ? resolve() : pids.push(Number(line))))
  })
  const ended = once(shell, 'exit')
  try {
    await within(60_000, `${count} processes`, started)
    await body(pids)
  } finally {
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // That one has ended already.
      }
    }
    await within(30_000, 'the end of the shell', ended)
  }
}

/** Runs a script with the library at hand as `native` and `pinOne`, in a Node of its own. */
function runNode(script: string, ...args: string[]): ReturnType<typeof spawnSync> {
  scenarioArguments('exits')
  const prelude = `
    require('./test/helpers/typescript-hook.cjs')
    const { native } = require('./lib/native.ts')
    const { pinOne } = require('./test/helpers/exits.ts')
    const pid = Number(process.argv[1])`
  const options = { cwd: repository, encoding: 'utf8', timeout: 30_000 } as const
  return spawnSync(process.execPath, ['-e', `${prelude}\n${script}`, ...args], options)
}

describeWhere([linux], 'waiting for exits', () => {
  afterEach(closeAllPins)

  test('tells exit code or signal of a child, of a zombie and of what has been reaped', async () => {
    const told = await runScenario<Exits>('exits')
    expect(toldAs({ exitCode: 7 })).toContainEqual(told.byCode)
    expect(toldAs({ signal: 15 })).toContainEqual(told.bySignal)
    expect(told.zombie).toEqual({ exitCode: 0 })
  })

  testWhere([linuxAtLeast(6, 15)], 'tells the exit code of a process that was reaped before the wait', async () => {
    expect((await runScenario<Exits>('exits')).reaped).toEqual({ exitCode: 9 })
  })

  test.each([['pidfd_exit'], ['pidfd_info,pidfs,pidfd_handle'], ['pidfd_open'], ['pidfd_open,pidfd_send_signal']])(
    'works without %s, and then says nothing about what was reaped',
    async (without) => {
      const told = await runScenario<Exits>('exits', { without: without.split(',') })
      expect(told.zombie).toEqual({ exitCode: 0 })
      expect(told.reaped).toEqual({})
      expect(told.shared).toEqual(['first', 'last'])
      expect(told.waited).toEqual([
        [false, false],
        [true, false],
        [true, true],
      ])
    },
  )

  test('tells every wait on one pin, and none that was taken back', async () => {
    expect((await runScenario<Exits>('exits')).shared).toEqual(['first', 'last'])
  })

  test('waits on the calling thread until the time is over, or until all have exited', async () => {
    expect((await runScenario<Exits>('exits')).waited).toEqual([
      [false, false],
      [true, false],
      [true, true],
    ])
  })

  test('tells of an exit exactly once', async () => {
    const [first, second] = [await spawnFixture('exit 1'), await spawnFixture('exit 2')]
    const told: NativeExit[] = []
    const watched = native().watchExit(await pinOne(first.pid), (exit) => told.push(exit))
    expect(watched.ok).toBe(true)
    first.tell('')
    await first.exited
    const pin = await pinOne(second.pid)
    second.tell('')
    await exitOf(pin)
    expect(told).toHaveLength(1)
    expect(toldAs({ exitCode: 1 })).toContainEqual(told[0])
  })

  test('never tells of an exit that is no longer waited for, even when it has happened', async () => {
    const fixture = await spawnFixture('exit 0')
    const pin = await pinOne(fixture.pid)
    fixture.tell('')
    await fixture.exited
    const told: NativeExit[] = []
    const watch = native().watchExit(pin, (exit) => told.push(exit))
    if (!watch.ok) throw new Error(watch.code)
    native().unwatchExit(watch.value)
    native().unwatchExit(watch.value)
    await exitOf(pin)
    expect(told).toEqual([])
  })

  test('does not take a process whose main thread has ended for one that has exited', async () => {
    const fixture = await spawnFixture('leader-exit')
    const pin = await pinOne(fixture.pid)
    expect(native().waitPinsSync([pin], 20)).toEqual({ ok: true, value: [false] })
    const exit = exitOf(pin)
    process.kill(fixture.pid, 'SIGKILL')
    expect(toldAs({ signal: 9 })).toContainEqual(await exit)
  })

  test('does not take an exec, by whichever thread, for an exit', async () => {
    for (const verb of ['exec-on-stdin', 'exec-from-thread']) {
      const fixture = await spawnFixture(`${verb} forever`)
      const told: NativeExit[] = []
      const exited = exitOf(await pinOne(fixture.pid)).then((exit) => told.push(exit))
      fixture.tell('')
      expect(await fixture.next()).toMatchObject({ word: 'ready', pid: fixture.pid })
      expect(told).toEqual([])
      process.kill(fixture.pid, 'SIGKILL')
      await exited
    }
  })

  test('goes on with a wait whose pin is closed, and gives the descriptor back after it', async () => {
    const dead = await pinOne((await spawnFixture('tree top(dead:zombie)')).pidOf('dead'))
    const fixture = await spawnFixture('die-by 10')
    const before = countPidfds()
    const pin = await pinOne(fixture.pid)
    const exit = exitOf(pin)
    native().closePins([pin])
    expect(() => native().watchExit(pin, () => {})).toThrow(typeError)
    expect(countPidfds()).toBe(before + 1)
    fixture.tell('')
    expect(toldAs({ signal: 10 })).toContainEqual(await exit)
    // The watcher gives its share up before it tells of anything else.
    await exitOf(dead)
    expect(countPidfds()).toBe(before)
  })

  test('refuses what is not a pin, a callback, an id or a boolean', async () => {
    const pin = await pinOne(process.pid)
    const untyped = native() as unknown as Record<string, (...values: unknown[]) => unknown>
    for (const wrong of [undefined, null, 7, {}, 'pin', []]) {
      expect(() => untyped.watchExit?.(wrong, () => {})).toThrow(typeError)
      expect(() => untyped.watchExit?.(pin, wrong)).toThrow(typeError)
      expect(() => untyped.refExits?.(wrong)).toThrow(typeError)
    }
    expect(() => untyped.unwatchExit?.('1')).toThrow(typeError)
    for (const id of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) native().unwatchExit(id)
  })

  test('waits for 2,000 processes with one thread that sleeps until the first of them exits', async () => {
    await withSleepers(2000, async (pids) => {
      const pins = await pinAll(pids)
      const told = new Map<NativePin, NativeExit[]>(pins.map((pin) => [pin, []]))
      const before = countDescriptors()
      const all = Promise.all(
        pins.map(async (pin) => {
          told.get(pin)?.push(await exitOf(pin))
        }),
      )
      const [thread = '', ...others] = watcherThreads()
      expect(others).toEqual([])
      const sleeps = sleepsOf(thread)
      await turnOver(500)
      expect(sleepsOf(thread)).toBe(sleeps)
      expect(countDescriptors() - before).toBeLessThanOrEqual(3)
      for (const pid of pids) process.kill(pid, 'SIGKILL')
      await within(30_000, '2,000 exits', all)
      const exits = [...told.values()]
      expect(exits.filter(({ length }) => length !== 1)).toEqual([])
      expect(exits.filter(([exit]) => (exit?.signal ?? 9) !== 9)).toEqual([])
      native().closePins(pins)
      expect(countDescriptors()).toBeLessThan(before - 1990)
    })
  })

  test('is a failed call when no descriptor is left, and works again afterwards', async () => {
    const { refused, told, exit } = await runScenario<Exhaustion>('exits-without-descriptors', { descriptors: 80 })
    expect(refused).toBe('EMFILE')
    expect(told).toEqual([])
    // To read the status of a zombie takes a descriptor, too.
    expect([{ signal: 9 }, {}]).toContainEqual(exit)
  })

  testWhere([root], 'does not tell a status that this user may not see as exit code 0', async () => {
    const zombie = (await spawnFixture('tree top(dead:zombie)')).pidOf('dead')
    const told = await asUser<NativeExit>(65_534, 65_534, 'exit-of-others', { input: zombie })
    expect(told).toEqual({})
    expect(await runScenario<NativeExit>('exit-of-others', { input: zombie })).toEqual({ exitCode: 0 })
  })
})

async function turnOver(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

describeWhere([linux], 'the end of Node with waits pending', () => {
  test('is not held up by them', async () => {
    const fixture = await spawnFixture('forever')
    const script = 'pinOne(pid).then((pin) => native().watchExit(pin, () => console.log("told")))'
    expect(runNode(script, String(fixture.pid))).toMatchObject({ status: 0, signal: null, stdout: '', stderr: '' })
  })

  test('waits for the exit when told to, and no longer', async () => {
    const script = `
      const child = require('node:child_process').spawn('sleep', ['20'], { stdio: 'ignore' })
      child.unref()
      pinOne(child.pid).then((pin) => {
        native().refExits(true)
        native().watchExit(pin, ({ signal }) => console.log('told', signal ?? 15))
        setImmediate(() => child.kill('SIGTERM'))
      })`
    expect(runNode(script)).toMatchObject({ status: 0, signal: null, stdout: 'told 15\n', stderr: '' })
  })

  test('comes by process.exit() as well, while exits are on their way', () => {
    const script = `
      const { spawn } = require('node:child_process')
      const children = Array.from({ length: 8 }, () => spawn('sleep', ['20'], { stdio: 'ignore' }))
      Promise.all(children.map(async ({ pid }) => native().watchExit(await pinOne(pid), () => process.exit(6)))).then(() => {
        native().refExits(true)
        for (const child of children) child.kill('SIGKILL')
        if (process.argv[2] === 'now') process.exit(6)
      })`
    for (let round = 0; round < 10; round += 1) {
      const ending = runNode(script, '0', round % 2 === 0 ? 'now' : 'told')
      expect(ending).toMatchObject({ status: 6, signal: null, stderr: '' })
    }
  })

  test.each<[TeardownInput['mode'], number]>([
    ['terminate', 1],
    ['exit', 5],
    ['exit in a callback', 3],
    ['throw in a callback', 1],
    ['end', 0],
  ])('of a worker thread (%s) joins the watcher and leaves nothing open', async (mode, code) => {
    const input: TeardownInput = { mode, rounds: 25 }
    const { codes, descriptors, threads } = await runScenario<Teardown>('exit-teardown', { input })
    expect(codes).toEqual(Array.from({ length: input.rounds }, () => code))
    expect(descriptors[1]).toBe(descriptors[0])
    expect(threads).toBe(0)
  })
})
