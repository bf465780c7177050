import type { Command } from 'commander'
import { isPidproofError } from '../errors'
import { toJson } from './json'
import { harmless } from './text'
import type { Ui } from './ui'

/** The exit codes, the same for every command. An interrupted command ends with 128 + the signal's number. */
export const exitCodes = { done: 0, refused: 1, usage: 2 } as const

/** What a command found out or did. */
export interface Answer {
  /** Whether all that was asked for came true; decides between the exit codes 0 and 1. */
  readonly ok: boolean
  /** The members of the JSON document besides `command` and `ok`. */
  readonly data: Readonly<Record<string, unknown>>
  /** The same for people. */
  text(ui: Ui): string
}

/** A mistake in how the command was called: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  readonly code = 'ERR_USAGE'
}

/** Why a wait was given up: somebody pressed Ctrl-C, or asked this command to end. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
  readonly code = 'ERR_INTERRUPTED'
  readonly exitCode: number

  constructor(signalName: string, signalNumber: number) {
    super(`interrupted by ${signalName}`)
    this.exitCode = 128 + signalNumber
  }
}

/** Runs one command and prints what it answers, or its error, as asked for: text or JSON. */
export async function run(ui: Ui, command: Command, task: () => Promise<Answer>): Promise<void> {
  const name = command.name()
  const asJson = command.optsWithGlobals<{ json?: boolean }>().json === true
  try {
    const answer = await task()
    process.exitCode = answer.ok ? exitCodes.done : exitCodes.refused
    ui.out.write(asJson ? toJson({ command: name, ok: answer.ok, ...answer.data }) : answer.text(ui))
  } catch (error) {
    process.exitCode = exitCodeOf(error)
    printError(ui, name, asJson, error)
  }
}

/** Prints an error: as a JSON document on the output, or as a line on the error stream. */
export function printError(ui: Ui, command: string, asJson: boolean, error: unknown): void {
  const { code, message } = errorDetails(error)
  if (asJson) {
    ui.out.write(toJson({ command, ok: false, error: { code, message } }))
    return
  }
  ui.err.write(`pidproof ${command}: ${harmless(message)}\n`)
  if (code === 'ERR_USAGE' || code === 'ERR_INVALID_ARG') ui.err.write(`Try: pidproof ${command} --help\n`)
}

/** Returns the code and the message of anything thrown. */
export function errorDetails(error: unknown): { code: string; message: string } {
  if (!(error instanceof Error) && !isPidproofError(error)) return { code: 'ERR_INTERNAL', message: String(error) }
  const code = (error as { code?: unknown }).code
  return { code: typeof code === 'string' ? code : 'ERR_INTERNAL', message: error.message }
}

function exitCodeOf(error: unknown): number {
  if (error instanceof Interrupted) return error.exitCode
  const { code } = errorDetails(error)
  return code === 'ERR_USAGE' || code === 'ERR_INVALID_ARG' ? exitCodes.usage : exitCodes.refused
}
