import { type ArgvMatcher, argv as argvMatchers, checkPath, copyPattern, isArgvMatcher, literalTokens } from './argv'
import { invalidRange, invalidType } from './errors'
import { checkDate, checkKeys, checkMs, checkSome, checkText, checkUid } from './options'
import type { Field, ProcessFilter, ProcessInfo } from './process'

/** What makes a process ours. Every part given must hold; alternatives inside `exe`, `name` and `uid` are arrays. */
export interface SignatureParts {
  /** File name of the executable, or the end of its path by whole components; absolute: the whole path. */
  readonly exe?: string | readonly string[]
  /** The name that the kernel has for it, exactly (Linux: at most 15 bytes). */
  readonly name?: string | readonly string[]
  /** Conditions on the command line, all of which must hold; a string is one whole argument. */
  readonly argv?: ArgvMatcher | string | readonly (ArgvMatcher | string)[]
  /** Variables of the environment it was started with: a value, `true` for any, or an expression for the value. */
  readonly env?: Readonly<Record<string, string | true | RegExp>>
  /** Working directory: absolute, or the end of it by whole components. */
  readonly cwd?: string
  /** Real and effective user. */
  readonly uid?: number | readonly number[]
  readonly startedBefore?: Date
  /** At least so many milliseconds old at the time of judging. */
  readonly olderThanMs?: number
  /**
   * Anything else, asked last and only when all other parts hold. Must answer true or false at once; what it throws
   * rejects the call before anything is signalled. It sees name, exe, argv, cwd, uid, state, parent, group and
   * startedAt, and env where the signature has `env`.
   */
  readonly test?: (process: ProcessInfo) => boolean
}

/** A checked {@link SignatureParts}; made by {@link signature}. */
export interface Signature {
  readonly exe?: readonly string[]
  readonly name?: readonly string[]
  readonly argv?: readonly ArgvMatcher[]
  readonly env?: Readonly<Record<string, string | true | RegExp>>
  readonly cwd?: string
  readonly uid?: readonly number[]
  readonly startedBefore?: Date
  readonly olderThanMs?: number
  readonly test?: (process: ProcessInfo) => boolean
}

const parts = ['exe', 'name', 'argv', 'env', 'cwd', 'uid', 'startedBefore', 'olderThanMs', 'test'] as const
const identifyingParts = ['exe', 'name', 'argv', 'env', 'cwd', 'uid', 'test'] as const
const testFields: readonly Field[] = ['name', 'exe', 'argv', 'cwd', 'uid', 'state', 'parent', 'group', 'startedAt']
const made = new WeakSet<object>()

/**
 * Makes the rule that says which processes are ours.
 *
 * @throws {TypeError} `ERR_INVALID_ARG`: a part of the wrong kind; nothing that says *what* the process is (`{}`, or an
 *   age alone, would match everything); an array or `env` without entries.
 * @throws {RangeError} `ERR_INVALID_ARG`: a part outside what is accepted, such as a negative age.
 */
export function signature(given: SignatureParts): Signature {
  return makeSignature('signature', given)
}

function makeSignature(option: string, value: unknown): Signature {
  const given = checkKeys(option, value, parts)
  const built: Signature = {
    ...(given.exe !== undefined && { exe: checkList(`${option}.exe`, given.exe, checkSuffix) }),
    ...(given.name !== undefined && { name: checkList(`${option}.name`, given.name, checkText) }),
    ...(given.argv !== undefined && { argv: checkList(`${option}.argv`, given.argv, checkMatcher) }),
    ...(given.env !== undefined && { env: checkEnvironment(`${option}.env`, given.env) }),
    ...(given.cwd !== undefined && { cwd: checkDirectory(`${option}.cwd`, given.cwd) }),
    ...(given.uid !== undefined && { uid: checkList(`${option}.uid`, given.uid, checkUid) }),
    ...(given.startedBefore !== undefined && {
      startedBefore: new Date(checkDate(`${option}.startedBefore`, given.startedBefore)),
    }),
    ...(given.olderThanMs !== undefined && { olderThanMs: checkAge(`${option}.olderThanMs`, given.olderThanMs) }),
    ...(given.test !== undefined && { test: checkTest(`${option}.test`, given.test) }),
  }
  if (!identifyingParts.some((part) => part in built)) {
    throw invalidType(option, value, `a signature with at least one of ${identifyingParts.join(', ')}`)
  }
  Object.freeze(built)
  made.add(built)
  return built
}

function checkList<T>(option: string, value: unknown, check: (option: string, value: unknown) => T): readonly T[] {
  const list = checkSome(option, value, check)
  if (list.length === 0) throw invalidType(option, value, 'left out, or to have an entry')
  return Object.freeze([...list])
}

function checkSuffix(option: string, value: unknown): string {
  checkPath(option, value)
  return value as string
}

function checkDirectory(option: string, value: unknown): string {
  checkPath(option, value, { root: true })
  return value as string
}

function checkMatcher(option: string, value: unknown): ArgvMatcher {
  if (isArgvMatcher(value)) return value
  if (typeof value !== 'string') throw invalidType(option, value, 'a string or made by argv.token(), argv.module(), …')
  return argvMatchers.token(value)
}

function checkAge(option: string, value: unknown): number {
  if (typeof value === 'number' && value >= 0 && Number.isFinite(value)) return value
  return checkMs(option, value)
}

function checkTest(option: string, value: unknown): (process: ProcessInfo) => boolean {
  if (typeof value !== 'function') throw invalidType(option, value, 'a function')
  return value as (process: ProcessInfo) => boolean
}

function checkEnvironment(option: string, value: unknown): Readonly<Record<string, string | true | RegExp>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalidType(option, value, 'an object')
  const entries = Object.entries(value)
  if (entries.length === 0) throw invalidType(option, value, 'left out, or to have an entry')
  const checked: Record<string, string | true | RegExp> = Object.create(null)
  for (const [key, wanted] of entries) {
    if (key === '' || /[=\0]/.test(key)) throw invalidRange(`${option} key`, key, 'a name without = and NUL')
    checked[key] = checkVariable(`${option}.${key}`, wanted)
  }
  return Object.freeze(checked)
}

function checkVariable(option: string, wanted: unknown): string | true | RegExp {
  if (wanted === true) return true
  if (wanted instanceof RegExp) return copyPattern(option, wanted)
  // The value is a secret as far as we know: messages name its kind only.
  if (typeof wanted !== 'string') throw invalidType(option, typeof wanted, 'a string, true or a RegExp')
  if (wanted.includes('\0')) throw invalidRange(option, 'a string with NUL', 'a string without NUL')
  return wanted
}

// ---- for the policies

/** A signature, or the parts of one, checked. */
export function checkSignature(option: string, value: unknown): Signature {
  if (typeof value === 'object' && value !== null && made.has(value)) return value as Signature
  return makeSignature(option, value)
}

/** What of it the native scan can decide by itself. Never excludes a process that the whole signature would match. */
export function filterOf(wanted: Signature, nowMs: number = Date.now()): ProcessFilter {
  const tokens = (wanted.argv ?? []).map(literalTokens).filter((literal) => literal !== undefined)
  const limits = [
    ...(wanted.startedBefore ? [wanted.startedBefore.getTime()] : []),
    // One more millisecond, as the scan asks for "before" and the age for "at least".
    ...(wanted.olderThanMs === undefined ? [] : [nowMs - wanted.olderThanMs + 1]),
  ]
  return {
    ...(wanted.exe && { exe: wanted.exe.map(plainPath) }),
    ...(tokens.length > 0 && { argv: tokens }),
    ...(wanted.env && { env: literalVariables(wanted.env) }),
    ...(wanted.uid && { uid: [...wanted.uid] }),
    ...(limits.length > 0 && { startedBefore: new Date(Math.min(...limits)) }),
  }
}

/** As the native scan compares it: without empty and dot components. */
function plainPath(path: string): string {
  const { isAbsolute, components } = checkPath('exe', path)
  return `${isAbsolute ? '/' : ''}${components.join('/')}`
}

function literalVariables(env: Readonly<Record<string, string | true | RegExp>>): Record<string, string | true> {
  const literal: Record<string, string | true> = Object.create(null)
  for (const [key, value] of Object.entries(env)) literal[key] = value instanceof RegExp ? true : value
  return literal
}

/** The fields that judging by it needs. */
export function fieldsOf(wanted: Signature): Field[] {
  const needed = new Set<Field>(wanted.test ? testFields : [])
  const has = (part: keyof Signature, ...fields: Field[]) => {
    if (wanted[part] !== undefined) for (const field of fields) needed.add(field)
  }
  has('exe', 'exe')
  has('name', 'name')
  has('argv', 'argv', 'exe', 'cwd')
  has('env', 'env')
  has('cwd', 'cwd')
  has('uid', 'uid')
  has('startedBefore', 'startedAt')
  has('olderThanMs', 'startedAt')
  return [...needed]
}
