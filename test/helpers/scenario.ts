import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { pxPath, repository, scenarioArguments } from './build-fixtures'
import { within } from './until'

export interface ScenarioOptions {
  /** Handed to the scenario as its one argument; JSON. */
  readonly input?: unknown
  /** Features to take away from the addon: PIDPROOF_TEST_WITHOUT. */
  readonly without?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  readonly nodeArguments?: readonly string[]
  /** A command that starts it, such as nsenter(1); it must end when it is ended. */
  readonly under?: readonly string[]
  /** RLIMIT_NOFILE of the scenario. */
  readonly descriptors?: number
  readonly timeoutMs?: number
}

export interface NamespaceOptions extends ScenarioOptions {
  /** The greatest pid inside (at least 301; Linux 6.14): whatever forks there cannot flood the machine. */
  readonly pidMax?: number
  /** The /proc inside: its own, or that of the outer namespace. Default: its own. */
  readonly proc?: 'own' | 'outer'
  /** More arguments for unshare(1). */
  readonly unshare?: readonly string[]
}

const defaultTimeoutMs = 60_000
const isRoot = process.getuid?.() === 0

/** Runs test/fixtures/scenarios/<name>.ts in a process of its own and returns what its default export returned. */
export function runScenario<T>(name: string, options: ScenarioOptions = {}): Promise<T> {
  return run<T>(options, nodeCommand(name, options), {})
}

/** The same as another user and group, without further groups. Root only. */
export function asUser<T>(uid: number, gid: number, name: string, options: ScenarioOptions = {}): Promise<T> {
  return run<T>(options, nodeCommand(name, options), { uid, gid })
}

/**
 * The same in a pid and mount namespace of its own, the first process of which reaps; all of it ends with the
 * scenario, or at the deadline. As root there when not root here (a user namespace).
 */
export function inPidNamespace<T>(name: string, options: NamespaceOptions = {}): Promise<T> {
  const { pidMax, proc = 'own', unshare = [] } = options
  const users = isRoot ? [] : ['-U', '-r']
  const mount = proc === 'own' ? ['--mount-proc'] : []
  const inside = [pxPath(), 'init', ...nodeCommand(name, options)]
  const limited = pidMax === undefined ? inside : ['sh', '-c', limitScript, String(pidMax), ...inside]
  return run<T>(options, ['unshare', ...users, '-p', '-f', '--kill-child', ...mount, ...unshare, ...limited], {})
}

/** The same with a boot clock that is this many seconds ahead. */
export function inTimeNamespace<T>(seconds: number, name: string, options: ScenarioOptions = {}): Promise<T> {
  const users = isRoot ? [] : ['-U', '-r']
  const shifted = ['unshare', ...users, '-T', '-f', '--kill-child', '--boottime', String(seconds)]
  return run<T>(options, [...shifted, ...nodeCommand(name, options)], {})
}

// Before 6.14 the file is that of the whole machine: then it is left alone.
const limitScript = `
  IFS=.- read -r major minor rest < /proc/sys/kernel/osrelease
  if [ "$major" -gt 6 ] || { [ "$major" -eq 6 ] && [ "$minor" -ge 14 ]; }; then
    echo "$0" > /proc/sys/kernel/pid_max || exit 111
  fi
  exec "$@"`

function nodeCommand(name: string, options: ScenarioOptions): string[] {
  const { nodeArguments = [], under = [], input = null, descriptors, timeoutMs = defaultTimeoutMs } = options
  const scenario = [...scenarioArguments(name), String(timeoutMs + 5000), JSON.stringify(input)]
  const node = [...under, process.execPath, '--enable-source-maps', ...nodeArguments, ...scenario]
  return descriptors === undefined ? node : ['prlimit', `--nofile=${descriptors}:${descriptors}`, ...node]
}

async function run<T>(
  options: ScenarioOptions,
  [command = '', ...args]: readonly string[],
  user: { uid?: number; gid?: number },
): Promise<T> {
  const { without = [], timeoutMs = defaultTimeoutMs } = options
  const env = { ...process.env, ...options.env, PIDPROOF_TEST_WITHOUT: without.join(',') }
  // Made here, where the sources may be read and the products written.
  pxPath()
  const child = spawn(command, args, { ...user, env, cwd: repository, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] })
  try {
    return await within(timeoutMs, `the end of ${command} ${args.join(' ')}`, outcomeOf<T>(child))
  } finally {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  }
}

async function outcomeOf<T>(child: ChildProcess): Promise<T> {
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (text) => (said += text))
  let answer = ''
  const channel = child.stdio[3] as Readable
  channel.setEncoding('utf8')
  channel.on('data', (text) => (answer += text))
  const [code, signal] = await once(child, 'close')
  if (!answer.endsWith('\n')) throw new Error(`the scenario ended by ${signal ?? code} without an answer: ${said}`)
  const outcome = JSON.parse(answer) as { ok: true; value: T } | { ok: false; error: string }
  if (!outcome.ok) throw new Error(`in the scenario: ${outcome.error}\n${said}`)
  return outcome.value
}
