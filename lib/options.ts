import { types } from 'node:util'
import { invalidRange, invalidType } from './errors'

const largestPid = 2 ** 31 - 1
const largestUid = 2 ** 32 - 1
/** What setTimeout takes; about 24.8 days. */
const largestMs = 2 ** 31 - 1

function checkInteger(option: string, value: unknown, accepted: string, least: number, most: number): number {
  if (typeof value !== 'number') throw invalidType(option, value, accepted)
  if (!Number.isInteger(value) || value < least || value > most) throw invalidRange(option, value, accepted)
  return value
}

/** The pid, if it is an integer from 1 to 2^31 − 1: zero and negative numbers mean groups to kill(2). */
export function checkPid(option: string, value: unknown): number {
  return checkInteger(option, value, 'a pid: an integer from 1 to 2147483647', 1, largestPid)
}

/** A parent, group or session number; 0 stands for one that cannot be seen from here. */
export function checkProcessNumber(option: string, value: unknown): number {
  return checkInteger(option, value, 'an integer from 0 to 2147483647', 0, largestPid)
}

export function checkUid(option: string, value: unknown): number {
  return checkInteger(option, value, 'a user id: an integer from 0 to 4294967295', 0, largestUid)
}

export function checkPort(option: string, value: unknown): number {
  return checkInteger(option, value, 'a port: an integer from 1 to 65535', 1, 65_535)
}

/** A duration in milliseconds; fractions are allowed. */
export function checkMs(option: string, value: unknown, { min = 0 }: { readonly min?: number } = {}): number {
  const accepted = `a number of milliseconds from ${min} to ${largestMs}`
  if (typeof value !== 'number') throw invalidType(option, value, accepted)
  if (!(value >= min && value <= largestMs)) throw invalidRange(option, value, accepted)
  return value
}

/** As {@link checkMs}, where leaving it out means no limit. */
export function checkOptionalMs(option: string, value: unknown): number | undefined {
  return value === undefined ? undefined : checkMs(option, value)
}

export function checkBoolean(option: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw invalidType(option, value, 'true or false')
  return value
}

/** A text that can be handed to the operating system: not empty, no NUL inside. */
export function checkText(option: string, value: unknown): string {
  if (typeof value !== 'string') throw invalidType(option, value, 'a string')
  if (value === '' || value.includes('\0')) throw invalidRange(option, value, 'a non-empty string without NUL')
  return value
}

export function checkOneOf<T extends string>(option: string, value: unknown, accepted: readonly T[]): T {
  const list = `one of ${accepted.map((name) => `'${name}'`).join(', ')}`
  if (typeof value !== 'string') throw invalidType(option, value, list)
  const found = accepted.find((name) => name === value)
  if (found === undefined) throw invalidRange(option, value, list)
  return found
}

export function checkDate(option: string, value: unknown): Date {
  if (!types.isDate(value)) throw invalidType(option, value, 'a Date')
  if (Number.isNaN(value.getTime())) throw invalidRange(option, 'Invalid Date', 'a valid Date')
  return value
}

/** A plain options object that has no keys but the known ones; `prefix` is what they are called in messages. */
export function checkKeys<K extends string>(
  option: string,
  value: unknown,
  known: readonly K[],
  prefix = `${option}.`,
): Readonly<Partial<Record<K, unknown>>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalidType(option, value, 'an object')
  const keys: readonly string[] = known
  for (const key of Object.keys(value)) {
    if (!keys.includes(key)) {
      throw invalidType(
        `${prefix}${key}`,
        (value as Record<string, unknown>)[key],
        `left out: known are ${known.join(', ')}`,
      )
    }
  }
  return value as Partial<Record<K, unknown>>
}

/** One value or an array of them, as an array. */
export function checkSome<T>(
  option: string,
  value: unknown,
  check: (option: string, value: unknown) => T,
): readonly T[] {
  if (!Array.isArray(value)) return [check(option, value)]
  return Array.from(value as readonly unknown[], (item, index) => check(`${option}[${index}]`, item))
}

export function checkAbortSignal(option: string, value: unknown): AbortSignal | undefined {
  if (value === undefined) return undefined
  const signal = value as Partial<AbortSignal> | null
  if (typeof signal !== 'object' || signal === null || typeof signal.aborted !== 'boolean') {
    throw invalidType(option, value, 'an AbortSignal')
  }
  return value as AbortSignal
}

/** Throws the signal's own reason once it is aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw signal.reason
}
