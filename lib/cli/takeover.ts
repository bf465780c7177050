import type { Command } from 'commander'
import { TakeoverRefusedError } from '../errors'
import { type TakeoverReport, takeOverPorts } from '../takeover'
import { parseAddress } from './addresses'
import { type Answer, errorDetails, run } from './answer'
import { addEndingOptions, type EndingOptions, parseEnding } from './ending-options'
import { runEnding } from './ending-run'
import { addSignatureOptions, parseSignature, type SignatureOptions } from './signature-options'
import { isTakenOver, renderTakeover, takeoverJson } from './takeover-report'
import { parseCount } from './targets'
import { harmless } from './text'
import type { Ui } from './ui'

interface Options extends SignatureOptions, EndingOptions {
  readonly udp?: boolean
  readonly portWait: number
}

/** Adds `takeover`. */
export function registerTakeover(program: Command, ui: Ui): void {
  const command = program
    .command('takeover')
    .description('Get ports back from our own stale instance: all of them, or nobody is signalled.')
    .argument('<port...>', '3000, 127.0.0.1:3000, localhost:3000 or [::1]:3000')
    .option('--udp', 'UDP instead of TCP')
    .option(
      '--port-wait <ms>',
      'how long to wait, once all have ended, until the ports can be bound',
      parseCount('--port-wait'),
      5000,
    )
  addSignatureOptions(command)
  addEndingOptions(command, 'tree')
    .addHelpText('after', examples)
    .action((ports: string[], options: Options) => run(ui, command, () => takeOver(ports, options, ui)))
}

const examples = `
It is refused when a port is held by somebody who is not ours, cannot be judged or cannot be seen.

Exit codes: 0 every port can be bound now, 1 refused or not free, 2 wrong usage.

Examples:
  $ pidproof takeover 3000 --exe node --script my-app/server.js --dry-run
  $ pidproof takeover 3000 3001 --env MY_APP=dev && npm start
  $ pidproof takeover 127.0.0.1:8000 --exe python3 --module my_app.server --json`

async function takeOver(texts: readonly string[], options: Options, ui: Ui): Promise<Answer> {
  const ports = texts.map((text) => parseAddress(text, options.udp ? 'udp' : 'tcp'))
  const ours = parseSignature(options)
  const ending = parseEnding(options)
  try {
    const report = await runEnding(ui, (hooks) =>
      takeOverPorts({ ports, ours, portWaitMs: options.portWait, ...ending, ...hooks }),
    )
    return answer(report, undefined)
  } catch (error) {
    if (!(error instanceof TakeoverRefusedError)) throw error
    return answer(error.report, error)
  }
}

function answer(report: TakeoverReport, refusal: TakeoverRefusedError | undefined): Answer {
  return {
    ok: isTakenOver(report),
    data: { ...(refusal && { error: errorDetails(refusal) }), report: takeoverJson(report) },
    text: (ui) => renderTakeover(report, ui) + (refusal ? `${harmless(refusal.message)}\n` : ''),
  }
}
