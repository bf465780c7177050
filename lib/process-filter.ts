import { invalidRange, invalidType } from './errors'
import type { NativeFilter } from './native'
import { checkDate, checkKeys, checkPid, checkProcessNumber, checkSome, checkText, checkUid } from './options'

/** One argument that must be there exactly, or several that must follow each other. */
export type ArgvLiteral = string | readonly string[]

/**
 * Which processes to list. Every part given must hold. An empty array holds for nobody.
 * All of it is decided natively, the cheapest part first, so a costly source is read for the survivors only.
 */
export interface ProcessFilter {
  readonly pid?: number | readonly number[] | undefined
  readonly ppid?: number | readonly number[] | undefined
  readonly pgid?: number | readonly number[] | undefined
  readonly sid?: number | readonly number[] | undefined
  /** Effective user. */
  readonly uid?: number | readonly number[] | undefined
  /** Name of the executable, or the end of its path by whole components (`bin/node`), or its whole path. Any of them. */
  readonly exe?: string | readonly string[] | undefined
  /** An argument, or an array of arguments and sequences, all of which must hold: `['--port', ['-m', 'app']]`. */
  readonly argv?: string | readonly ArgvLiteral[] | undefined
  /** Variables that must be set (`true`) or have a value. All of them. */
  readonly env?: Readonly<Record<string, string | true>> | undefined
  readonly startedAfter?: Date | undefined
  readonly startedBefore?: Date | undefined
}

const parts = [
  'pid',
  'ppid',
  'pgid',
  'sid',
  'uid',
  'exe',
  'argv',
  'env',
  'startedAfter',
  'startedBefore',
] as const satisfies readonly (keyof ProcessFilter)[]

const nobody: NativeFilter = Object.freeze({ pids: new Int32Array(0) })

/** The addon's form of a filter, all parts checked; errors name the part: `where.ppid`. */
export function compileFilter(option: string, where: unknown): NativeFilter {
  if (where === undefined) return {}
  const given = checkKeys(option, where, parts)
  const name = (part: keyof ProcessFilter) => `${option}.${part}`
  const filter: NativeFilter = {
    ...(given.pid !== undefined && { pids: numbers(name('pid'), given.pid, checkPid) }),
    ...(given.ppid !== undefined && { ppids: numbers(name('ppid'), given.ppid, checkProcessNumber) }),
    ...(given.pgid !== undefined && { pgids: numbers(name('pgid'), given.pgid, checkProcessNumber) }),
    ...(given.sid !== undefined && { sids: numbers(name('sid'), given.sid, checkProcessNumber) }),
    ...(given.uid !== undefined && { uids: Uint32Array.from(checkSome(name('uid'), given.uid, checkUid)) }),
    ...(given.exe !== undefined && { exe: checkSome(name('exe'), given.exe, checkText) }),
    ...(given.argv !== undefined && argvParts(name('argv'), given.argv)),
    ...(given.env !== undefined && { env: envEntries(name('env'), given.env) }),
    ...(given.startedAfter !== undefined && { startedAfterMs: +checkDate(name('startedAfter'), given.startedAfter) }),
    ...(given.startedBefore !== undefined && {
      startedBeforeMs: +checkDate(name('startedBefore'), given.startedBefore),
    }),
  }
  return isEmptyArray(given.exe) || isEmptyArray(given.argv) ? nobody : filter
}

/** Whether a filter restricts anything: such rows are read under a pin and can carry a unique id at no extra cost. */
export function restricts(filter: NativeFilter): boolean {
  return Object.keys(filter).length > 0
}

function isEmptyArray(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

function numbers(option: string, value: unknown, check: (option: string, value: unknown) => number): Int32Array {
  return Int32Array.from(checkSome(option, value, check))
}

/** Arguments may be empty texts, unlike names. */
function checkArgument(option: string, value: unknown): string {
  if (typeof value !== 'string')
    throw invalidType(option, value, 'a string, or an array of strings that follow each other')
  if (value.includes('\0')) throw invalidRange(option, value, 'a string without NUL')
  return value
}

function argvParts(option: string, value: unknown): Pick<NativeFilter, 'argvTokens' | 'argvSequences'> {
  const argvTokens: string[] = []
  const argvSequences: (readonly string[])[] = []
  const literals: readonly unknown[] = Array.isArray(value) ? value : [value]
  for (const [index, literal] of literals.entries()) {
    const at = Array.isArray(value) ? `${option}[${index}]` : option
    if (!Array.isArray(literal)) {
      argvTokens.push(checkArgument(at, literal))
      continue
    }
    if (literal.length === 0) throw invalidRange(at, literal, 'a sequence of at least one argument')
    argvSequences.push(checkSome(at, literal, checkArgument))
  }
  return { argvTokens, argvSequences }
}

function envEntries(option: string, value: unknown): readonly string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidType(option, value, 'an object of variables')
  }
  const entries = Object.entries(value)
  if (entries.length === 0) throw invalidRange(option, value, 'an object of at least one variable')
  return entries.map(([key, wanted]: [string, unknown]) => envEntry(option, key, wanted))
}

function envEntry(option: string, key: string, wanted: unknown): string {
  if (key === '' || /[=\0]/.test(key))
    throw invalidRange(option, key, "an object whose keys are not empty, without '=' and NUL")
  if (wanted === true) return key
  const at = `${option}.${key}`
  // Values of variables are secrets as far as we know: messages name their kind only.
  if (typeof wanted !== 'string') throw invalidType(at, typeof wanted, 'a string, or true for any value')
  if (wanted.includes('\0')) throw invalidRange(at, 'a string with NUL', 'a string without NUL')
  return `${key}=${wanted}`
}
