import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { repository } from './build-fixtures'

const main = join(repository, 'dist', 'cli', 'main.js')

export interface CliOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly uid?: number
  readonly gid?: number
}

/** How a run of the command ended, and what it printed. */
export interface CliResult {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** The command as it is shipped, started. Colour variables of the test run itself do not reach it. */
export function startCli(args: readonly string[], { env, ...options }: CliOptions = {}): ChildProcess {
  if (!existsSync(main)) throw new Error('dist/cli/main.js is missing: npm run build:lib')
  const { NO_COLOR: _no, FORCE_COLOR: _force, ...inherited } = process.env
  return spawn(process.execPath, [main, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 30_000,
    env: { ...inherited, LC_ALL: 'C.UTF-8', ...env },
    ...options,
  })
}

/** Runs the command to its end. */
export async function cli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return finish(startCli(args, options))
}

/** Collects what a started command prints until its end. */
export async function finish(child: ChildProcess): Promise<CliResult> {
  if (!child.stdout || !child.stderr) throw new Error('its output is not piped')
  const [[code, signal], stdout, stderr] = await Promise.all([
    once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>,
    text(child.stdout),
    text(child.stderr),
  ])
  return { code, signal, stdout, stderr }
}

/** The JSON document of a run, for tests to look into. */
export interface CliDocument {
  readonly command: string
  readonly ok: boolean
  readonly error?: { readonly code: string; readonly message: string }
  readonly [member: string]: unknown
}

/** Runs the command with `--json`; its exit code and its document. */
export async function cliJson<T = object>(
  args: readonly string[],
  options: CliOptions = {},
): Promise<{ code: number | null; stdout: string; document: CliDocument & T }> {
  const { code, stdout } = await cli(['--json', ...args], options)
  return { code, stdout, document: JSON.parse(stdout) as CliDocument & T }
}
