import type { Command } from 'commander'
import { isPidproofError } from '../errors'
import { identify, type ProcessIdentity } from '../identity'
import { type TerminationReport, terminate } from '../terminate'
import { type Answer, errorDetails, run } from './answer'
import { addAllOrNothing, addEndingOptions, type EndingOptions, parseEnding } from './ending-options'
import { runEnding } from './ending-run'
import { renderTermination, terminationJson } from './report'
import { isIdentity, parseTarget, type Target } from './targets'
import { harmless } from './text'
import type { Ui } from './ui'

/** Adds `kill`. */
export function registerKill(program: Command, ui: Ui): void {
  const command = program
    .command('kill')
    .alias('end')
    .description('End processes: politely first, by force after the grace time.')
    .argument('<process...>', 'pids or identities; a pid is identified first, and only that process is ended')
  addAllOrNothing(addEndingOptions(command, 'process'))
    .addHelpText('after', examples)
    .action((processes: string[], options: EndingOptions) => run(ui, command, () => kill(processes, options, ui)))
}

const examples = `
Exit codes: 0 all are ended, 1 one is not (refused, still alive, or not there), 2 wrong usage.

Examples:
  $ pidproof kill 4242 --dry-run
  $ pidproof kill 4242 --scope tree --grace 5000
  $ pidproof kill "$(cat app.identity)"
  $ pidproof kill 4242 4243 --all-or-nothing --json`

/** Nobody has the pid, or somebody who is hidden from this user. Anything else is a failure of ours. */
const absent = ['ESRCH', 'EACCES', 'EPERM']

interface Missing {
  readonly pid: number
  readonly code: string
  readonly message: string
}

async function kill(texts: readonly string[], options: EndingOptions, ui: Ui): Promise<Answer> {
  const targets = texts.map(parseTarget)
  const ending = parseEnding(options)
  const { identities, missing } = await identifyAll(targets)
  const isGivenUp = identities.length === 0 || (ending.allOrNothing === true && missing.length > 0)
  const report = isGivenUp ? undefined : await runEnding(ui, (hooks) => terminate(identities, { ...ending, ...hooks }))
  return {
    ok: missing.length === 0 && report?.ok === true,
    data: { missing, report: report ? terminationJson(report) : null },
    text: () =>
      missing.map((one) => `${ui.colours.red(harmless(one.message))}\n`).join('') + summary(report, identities, ui),
  }
}

function summary(report: TerminationReport | undefined, identities: readonly ProcessIdentity[], ui: Ui): string {
  if (report) return renderTermination(report, ui)
  return identities.length === 0 ? '' : 'Nothing was signalled: --all-or-nothing was given.\n'
}

async function identifyAll(targets: readonly Target[]): Promise<{ identities: ProcessIdentity[]; missing: Missing[] }> {
  const identities: ProcessIdentity[] = []
  const missing: Missing[] = []
  for (const target of targets) {
    if (isIdentity(target)) identities.push(target)
    else {
      try {
        identities.push(await identify(target.pid))
      } catch (error) {
        if (!isPidproofError(error) || !absent.includes(error.code)) throw error
        missing.push({ pid: target.pid, ...errorDetails(error) })
      }
    }
  }
  return { identities, missing }
}
