import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { pxPath } from './build-fixtures'
import { livesByHand, startTicksByHand } from './proc-by-hand'
import { until, within } from './until'

export interface FixtureOptions {
  /** The whole environment. Default: that of the test. */
  readonly env?: NodeJS.ProcessEnv
  readonly argv0?: string
  readonly cwd?: string
  readonly uid?: number
  readonly gid?: number
  readonly detached?: boolean
  readonly timeoutMs?: number
  /** A command that starts it, such as unshare(1); it must become px, or take px with it when it is ended. */
  readonly under?: readonly string[]
}

/** One line of a fixture: `word <pid> name:pid… key=value…`. */
export interface FixtureLine {
  readonly word: string
  readonly pid: number | undefined
  readonly pids: Readonly<Record<string, number>>
  readonly values: Readonly<Record<string, string>>
}

interface Known {
  readonly pid: number
  readonly startTicks: string
}

/** A running px: see the table of verbs in test/fixtures/px/px.cc. */
export class Fixture {
  readonly child: ChildProcess
  /** Settles when the spawned process itself has been reaped. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  readonly #lines: FixtureLine[] = []
  readonly #known: Known[] = []
  readonly #isNested: boolean
  #arrived: () => void = () => {}
  #ready: FixtureLine | undefined
  #complaint = ''

  /** @param isNested - The numbers it reports may count in another pid namespace: only the child itself is ended. */
  constructor(child: ChildProcess, isNested: boolean) {
    this.child = child
    this.#isNested = isNested
    this.exited = once(child, 'exit').then(([code, signal]) => ({ code, signal }))
    this.exited.catch(() => {})
    child.stdin?.on('error', () => {})
    child.stderr?.on('data', (text) => {
      this.#complaint += text
    })
    if (child.stdout) createInterface(child.stdout).on('line', (text) => this.#take(parseLine(text)))
  }

  /** The process that said it was ready. */
  get pid(): number {
    return this.#readiness.pid ?? 0
  }

  /** A process of the fixture, by the name it was reported under. */
  pidOf(name: string): number {
    const pid = this.#readiness.pids[name]
    if (pid === undefined) throw new Error(`the fixture has no process ${name}`)
    return pid
  }

  /** What the fixture said about `key`. */
  value(key: string): string {
    const value = this.#readiness.values[key]
    if (value === undefined) throw new Error(`the fixture said nothing about ${key}`)
    return value
  }

  get port(): number {
    return Number(this.value('port'))
  }

  /** Writes a line to its stdin. */
  tell(text: string): void {
    this.child.stdin?.write(`${text}\n`)
  }

  /** The next line after the readiness line. */
  async next(timeoutMs = 10_000): Promise<FixtureLine> {
    await this.#line(timeoutMs)
    return this.#lines.shift() ?? this.next(timeoutMs)
  }

  async awaitReady(timeoutMs: number): Promise<void> {
    await once(this.child, 'spawn')
    const hasSpoken = () => this.#ready !== undefined || this.#lines.length > 0
    // A fixture may end and leave the readiness line to its child.
    const failed = this.exited.then(async ({ code, signal }) => {
      const ending = `${this.child.spawnargs.join(' ')} ended by ${signal ?? code}`
      await until('a readiness line', hasSpoken, 2000).catch(() => {
        throw new Error(`${ending}: ${this.#complaint}`)
      })
    })
    await Promise.race([this.#line(timeoutMs), failed])
    this.#ready = this.#lines.shift()
  }

  /** Ends every process that this fixture reported, if it still is that one. */
  async end(): Promise<void> {
    this.child.stdin?.end()
    for (const { pid, startTicks } of this.#known) {
      if (startTicksByHand(pid) === startTicks) killIfThere(pid)
    }
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill('SIGKILL')
      await within(10_000, `the end of fixture ${this.child.pid}`, this.exited)
    }
    for (const { pid, startTicks } of this.#known) {
      await until(`the end of pid ${pid}`, () => !livesByHand(pid) || startTicksByHand(pid) !== startTicks)
    }
    this.child.stdout?.destroy()
    this.child.stderr?.destroy()
  }

  get #readiness(): FixtureLine {
    if (this.#ready === undefined) throw new Error('the fixture is not ready')
    return this.#ready
  }

  async #line(timeoutMs: number): Promise<void> {
    if (this.#lines.length > 0) return
    const arrived = new Promise<void>((resolve) => {
      this.#arrived = resolve
    })
    await within(timeoutMs, `a line of ${this.child.spawnargs.join(' ')}: ${this.#complaint}`, arrived)
  }

  #take(line: FixtureLine): void {
    const reported = this.#isNested ? [this.child.pid] : [line.pid, ...Object.values(line.pids)]
    for (const pid of reported) {
      const startTicks = pid === undefined || pid <= 1 ? undefined : startTicksByHand(pid)
      if (pid !== undefined && startTicks !== undefined) this.#known.push({ pid, startTicks })
    }
    this.#lines.push(line)
    this.#arrived()
  }
}

const running = new Map<Fixture, 'file' | 'test'>()
let scope: 'file' | 'test' = 'file'

/**
 * Starts px and waits for its readiness line. It is ended after the test that started it, or after the file if that
 * was not in a test; in a scenario, at its end.
 *
 * @param words - Modifiers, verb and arguments; a string is split at its spaces.
 */
export function spawnFixture(words: string | readonly string[], options: FixtureOptions = {}): Promise<Fixture> {
  const args = typeof words === 'string' ? words.split(' ') : words
  return start([...(options.under ?? []), pxPath(), ...args], options)
}

/** The same with another program, which prints the readiness line itself. */
export function spawnProgram(command: readonly string[], options: FixtureOptions = {}): Promise<Fixture> {
  return start(command, options)
}

async function start([command = '', ...argv]: readonly string[], options: FixtureOptions): Promise<Fixture> {
  const { timeoutMs = 10_000, under = [], ...rest } = options
  const fixture = new Fixture(spawn(command, argv, { ...rest, stdio: ['pipe', 'pipe', 'pipe'] }), under.length > 0)
  running.set(fixture, scope)
  await fixture.awaitReady(timeoutMs)
  return fixture
}

/** Ends the fixtures that were started in this scope; without one, all. */
export async function endFixtures(which?: 'file' | 'test'): Promise<void> {
  const ending = [...running].filter(([, started]) => which === undefined || started === which)
  for (const [fixture] of ending) running.delete(fixture)
  await Promise.all(ending.map(([fixture]) => fixture.end()))
}

export function parseLine(text: string): FixtureLine {
  const [word = '', ...parts] = text.split(' ')
  const pids: Record<string, number> = {}
  const values: Record<string, string> = {}
  let pid: number | undefined
  for (const part of parts) {
    const [, name = '', separator, value = ''] = /^([^:=]+)([:=])(.*)$/.exec(part) ?? []
    if (separator === ':') pids[name] = Number(value)
    else if (separator === '=') values[name] = value
    else pid = Number(part)
  }
  return { word, pid, pids, values }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

if (typeof beforeEach === 'function') {
  beforeEach(() => {
    scope = 'test'
  })
  afterEach(async () => {
    scope = 'file'
    await endFixtures('test')
  })
  afterAll(() => endFixtures())
}
