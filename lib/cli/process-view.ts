import { formatIdentity } from '../identity'
import type { Field, ProcessInfo } from '../process'
import { age, bytes, dateTime, duration } from './format'
import type { Column } from './table'
import { commandLine, visible } from './text'
import type { Ui } from './ui'

/** Fields that may be printed. Environment values are only ever printed one by one, asked for by key. */
export type ShownField = Exclude<Field, 'env'>

/** Returns a process for JSON: what was read, its identity as a word too, and nothing of its environment. */
export function processJson({ env: _env, ...shown }: ProcessInfo): Record<string, unknown> {
  return { ...shown, id: formatIdentity(shown.identity) }
}

/** Returns what to call a process: its name, in brackets where it is a kernel thread. */
export function processName(process: ProcessInfo): string {
  const name = visible(process.name ?? '?')
  return process.isKernelThread ? `[${name}]` : name
}

/** Returns its arguments, its rewritten title, or its name: whatever says most about it. */
export function processCommand(process: ProcessInfo): string {
  if (process.argv && process.argv.length > 0) return commandLine(process.argv)
  return processName(process)
}

function missing(process: ProcessInfo, field: Field): string {
  const reason = process.unreadable[field]
  return reason ? `(${reason})` : '-'
}

const readers: Readonly<Record<ShownField, (process: ProcessInfo) => string | undefined>> = {
  name: processName,
  exe: ({ exe, exeDeleted }) => exe && visible(exe) + (exeDeleted ? ' (deleted)' : ''),
  argv: ({ argv }) => argv && commandLine(argv),
  cwd: ({ cwd }) => cwd && visible(cwd),
  uid: ({ uid, euid }) => (uid === undefined ? undefined : uid === euid ? `${uid}` : `${uid} (effective ${euid})`),
  user: ({ user }) => user && visible(user),
  state: ({ state }) => state,
  parent: ({ parent, ppid }) => String(parent?.pid ?? ppid),
  group: ({ pgid, sid }) => (pgid === undefined ? undefined : `${pgid} / ${sid ?? '-'}`),
  startedAt: ({ startedAt }) => startedAt && dateTime(startedAt),
  cpu: ({ cpu }) => cpu && duration(cpu.userMs + cpu.systemMs),
  memory: ({ memory }) => memory && bytes(memory.residentBytes),
  title: ({ title }) => (title === undefined ? undefined : visible(title)),
  unique: ({ identity }) => identity.unique ?? undefined,
}

/** Returns one field for people; why it is missing in parentheses, `-` where there is nothing to read. */
export function fieldText(process: ProcessInfo, field: ShownField): string {
  return readers[field](process) || missing(process, field)
}

const titles: Readonly<Record<ShownField, string>> = {
  name: 'NAME',
  exe: 'EXE',
  argv: 'COMMAND',
  cwd: 'CWD',
  uid: 'UID',
  user: 'USER',
  state: 'STATE',
  parent: 'PARENT',
  group: 'GROUP / SESSION',
  startedAt: 'STARTED',
  cpu: 'CPU',
  memory: 'MEMORY',
  title: 'TITLE',
  unique: 'UNIQUE',
}

const rightAligned: readonly ShownField[] = ['uid', 'parent', 'cpu', 'memory', 'unique']

/** All fields that may be printed, in the order in which they make sense. */
export const shownFields = Object.keys(titles) as readonly ShownField[]

/** Returns the column of a field, for a table of processes. */
export function fieldColumn(field: ShownField, ui: Ui): Column<ProcessInfo> {
  return {
    title: titles[field],
    align: rightAligned.includes(field) ? 'right' : 'left',
    ...(['argv', 'exe', 'cwd', 'title'].includes(field) ? { shrinkTo: 12 } : {}),
    text: (process) => fieldText(process, field),
    paint: (text, process) => {
      if (field === 'state') return paintState(process, text, ui)
      return process.unreadable[field] ? ui.colours.dim(text) : text
    },
  }
}

/** Returns the column of the process number. */
export function pidColumn(ui: Ui): Column<ProcessInfo> {
  return { title: 'PID', align: 'right', text: ({ pid }) => String(pid), paint: (text) => ui.colours.cyan(text) }
}

/** Returns the column of how long a process has been running. */
export function ageColumn(): Column<ProcessInfo> {
  return {
    title: 'AGE',
    align: 'right',
    text: (process) => (process.startedAt ? age(process.startedAt) : missing(process, 'startedAt')),
  }
}

/** Paints what stands out: what is stopped, and what is dead and not collected yet. */
export function paintState({ state }: ProcessInfo, text: string, ui: Ui): string {
  if (state === 'stopped' || state === 'traced' || state === 'uninterruptible') return ui.colours.yellow(text)
  return state === 'zombie' || state === 'dead' ? ui.colours.dim(text) : text
}
