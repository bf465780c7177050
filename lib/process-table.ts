import { type Field, type FieldPosition, fieldPositions } from './fields'
import { makeIdentity, type ProcessIdentity } from './identity'
import { missingReasons, type NativeHost, type NativeTable } from './native'

/** `zombie`: it has exited and waits to be collected. `idle`: a kernel thread with nothing to do. */
export type ProcessState =
  | 'running'
  | 'sleeping'
  | 'uninterruptible'
  | 'stopped'
  | 'traced'
  | 'zombie'
  | 'idle'
  | 'dead'
  | 'unknown'

/** Why a field that was asked for has no value. Each is different from "there is none". */
export type UnreadableReason = 'denied' | 'gone' | 'unsupported'

/**
 * One process. Only fields that were asked for are there. One that is `undefined` and not listed in
 * `unreadable` is known not to exist: a kernel thread has no executable, a zombie no working directory.
 */
export interface ProcessInfo {
  readonly pid: number
  readonly identity: ProcessIdentity
  /** 0: its parent is not visible from here. */
  readonly ppid: number
  readonly isKernelThread: boolean
  /** Why fields are missing; empty when everything could be read. */
  readonly unreadable: Readonly<Partial<Record<Field, UnreadableReason>>>
  /** What the process calls itself; Linux cuts it to 15 bytes. */
  readonly name?: string | undefined
  /** Path of the executable, as seen from here. */
  readonly exe?: string | undefined
  /** The executable was unlinked or replaced since (field `exe`). */
  readonly exeDeleted?: boolean | undefined
  /** Arguments from the zeroth on; a claim of the process, which can rewrite them. Empty for zombies and kernel threads. */
  readonly argv?: readonly string[] | undefined
  /** Environment at its start, without prototype; the first of equal keys. */
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly cwd?: string | undefined
  /** Real user (field `uid`). */
  readonly uid?: number | undefined
  /** Effective user (field `uid`). */
  readonly euid?: number | undefined
  /** Name of the real user; none where the system has no name for it. */
  readonly user?: string | undefined
  readonly state?: ProcessState | undefined
  /** None where it is not visible from here, or the process is older than it. */
  readonly parent?: ProcessIdentity | undefined
  /** Process group (field `group`). */
  readonly pgid?: number | undefined
  /** Session (field `group`). */
  readonly sid?: number | undefined
  /** By the wall clock as it stands now: for people. Identity does not rest on it. */
  readonly startedAt?: Date | undefined
  /** Processor time used so far. */
  readonly cpu?: { readonly userMs: number; readonly systemMs: number } | undefined
  readonly memory?: { readonly residentBytes: number; readonly virtualBytes: number } | undefined
  /** The command line as one text, as ps shows it. */
  readonly title?: string | undefined
}

type Row = { -readonly [K in keyof ProcessInfo]: ProcessInfo[K] }

const noneUnreadable: ProcessInfo['unreadable'] = Object.freeze({})
const noArguments: readonly string[] = Object.freeze([])
const reasonsPerRow = 16
const present = missingReasons.indexOf('present')
const none = missingReasons.indexOf('none')

const states: Readonly<Record<string, ProcessState>> = {
  R: 'running',
  S: 'sleeping',
  D: 'uninterruptible',
  T: 'stopped',
  t: 'traced',
  Z: 'zombie',
  I: 'idle',
  X: 'dead',
}
const statesByCode: readonly ProcessState[] = Array.from({ length: 256 }, (_, code) => {
  return states[String.fromCharCode(code)] ?? 'unknown'
})

/** Makes objects of the columns. `fields` decides which properties they have; more columns may be there. */
export function decodeTable(table: NativeTable, fields: readonly Field[], here: NativeHost): ProcessInfo[] {
  const asked = fieldPositions.filter(({ field }) => fields.includes(field))
  const rows = new Array<Row>(table.count)
  for (let row = 0; row < table.count; row += 1) rows[row] = baseOf(table, row, asked, here)
  // Column after column: every row goes through the same shapes, and each loop touches one array.
  for (const { field, position } of asked) fillers[field]?.(rows, table, position, here)
  return rows
}

/** Pids of the rows that live in a pid namespace below ours. */
export function nestedPids(table: NativeTable): ReadonlySet<number> {
  const pids = new Set<number>()
  table.nested?.forEach((isNested, row) => {
    if (isNested) pids.add(table.pid[row] as number)
  })
  return pids
}

function baseOf(table: NativeTable, row: number, asked: readonly FieldPosition[], here: NativeHost): Row {
  const pid = table.pid[row] as number
  return {
    pid,
    identity: makeIdentity(here, pid, String(table.startToken[row]), table.unique?.[row] ?? 0n),
    ppid: table.ppid[row] as number,
    isKernelThread: table.kernel[row] === 1,
    unreadable: unreadableOf(table.missing, row * reasonsPerRow, asked),
  }
}

function unreadableOf(missing: Uint8Array, at: number, asked: readonly FieldPosition[]): ProcessInfo['unreadable'] {
  let found: Partial<Record<Field, UnreadableReason>> | undefined
  for (let index = 0; index < asked.length; index += 1) {
    const { field, position } = asked[index] as FieldPosition
    const reason = missing[at + position] as number
    if (reason === present || reason === none) continue
    found ??= {}
    found[field] = missingReasons[reason] as UnreadableReason
  }
  return found ?? noneUnreadable
}

type Filler = (rows: Row[], table: NativeTable, position: number, here: NativeHost) => void
type TextField = 'name' | 'exe' | 'cwd' | 'user' | 'title'

const fillers: Readonly<Partial<Record<Field, Filler>>> = {
  name: textFiller('name'),
  exe: fillExe,
  argv: fillArgv,
  env: fillEnv,
  cwd: textFiller('cwd'),
  uid: fillUid,
  user: textFiller('user'),
  state: fillState,
  parent: fillParent,
  group: fillGroup,
  startedAt: fillStartedAt,
  cpu: fillCpu,
  memory: fillMemory,
  title: textFiller('title'),
}

function isPresent(table: NativeTable, row: number, position: number): boolean {
  return table.missing[row * reasonsPerRow + position] === present
}

function textFiller(field: TextField): Filler {
  return (rows, table, position) => {
    const column = table[field]
    for (let row = 0; row < rows.length; row += 1) {
      const info = rows[row] as Row
      info[field] = isPresent(table, row, position) ? column?.[row] : undefined
    }
  }
}

function fillExe(rows: Row[], table: NativeTable, position: number): void {
  for (let row = 0; row < rows.length; row += 1) {
    const info = rows[row] as Row
    const readable = isPresent(table, row, position)
    info.exe = readable ? table.exe?.[row] : undefined
    info.exeDeleted = readable ? table.exeDeleted?.[row] === 1 : undefined
  }
}

/** Every argument ends with NUL; an empty one between two of them is an argument too. */
function splitArgv(text: string): readonly string[] {
  if (text === '') return noArguments
  const argv: string[] = []
  let from = 0
  for (let to = text.indexOf('\0'); to !== -1; to = text.indexOf('\0', from)) {
    argv.push(text.slice(from, to))
    from = to + 1
  }
  if (from < text.length) argv.push(text.slice(from))
  return argv
}

function fillArgv(rows: Row[], table: NativeTable, position: number): void {
  for (let row = 0; row < rows.length; row += 1) {
    const info = rows[row] as Row
    const reason = table.missing[row * reasonsPerRow + position]
    if (reason === none) info.argv = noArguments
    else info.argv = reason === present ? splitArgv(table.argv?.[row] ?? '') : undefined
  }
}

/** getenv() finds the first entry of a key, and so does this. Entries without '=' are debris of a rewritten title. */
function splitEnv(text: string): Readonly<Record<string, string>> {
  const env: Record<string, string> = Object.create(null)
  for (const entry of text.split('\0')) {
    const at = entry.indexOf('=')
    if (at <= 0) continue
    const key = entry.slice(0, at)
    if (!(key in env)) env[key] = entry.slice(at + 1)
  }
  return env
}

function fillEnv(rows: Row[], table: NativeTable, position: number): void {
  for (let row = 0; row < rows.length; row += 1) {
    const info = rows[row] as Row
    info.env = isPresent(table, row, position) ? splitEnv(table.env?.[row] ?? '') : undefined
  }
}

function fillUid(rows: Row[], table: NativeTable, position: number): void {
  for (let row = 0; row < rows.length; row += 1) {
    const info = rows[row] as Row
    const readable = isPresent(table, row, position)
    info.uid = readable ? table.uid?.[row] : undefined
    info.euid = readable ? table.euid?.[row] : undefined
  }
}

function fillState(rows: Row[], table: NativeTable, position: number): void {
  for (let row = 0; row < rows.length; row += 1) {
    const info = rows[row] as Row
    info.state = isPresent(table, row, position) ? statesByCode[table.state?.[row] ?? 0] : undefined
  }
}

function fillParent(rows: Row[], table: NativeTable, position: number, here: NativeHost): void {
  for (let row = 0; row < rows.length; row += 1) {
    const info = rows[row] as Row
    info.parent = isPresent(table, row, position)
      ? makeIdentity(here, info.ppid, String(table.parentStartToken?.[row]), table.parentUnique?.[row] ?? 0n)
      : undefined
  }
}

function fillGroup(rows: Row[], table: NativeTable, position: number): void {
  for (let row = 0; row < rows.length; row += 1) {
    const info = rows[row] as Row
    const readable = isPresent(table, row, position)
    info.pgid = readable ? table.pgid?.[row] : undefined
    info.sid = readable ? table.sid?.[row] : undefined
  }
}

function fillStartedAt(rows: Row[], table: NativeTable, position: number): void {
  for (let row = 0; row < rows.length; row += 1) {
    const info = rows[row] as Row
    info.startedAt = isPresent(table, row, position) ? new Date(table.startedAtMs?.[row] ?? Number.NaN) : undefined
  }
}

function fillCpu(rows: Row[], table: NativeTable, position: number): void {
  for (let row = 0; row < rows.length; row += 1) {
    const info = rows[row] as Row
    info.cpu = isPresent(table, row, position)
      ? { userMs: table.cpuUserMs?.[row] ?? 0, systemMs: table.cpuSystemMs?.[row] ?? 0 }
      : undefined
  }
}

function fillMemory(rows: Row[], table: NativeTable, position: number): void {
  for (let row = 0; row < rows.length; row += 1) {
    const info = rows[row] as Row
    info.memory = isPresent(table, row, position)
      ? { residentBytes: table.residentBytes?.[row] ?? 0, virtualBytes: table.virtualBytes?.[row] ?? 0 }
      : undefined
  }
}
