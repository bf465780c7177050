import type { TakeoverReport } from './takeover/report'

/** What every error of this library carries. Branch on `code`; messages may change. */
export interface ErrorDetails {
  readonly code: string
  readonly pid?: number | undefined
  readonly syscall?: string | undefined
  readonly osError?: number | undefined
  readonly cause?: unknown
}

const brand = Symbol.for('pidproof.error')

/** The base of all errors that are not the caller's mistake. */
export class PidproofError extends Error {
  override readonly name: string = 'PidproofError'
  readonly code: string
  readonly pid: number | undefined
  readonly syscall: string | undefined
  readonly osError: number | undefined

  constructor(message: string, details: ErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = details.code
    this.pid = details.pid
    this.syscall = details.syscall
    this.osError = details.osError
    Object.defineProperty(this, brand, { value: true })
  }
}

/** `ESRCH`: no process has that pid. */
export class NoSuchProcessError extends PidproofError {
  override readonly name: string = 'NoSuchProcessError'
}

/** `ERR_PROCESS_REPLACED`: the pid lives, as somebody else. One `catch` of {@link NoSuchProcessError} serves both. */
export class ProcessReplacedError extends NoSuchProcessError {
  override readonly name: string = 'ProcessReplacedError'
}

/** `EPERM` or `EACCES`: the operating system refused. */
export class AccessDeniedError extends PidproofError {
  override readonly name: string = 'AccessDeniedError'
}

/** `ENOTSUP`: this operating system, kernel or sandbox cannot do it. */
export class NotSupportedError extends PidproofError {
  override readonly name: string = 'NotSupportedError'
}

/** Why a takeover was refused. */
export type TakeoverRefusal =
  | 'conflicting-addresses'
  | 'foreign-owner'
  | 'unknown-owner'
  | 'invisible-owner'
  | 'excluded-owner'

/** `ERR_TAKEOVER_REFUSED`: our own policy said no. `reason` tells why, the report tells about whom. */
export class TakeoverRefusedError extends PidproofError {
  override readonly name: string = 'TakeoverRefusedError'
  readonly reason: TakeoverRefusal
  readonly report: TakeoverReport

  constructor(message: string, reason: TakeoverRefusal, report: TakeoverReport) {
    super(message, { code: 'ERR_TAKEOVER_REFUSED' })
    this.reason = reason
    this.report = report
  }
}

/** Anything else the operating system said; `code` is its own. */
export class OsError extends PidproofError {
  override readonly name: string = 'OsError'
}

/** `ERR_INTERNAL`: the impossible happened; please report it. */
export class InternalError extends PidproofError {
  override readonly name: string = 'InternalError'
}

/** `ETIMEDOUT`: still alive, or still occupied, when the time was over. */
export class TimedOutError extends PidproofError {
  override readonly name: string = 'TimedOutError'
  /** Pids that were still alive; empty when a port was waited for. */
  readonly survivors: readonly number[]

  constructor(message: string, survivors: readonly number[] = []) {
    super(message, { code: 'ETIMEDOUT', pid: survivors[0] })
    this.survivors = survivors
  }
}

/** True for an error of this library, whichever copy or realm made it. */
export function isPidproofError(error: unknown): error is PidproofError {
  return typeof error === 'object' && error !== null && (error as Record<symbol, unknown>)[brand] === true
}

interface OsFailure {
  readonly code: string
  readonly syscall: string
  readonly osError: number
}

/** Turns a failed {@link NativeResult} into the error class of its code. `subject` starts the message. */
export function osError(failure: OsFailure, subject: string, pid?: number): PidproofError {
  const { code, syscall, osError: number } = failure
  const details = { code, syscall, osError: number, pid }
  const at = syscall ? ` (${syscall})` : ''
  switch (code) {
    case 'ESRCH':
      return new NoSuchProcessError(`${subject}: no such process${at}`, details)
    case 'EPERM':
    case 'EACCES':
      return new AccessDeniedError(`${subject}: the operating system refused${at}: ${code}`, details)
    case 'ENOTSUP':
      return new NotSupportedError(`${subject}: not supported here${at}`, details)
    default:
      return new OsError(`${subject}: ${code}${at}`, details)
  }
}

/** The value of a native answer, or its error thrown. */
export function unwrap<T>(
  result: { ok: true; value: T } | ({ ok: false } & OsFailure),
  subject: string,
  pid?: number,
): T {
  if (!result.ok) throw osError(result, subject, pid)
  return result.value
}

type ErrorWithCode = Error & { code: string }

function invalid(error: Error): ErrorWithCode {
  return Object.assign(error, { code: 'ERR_INVALID_ARG' })
}

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value)
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'object' && value !== null) {
    try {
      const text = JSON.stringify(value)
      return text.length > 80 ? `${text.slice(0, 80)}…` : text
    } catch {
      return 'an object'
    }
  }
  return String(value)
}

/** `ERR_INVALID_ARG`: the wrong kind of value. */
export function invalidType(option: string, value: unknown, accepted: string): ErrorWithCode {
  return invalid(new TypeError(`${option} must be ${accepted}; received ${shown(value)}`))
}

/** `ERR_INVALID_ARG`: the right kind of value, outside what is accepted. */
export function invalidRange(option: string, value: unknown, accepted: string): ErrorWithCode {
  return invalid(new RangeError(`${option} must be ${accepted}; received ${shown(value)}`))
}
