import type { Command } from 'commander'
import type { Address } from '../addresses'
import { portOwners } from '../port-owners'
import { parseAddress } from './addresses'
import { type Answer, run } from './answer'
import { examinePort, type PortAnswer, portJson, renderPort } from './port-answer'
import type { Ui } from './ui'

interface Options {
  readonly udp?: boolean
  readonly free?: boolean
}

/** Adds `port`. */
export function registerPort(program: Command, ui: Ui): void {
  program
    .command('port')
    .alias('ports')
    .description('Tell who has a port: nobody, which process, or somebody who cannot be seen.')
    .argument('<port...>', '3000, 127.0.0.1:3000, localhost:3000 or [::1]:3000')
    .option('--udp', 'UDP instead of TCP')
    .option('--free', 'exit with 1 unless all of them are free')
    .addHelpText('after', examples)
    .action((ports: string[], options: Options, command: Command) => run(ui, command, () => askPorts(ports, options)))
}

const examples = `
Nothing is bound and nothing connected to. The answers: free, held, bound (without listening), connection (somebody's
local end), lingering (TIME_WAIT and the like), invisible (somebody this user cannot see).

Exit codes: 0 answered, 1 not all are free (with --free only), 2 wrong usage.

Examples:
  $ pidproof port 3000
  $ pidproof port 3000 127.0.0.1:5432 --json
  $ pidproof port 3000 --free && npm start`

async function askPorts(texts: readonly string[], options: Options): Promise<Answer> {
  const addresses = texts.map((text) => parseAddress(text, options.udp ? 'udp' : 'tcp'))
  const answers = await examineAll(addresses)
  const isFree = answers.every(({ verdict }) => verdict === 'free')
  return {
    ok: !options.free || isFree,
    data: { ports: answers.map(portJson) },
    text: (ui) => answers.map((answer) => renderPort(answer, ui)).join(''),
  }
}

async function examineAll(addresses: readonly Address[]): Promise<PortAnswer[]> {
  const answers: PortAnswer[] = []
  for (const address of addresses) answers.push(await examinePort(address, await portOwners(address)))
  return answers
}
