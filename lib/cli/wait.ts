import type { Command } from 'commander'
import { formatIdentity, identify } from '../identity'
import { type ExitResult, waitForExit } from '../wait'
import { type Answer, run } from './answer'
import { interruptible } from './interrupt'
import { withProgress } from './progress'
import { isIdentity, parseCount, parseTarget } from './targets'
import type { Ui } from './ui'

interface Options {
  readonly timeout?: number
}

/** Adds `wait`. */
export function registerWait(program: Command, ui: Ui): void {
  program
    .command('wait')
    .description('Wait until a process has ended, and tell how.')
    .argument('<process>', 'pid or identity; a pid is identified first, and only that process is waited for')
    .option('-t, --timeout <ms>', 'give up after so long', parseCount('--timeout'))
    .addHelpText('after', examples)
    .action((process: string, options: Options, command: Command) => run(ui, command, () => wait(process, options, ui)))
}

const examples = `
Exit codes: 0 it has ended (however it did), 1 it has not in that time, or nobody has that pid, 2 wrong usage.

Examples:
  $ pidproof wait 4242
  $ pidproof wait 4242 --timeout 30000 && echo ended
  $ pidproof wait "$(cat app.identity)" --json`

async function wait(text: string, { timeout }: Options, ui: Ui): Promise<Answer> {
  const target = parseTarget(text)
  const identity = isIdentity(target) ? target : await identify(target.pid)
  const exit = await interruptible((signal) =>
    withProgress(
      ui,
      () => `waiting for process ${identity.pid}`,
      () => waitForExit(identity, { timeoutMs: timeout, signal, keepAlive: true }),
    ),
  )
  return {
    ok: true,
    data: { identity, id: formatIdentity(identity), exit },
    text: () => `${ui.colours.cyan(String(identity.pid))} ${describeExit(exit)}\n`,
  }
}

/** Returns how a process ended, in words. */
export function describeExit({ exitCode, signal, alreadyGone }: ExitResult): string {
  if (alreadyGone) return 'was gone already'
  if (signal !== null) return `was ended by ${signal}`
  return exitCode === null ? 'has ended; the operating system does not tell how' : `ended with exit code ${exitCode}`
}
