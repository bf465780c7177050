import { invalidRange, invalidType, unwrap } from './errors'
import { fieldBits, livenessNames, type NativeBinding, type NativeHost, type NativeTargets, native } from './native'
import { checkPid } from './options'

/**
 * Which process it is: a plain, frozen, JSON-safe record. Two observers of one machine and one pid namespace write
 * the same record for the same process, and no later process ever gets it.
 */
export interface ProcessIdentity {
  readonly pid: number
  /** When it started, in the operating system's own units, decimal. For equality only. */
  readonly startToken: string
  /** Boot of the machine; start tokens begin anew with each. Empty: it could not be read. */
  readonly boot: string
  /** Pid namespace that `pid` counts in; empty where there are none. */
  readonly namespace: string
  /** An id that the kernel never gives twice, or null where it has none or it was not asked for. */
  readonly unique: string | null
}

/**
 * What has become of a process: `elsewhere` is one of another boot or pid namespace, `unknown` one that cannot be
 * looked at (or whose boot is not known), `zombie` one that has exited and is not collected yet.
 */
export type Verification = 'running' | 'zombie' | 'gone' | 'replaced' | 'unknown' | 'elsewhere'

const unsigned64 = /^(?:0|[1-9]\d{0,19})$/
const largest64 = 2n ** 64n - 1n
const bootText = /^(?:[0-9A-Za-z][0-9A-Za-z-]{0,63})?$/
const hosts = new WeakMap<NativeBinding, { readonly user: string; readonly host: NativeHost }>()

/**
 * Reads the identity of the process that has this pid now.
 *
 * @param pid - 1 to 2^31 − 1.
 * @param binding - For tests: what to read through.
 * @returns The identity, with `unique` where the kernel has one.
 * @throws {NoSuchProcessError} `ESRCH`: nobody has that pid.
 * @throws {AccessDeniedError} `EACCES`: somebody has it, but is hidden from us (procfs mounted with hidepid).
 * @throws {NotSupportedError} `ENOTSUP`: the process table that can be read is not the one that pids are sent to.
 * @remarks Source — linux: pidfd_open, field 22 of /proc/<pid>/stat, inode of the pidfd (kernel 6.9 and later).
 */
export async function identify(pid: number, binding: NativeBinding = native()): Promise<ProcessIdentity> {
  checkPid('pid', pid)
  const here = host(binding)
  const table = unwrap(await binding.readProcess(pid, fieldBits.unique), `pid ${pid}`, pid)
  return makeIdentity(here, pid, String(table.startToken[0]), table.unique?.[0] ?? 0n)
}

/**
 * Tells what has become of a process. Nothing is thrown for a process that is gone; that is an answer.
 *
 * @throws {OsError} Where the question itself failed, such as `EMFILE`: that is never taken for `gone`.
 * @remarks Source — linux: pidfd_open (by handle since 6.14), then its inode or field 22 of /proc/<pid>/stat.
 */
export async function verify(identity: ProcessIdentity, binding: NativeBinding = native()): Promise<Verification> {
  const { pid, startToken, unique, ...frame } = checkIdentity('identity', identity)
  const place = placeOf(frame, host(binding))
  if (place !== 'here') return place
  const answer = await binding.verify(pid, BigInt(startToken), BigInt(unique ?? 0))
  return livenessNames[unwrap(answer, `pid ${pid}`, pid)]
}

/** {@link verify} without a promise, for exit handlers. */
export function verifySync(identity: ProcessIdentity, binding: NativeBinding = native()): Verification {
  const { pid, startToken, unique, ...frame } = checkIdentity('identity', identity)
  const place = placeOf(frame, host(binding))
  if (place !== 'here') return place
  const answer = binding.verifySync(pid, BigInt(startToken), BigInt(unique ?? 0))
  return livenessNames[unwrap(answer, `pid ${pid}`, pid)]
}

/**
 * Compares two identities. Ids that the kernel never gives twice decide when both have one; otherwise pid, start
 * token, boot and namespace must all be equal. `unknown`: all that is known is equal, but a boot or namespace is not.
 *
 * @throws {TypeError | RangeError} `ERR_INVALID_ARG`: a missing or garbled part; two that lack it would look the same.
 */
export function sameProcess(a: ProcessIdentity, b: ProcessIdentity): 'same' | 'different' | 'unknown' {
  return compareIdentities(checkIdentity('a', a), checkIdentity('b', b))
}

/** Writes an identity as one word without spaces, `;` or `=`: `v1:<pid>:<start token>:<unique>:<namespace>:<boot>`. */
export function formatIdentity(identity: ProcessIdentity): string {
  const { pid, startToken, unique, namespace, boot } = checkIdentity('identity', identity)
  return `v1:${pid}:${startToken}:${unique ?? '-'}:${namespace || '-'}:${boot || '-'}`
}

/**
 * Reads what {@link formatIdentity} wrote.
 *
 * @throws {RangeError} `ERR_INVALID_ARG`: it is not exactly that.
 */
export function parseIdentity(text: string): ProcessIdentity {
  const accepted = 'an identity written by formatIdentity(): v1:<pid>:<start token>:<unique>:<namespace>:<boot>'
  if (typeof text !== 'string') throw invalidType('text', text, accepted)
  const [version, pid = '', startToken = '', unique = '', namespace = '', boot = '', ...rest] = text.split(':')
  const known = (part: string) => (part === '-' ? '' : part)
  const isWhole = version === 'v1' && /^[1-9]\d{0,9}$/.test(pid) && unique !== '' && namespace !== '' && boot !== ''
  if (!isWhole || rest.length > 0) throw invalidRange('text', text, accepted)
  return checkIdentity('text', {
    pid: Number(pid),
    startToken,
    unique: unique === '-' ? null : unique,
    namespace: known(namespace),
    boot: known(boot),
  })
}

// ---- for the other files of this library

/** The identity as a frozen copy, if every part of it is well formed. Errors name the part: `identity.startToken`. */
export function checkIdentity(option: string, value: unknown): ProcessIdentity {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidType(option, value, 'a ProcessIdentity; a pid is made one by identify(pid)')
  }
  const { pid, startToken, boot, namespace, unique } = value as Partial<Record<keyof ProcessIdentity, unknown>>
  return Object.freeze({
    pid: checkPid(`${option}.pid`, pid),
    startToken: checkUnsigned(`${option}.startToken`, startToken),
    boot: checkPattern(`${option}.boot`, boot, bootText, 'a boot id, or empty where it is not known'),
    namespace: checkPattern(`${option}.namespace`, namespace, /^\d{0,20}$/, 'a namespace number, or empty'),
    unique: unique === null ? null : checkUnique(`${option}.unique`, unique),
  })
}

function checkUnsigned(option: string, value: unknown): string {
  const accepted = 'an unsigned 64-bit number as a decimal string'
  const text = checkPattern(option, value, unsigned64, accepted)
  if (BigInt(text) > largest64) throw invalidRange(option, value, accepted)
  return text
}

/** Zero would mean "none" to the addon, which is null here. */
function checkUnique(option: string, value: unknown): string {
  const text = checkUnsigned(option, value)
  if (text === '0') throw invalidRange(option, value, 'a number above 0, or null where there is none')
  return text
}

function checkPattern(option: string, value: unknown, pattern: RegExp, accepted: string): string {
  if (typeof value !== 'string') throw invalidType(option, value, accepted)
  if (!pattern.test(value)) throw invalidRange(option, value, accepted)
  return value
}

/** {@link sameProcess} for identities that have been checked, or were made here. */
export function compareIdentities(a: ProcessIdentity, b: ProcessIdentity): 'same' | 'different' | 'unknown' {
  if (a.unique !== null && b.unique !== null && a.unique !== b.unique) return 'different'
  if (a.pid !== b.pid || a.startToken !== b.startToken) return 'different'
  const frame = compareFrames(a, b)
  if (frame === 'here') return 'same'
  return frame === 'elsewhere' ? 'different' : 'unknown'
}

/** A pid, or a checked copy of an identity. */
export function checkPidOrIdentity(option: string, value: unknown): number | ProcessIdentity {
  return typeof value === 'object' && value !== null ? checkIdentity(option, value) : checkPid(option, value)
}

export function makeIdentity(here: NativeHost, pid: number, startToken: string, unique: bigint): ProcessIdentity {
  return Object.freeze({
    pid,
    startToken,
    boot: here.boot,
    namespace: here.namespace,
    unique: unique === 0n ? null : String(unique),
  })
}

/** Who is looking. Remembered, as boot, namespace and pid of a running process never change; its user can. */
export function host(binding: NativeBinding): NativeHost {
  const user = `${process.getuid?.()}:${process.geteuid?.()}`
  const known = hosts.get(binding)
  if (known?.user === user) return known.host
  const here = unwrap(binding.host(), 'pidproof')
  hosts.set(binding, { user, host: here })
  return here
}

type Frame = Pick<ProcessIdentity, 'boot' | 'namespace'>

/** Whether that pid counts where we are looking from. */
export function placeOf(identity: Frame, here: Frame): 'here' | 'elsewhere' | 'unknown' {
  return compareFrames(identity, here)
}

function compareFrames(a: Frame, b: Frame): 'here' | 'elsewhere' | 'unknown' {
  const differ = (one: string, other: string) => one !== other && one !== '' && other !== ''
  if (differ(a.boot, b.boot) || differ(a.namespace, b.namespace)) return 'elsewhere'
  return a.boot === '' || b.boot === '' || a.namespace !== b.namespace ? 'unknown' : 'here'
}

/** Identities as the columns that the addon takes. */
export function toTargets(identities: readonly ProcessIdentity[]): NativeTargets {
  return {
    pid: Int32Array.from(identities, (identity) => identity.pid),
    startToken: BigUint64Array.from(identities, (identity) => BigInt(identity.startToken)),
    unique: BigUint64Array.from(identities, (identity) => BigInt(identity.unique ?? 0)),
  }
}
