import type { Command } from 'commander'
import { identify, type ProcessIdentity } from '../identity'
import { sweep } from '../sweep'
import { type Answer, run } from './answer'
import { addAllOrNothing, addEndingOptions, type EndingOptions, parseEnding } from './ending-options'
import { runEnding } from './ending-run'
import { renderSweep, terminationJson } from './report'
import { addSignatureOptions, parseSignature, type SignatureOptions } from './signature-options'
import { collect, isIdentity, parseTarget } from './targets'
import type { Ui } from './ui'

interface Options extends SignatureOptions, EndingOptions {
  readonly except?: readonly string[]
}

/** Adds `sweep`. */
export function registerSweep(program: Command, ui: Ui): void {
  const command = program
    .command('sweep')
    .description('Find all processes that are ours by their signature, and end them.')
  addSignatureOptions(command).option('--except <process>', 'pid or identity to spare; may be repeated', collect)
  addAllOrNothing(addEndingOptions(command, 'process'))
    .addHelpText('after', examples)
    .action((options: Options) => run(ui, command, () => sweepOurs(options, ui)))
}

const examples = `
Exit codes: 0 all that was ours is ended (or there was nothing), 1 some is not, 2 wrong usage.

Examples:
  $ pidproof sweep --env MY_APP=dev --dry-run
  $ pidproof sweep --env MY_APP=dev
  $ pidproof sweep --exe node --script build/worker.js --older-than 60000 --scope tree
  $ pidproof sweep --exe python3 --module my_app.server --json`

async function sweepOurs(options: Options, ui: Ui): Promise<Answer> {
  const ours = parseSignature(options)
  const ending = parseEnding(options)
  const except = await Promise.all((options.except ?? []).map(exception))
  const report = await runEnding(ui, (hooks) => sweep({ ours, except, ...ending, ...hooks }))
  return {
    ok: report.ok,
    data: { report: { ...terminationJson(report), considered: report.considered } },
    text: () => renderSweep(report, ui),
  }
}

async function exception(text: string): Promise<ProcessIdentity> {
  const target = parseTarget(text)
  return isIdentity(target) ? target : identify(target.pid)
}
