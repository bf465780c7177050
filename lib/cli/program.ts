import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, CommanderError } from 'commander'
import { exitCodes, printError, UsageError } from './answer'
import { registerDoctor } from './doctor'
import { registerKill } from './kill'
import { registerLs } from './ls'
import { registerPort } from './port'
import { registerShow } from './show'
import { registerSweep } from './sweep'
import { registerTakeover } from './takeover'
import { registerTree } from './tree'
import type { Ui } from './ui'
import { registerWait } from './wait'

/** Runs the command line and sets the exit code. Never rejects for what a user can cause. */
export async function runProgram(args: readonly string[], ui: Ui): Promise<void> {
  const asJson = args.includes('--json')
  const program = createProgram(ui, asJson)
  try {
    await program.parseAsync([...args], { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return
    process.exitCode = exitCodes.usage
    if (asJson || !(error instanceof CommanderError))
      printError(ui, commandName(program, args), asJson, usageError(error))
  }
}

function usageError(error: unknown): unknown {
  return error instanceof CommanderError ? new UsageError(error.message.replace(/^error: /, '')) : error
}

function commandName(program: Command, args: readonly string[]): string {
  const names = program.commands.flatMap((command) =>
    [command.name(), ...command.aliases()].map((name) => [name, command] as const),
  )
  const found = args.map((arg) => names.find(([name]) => name === arg)).find((entry) => entry !== undefined)
  return found?.[1].name() ?? program.name()
}

function createProgram(ui: Ui, asJson: boolean): Command {
  const program = new Command('pidproof')
    .description('Know which process it really is, who owns a port, and end exactly that.')
    .version(readVersion(), '-V, --version')
    .option('--json', 'print one JSON document instead of text')
    .addHelpText('after', epilogue)
    .exitOverride()
    .showHelpAfterError('Add --help for what is possible.')
    .configureHelp({ showGlobalOptions: true, ...(ui.width === undefined ? {} : { helpWidth: ui.width }) })
    .configureOutput({
      writeOut: (text) => ui.out.write(text),
      writeErr: (text) => asJson || ui.err.write(text),
      getOutHasColors: () => ui.colours.isColorSupported,
      getErrHasColors: () => false,
    })
  for (const register of commands) register(program, ui)
  return program
}

const commands = [
  registerLs,
  registerShow,
  registerTree,
  registerPort,
  registerKill,
  registerSweep,
  registerTakeover,
  registerWait,
  registerDoctor,
]

const epilogue = `
An identity names one process for ever, where a pid names whoever has it now: v1:<pid>:<start>:<unique>:<namespace>:<boot>.
It is printed by show, kill and --json, and taken wherever a process is asked for.

Exit codes: 0 done, 1 refused, still alive or not found, 2 wrong usage, 128 + n when ended by signal n.
The colour of the output heeds NO_COLOR and FORCE_COLOR. The JSON documents are described in docs/cli-json.md.`

function readVersion(): string {
  const text = readFileSync(join(__dirname, '..', '..', 'package.json'), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
