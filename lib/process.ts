import { InternalError, NoSuchProcessError, NotSupportedError, ProcessReplacedError, unwrap } from './errors'
import { checkFields, type Field, fieldMask, fieldsButEnv, listFields } from './fields'
import { checkPidOrIdentity, compareIdentities, host, type ProcessIdentity, placeOf } from './identity'
import { fieldBits, type NativeBinding, type NativeFilter, type NativeResult, type NativeTable, native } from './native'
import { checkAbortSignal, checkKeys, throwIfAborted } from './options'
import { compileFilter, type ProcessFilter, restricts } from './process-filter'
import { decodeTable, nestedPids, type ProcessInfo } from './process-table'

export type { Field } from './fields'
export type { ArgvLiteral, ProcessFilter } from './process-filter'
export type { ProcessInfo, ProcessState, UnreadableReason } from './process-table'

export interface ReadOptions {
  /** What to read besides the identity and the parent's pid. */
  readonly fields?: readonly Field[] | undefined
}

export interface ListOptions extends ReadOptions {
  readonly where?: ProcessFilter | undefined
  /** Rejects with its reason; a scan that has begun ends by itself and is thrown away. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Lists processes, off the event loop, in ascending order of their pids.
 *
 * @param options.fields - Default: `name` and `argv`. `unique` puts the kernel's unique id into every identity, which
 *   costs one descriptor a process; with `where` it is there anyway.
 * @param options.where - Decided natively before anything is handed over. A process of which a part can not be read is
 *   not listed.
 * @returns One row a process that lived throughout. What is born or dies meanwhile may be missing; what vanished
 *   while it was read is left out, and fields that could not be read are in `unreadable`.
 * @throws {NotSupportedError} `ENOTSUP`: there is no process table here, or it is not the one that pids are sent to.
 * @throws {OsError} `EMFILE`, `ENFILE`, `ENOMEM`: the scan failed as a whole.
 * @remarks Source — linux: /proc/<pid>/stat, and one file more for each of argv, env, exe, cwd, uid (with user).
 */
export async function listProcesses(
  options: ListOptions = {},
  binding: NativeBinding = native(),
): Promise<ProcessInfo[]> {
  return (await scan(options, binding)).processes
}

/** {@link listProcesses} without a promise: blocks for the whole scan, so for exit handlers only. */
export function listProcessesSync(
  options: Omit<ListOptions, 'signal'> = {},
  binding: NativeBinding = native(),
): ProcessInfo[] {
  return scanSync(options, binding).processes
}

/**
 * Reads one process.
 *
 * @param process - A pid: whoever has it now. An identity: that process or nobody.
 * @param options.fields - Default: all but `env`.
 * @returns Its row, all of it of one process and one program.
 * @throws {NoSuchProcessError} `ESRCH`: it is gone, or it is of an earlier boot.
 * @throws {ProcessReplacedError} `ERR_PROCESS_REPLACED`: the pid of that identity has another process now.
 * @throws {AccessDeniedError} `EACCES`: it is there, but hidden from us (procfs mounted with hidepid).
 * @throws {NotSupportedError} `ENOTSUP`: the identity is of another pid namespace, or of a boot that is not known,
 *   so it cannot be told which process it is.
 * @remarks Source — linux: as {@link listProcesses}, between two looks at a pidfd.
 */
export async function readProcess(
  process: number | ProcessIdentity,
  options: ReadOptions = {},
  binding: NativeBinding = native(),
): Promise<ProcessInfo> {
  const wanted = checkPidOrIdentity('process', process)
  const { fields } = checkKeys('options', options, ['fields'], '')
  return readChecked(wanted, checkFields('fields', fields, fieldsButEnv), binding)
}

// ---- for the other files of this library

/** What a scan found, with what it could not decide. */
export interface Scan {
  readonly processes: ProcessInfo[]
  /** Pids that passed every part of `where` that could be read, but not all could. */
  readonly undecided: readonly number[]
  /** Some processes are hidden from us. */
  readonly partial: boolean
  /** Pids of those in a pid namespace below ours; empty unless asked for. */
  readonly nested: ReadonlySet<number>
}

export interface ScanOptions extends ListOptions {
  /** Also tell which processes live in a pid namespace below ours. */
  readonly nested?: boolean | undefined
}

interface Plan {
  readonly fields: readonly Field[]
  readonly mask: number
  readonly filter: NativeFilter
  readonly signal: AbortSignal | undefined
}

/** {@link listProcesses} with what could not be decided. */
export async function scan(options: ScanOptions = {}, binding: NativeBinding = native()): Promise<Scan> {
  const plan = planOf(options)
  throwIfAborted(plan.signal)
  const table = unwrap(await binding.scan(plan.mask, plan.filter), 'listing processes')
  throwIfAborted(plan.signal)
  return decodeScan(table, plan.fields, binding)
}

/** {@link scan} without a promise. */
export function scanSync(options: Omit<ScanOptions, 'signal'> = {}, binding: NativeBinding = native()): Scan {
  const plan = planOf(options)
  return decodeScan(unwrap(binding.scanSync(plan.mask, plan.filter), 'listing processes'), plan.fields, binding)
}

function planOf(options: ScanOptions): Plan {
  const given = checkKeys('options', options, ['fields', 'where', 'signal', 'nested'], '')
  const fields = checkFields('fields', given.fields, listFields)
  const filter = compileFilter('where', given.where)
  const unique = restricts(filter) ? fieldBits.unique : 0
  const nested = given.nested === true ? fieldBits.nested : 0
  return { fields, mask: fieldMask(fields) | unique | nested, filter, signal: checkAbortSignal('signal', given.signal) }
}

function decodeScan(table: NativeTable, fields: readonly Field[], binding: NativeBinding): Scan {
  return {
    processes: decodeTable(table, fields, host(binding)),
    undecided: Array.from(table.undecided),
    partial: table.partial,
    nested: nestedPids(table),
  }
}

/** Reads one process whose arguments have been checked, always with the unique id. */
export async function readChecked(
  wanted: number | ProcessIdentity,
  fields: readonly Field[],
  binding: NativeBinding,
): Promise<ProcessInfo> {
  const pid = pidHere(wanted, binding)
  return decodeOne(await binding.readProcess(pid, fieldMask(fields) | fieldBits.unique), wanted, fields, binding)
}

/** {@link readChecked} without a promise. */
export function readCheckedSync(
  wanted: number | ProcessIdentity,
  fields: readonly Field[],
  binding: NativeBinding,
): ProcessInfo {
  const pid = pidHere(wanted, binding)
  return decodeOne(binding.readProcessSync(pid, fieldMask(fields) | fieldBits.unique), wanted, fields, binding)
}

/** The pid to look under; an identity that cannot be looked up from here is an error. */
function pidHere(wanted: number | ProcessIdentity, binding: NativeBinding): number {
  if (typeof wanted === 'number') return wanted
  const here = host(binding)
  const { pid, boot } = wanted
  if (boot !== '' && here.boot !== '' && boot !== here.boot) {
    throw new NoSuchProcessError(`pid ${pid}: that process ended with an earlier boot`, { code: 'ESRCH', pid })
  }
  if (placeOf(wanted, here) !== 'here') {
    throw new NotSupportedError(`pid ${pid}: it belongs to another pid namespace, or its boot is not known`, {
      code: 'ENOTSUP',
      pid,
    })
  }
  return pid
}

function decodeOne(
  answer: NativeResult<NativeTable>,
  wanted: number | ProcessIdentity,
  fields: readonly Field[],
  binding: NativeBinding,
): ProcessInfo {
  const pid = typeof wanted === 'number' ? wanted : wanted.pid
  const [info] = decodeTable(unwrap(answer, `pid ${pid}`, pid), fields, host(binding))
  if (info === undefined) throw new InternalError(`pid ${pid}: an empty answer`, { code: 'ERR_INTERNAL', pid })
  if (typeof wanted !== 'number' && compareIdentities(info.identity, wanted) !== 'same') {
    throw new ProcessReplacedError(`pid ${pid}: another process has that number now`, {
      code: 'ERR_PROCESS_REPLACED',
      pid,
    })
  }
  return info
}
