// Every field of every live process, against /proc read by hand before and after.
import { readFileSync } from 'node:fs'
import { allFields, type Field } from '../../lib/fields'
import { type ListOptions, listProcesses, type ProcessInfo } from '../../lib/process'
import {
  argvByHand,
  type ByHand,
  cwdByHand,
  envByHand,
  exeByHand,
  isKernelThread,
  isLeaderless,
  namespaceByHand,
  pidsByHand,
  type StatByHand,
  statByHand,
  uidsByHand,
} from './proc-by-hand'

export interface ContractReport {
  readonly compared: number
  readonly mismatches: readonly string[]
  /** How often each field had a value, or why not. */
  readonly seen: Readonly<Record<string, Readonly<Record<string, number>>>>
}

interface Snapshot {
  readonly stat: StatByHand
  readonly parent: StatByHand | undefined
  readonly argv: ByHand<string[]>
  readonly env: ByHand<string[]>
  readonly exe: ByHand<{ path: string; deleted: boolean }>
  readonly cwd: ByHand<string>
  readonly uids: ByHand<{ real: number; effective: number }>
  readonly bootMs: number
}

const tickMs = 10
const pageBytes = 4096
/** The kernel counts resident pages per thread first, so two readers differ a little. */
const residentSlackBytes = 1 << 20

const stateNames: Readonly<Record<string, string>> = {
  R: 'running',
  S: 'sleeping',
  D: 'uninterruptible',
  T: 'stopped',
  t: 'traced',
  Z: 'zombie',
  I: 'idle',
  X: 'dead',
}

/** Processes exec, rename themselves and move while they are looked at; what is wrong stays wrong. */
const attempts = 3

/** Lists all processes and compares each with /proc; reported is what no attempt found as it should be. */
export async function compareWithProc(where?: ListOptions['where']): Promise<ContractReport> {
  let report = await compareOnce(where)
  for (let attempt = 1; attempt < attempts && report.mismatches.length > 0; attempt += 1) {
    const before = new Set(report.mismatches.map(subject))
    const again = await compareOnce(where)
    report = { ...again, mismatches: again.mismatches.filter((mismatch) => before.has(subject(mismatch))) }
  }
  return report
}

/** "pid 7 (sh) argv", of "pid 7 (sh) argv: this instead of that". */
function subject(mismatch: string): string {
  return mismatch.replace(/: .*/s, '')
}

/** Compares what both looks by hand agree on, or what lies between them. */
async function compareOnce(where: ListOptions['where']): Promise<ContractReport> {
  const before = takeSnapshots()
  const listed = new Map((await listProcesses({ fields: allFields, where })).map((info) => [info.pid, info]))
  const after = takeSnapshots()
  const mismatches: string[] = []
  const seen: Record<string, Record<string, number>> = {}
  let compared = 0
  for (const [pid, first] of before) {
    const second = after.get(pid)
    if (second === undefined || second.stat.startTicks !== first.stat.startTicks) continue
    const info = listed.get(pid)
    if (info === undefined) {
      if (where === undefined) mismatches.push(`pid ${pid} (${first.stat.comm}) is not listed`)
      continue
    }
    compared += 1
    mismatches.push(...compareProcess(info, first, second))
    for (const field of allFields) count(seen, field, describeField(info, field))
  }
  return { compared, mismatches, seen }
}

/** What one process should look like, for a single process that holds still. */
export function compareOne(info: ProcessInfo): string[] {
  const snapshot = takeSnapshot(info.pid)
  return snapshot === undefined ? [`pid ${info.pid} is gone`] : compareProcess(info, snapshot, snapshot)
}

function takeSnapshots(): Map<number, Snapshot> {
  const snapshots = new Map<number, Snapshot>()
  for (const pid of pidsByHand()) {
    const snapshot = takeSnapshot(pid)
    if (snapshot !== undefined) snapshots.set(pid, snapshot)
  }
  return snapshots
}

function takeSnapshot(pid: number): Snapshot | undefined {
  const stat = statByHand(pid)
  if (stat === undefined) return undefined
  return {
    stat,
    parent: stat.ppid === 0 ? undefined : statByHand(stat.ppid),
    argv: argvByHand(stat),
    env: envByHand(stat),
    exe: exeByHand(stat),
    cwd: cwdByHand(stat),
    uids: uidsByHand(pid),
    bootMs: Date.now() - Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]) * 1000,
  }
}

function compareProcess(info: ProcessInfo, first: Snapshot, second: Snapshot): string[] {
  const mismatches: string[] = []
  for (const [field, compare] of Object.entries(comparisons)) {
    const complaint = compare(info, first) ?? undefined
    if (complaint !== undefined && compare(info, second) !== undefined && !isBetween(field, info, first, second)) {
      mismatches.push(`pid ${info.pid} (${first.stat.comm}) ${field}: ${complaint}`)
    }
  }
  return mismatches
}

type Comparison = (info: ProcessInfo, hand: Snapshot) => string | undefined

/** `undefined`: as it should be. */
function differ(found: unknown, expected: unknown): string | undefined {
  const [one, other] = [JSON.stringify(found), JSON.stringify(expected)]
  return one === other ? undefined : `${cut(one)} instead of ${cut(other)}`
}

function cut(text: string | undefined): string {
  return text !== undefined && text.length > 300 ? `${text.slice(0, 300)}… (${text.length})` : String(text)
}

function ofField<T>(field: Field, found: (info: ProcessInfo) => T, hand: (snapshot: Snapshot) => ByHand<T>, none?: T) {
  return (info: ProcessInfo, snapshot: Snapshot): string | undefined => {
    const expected = hand(snapshot)
    const value = found(info)
    if ('value' in expected) return differ(value, expected.value) ?? differ(info.unreadable[field], undefined)
    if (expected.missing === 'none') return differ(value, none) ?? differ(info.unreadable[field], undefined)
    return differ(value, undefined) ?? differ(info.unreadable[field], expected.missing)
  }
}

function mapped<T, U>(hand: ByHand<T>, map: (value: T) => U): ByHand<U> {
  return 'value' in hand ? { value: map(hand.value) } : hand
}

const comparisons: Readonly<Record<string, Comparison>> = {
  startToken: (info, { stat }) => differ(info.identity.startToken, normalisedTicks(stat)),
  namespace: (info) => differ(info.identity.namespace, namespaceByHand('pid')),
  boot: (info) => differ(info.identity.boot, readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()),
  ppid: (info, { stat }) => differ(info.ppid, stat.ppid),
  isKernelThread: (info, { stat }) => differ(info.isKernelThread, isKernelThread(stat)),
  name: (info, { stat }) => differ(info.name, stat.comm),
  exe: ofField(
    'exe',
    ({ exe, exeDeleted }) => (exe === undefined ? undefined : { path: exe, deleted: exeDeleted }),
    ({ exe }) => exe,
  ),
  argv: ofField(
    'argv',
    ({ argv }) => argv,
    ({ argv }) => argv,
    [],
  ),
  env: ofField(
    'env',
    ({ env }) => (env === undefined ? undefined : Object.entries(env).sort()),
    ({ env }) => mapped(env, (entries) => Object.entries(firstOfEach(entries)).sort()),
  ),
  cwd: ofField(
    'cwd',
    ({ cwd }) => cwd,
    ({ cwd }) => cwd,
  ),
  uid: ofField(
    'uid',
    ({ uid, euid }) => (uid === undefined ? undefined : { real: uid, effective: euid }),
    ({ uids }) => uids,
  ),
  user: ofField(
    'user',
    ({ user }) => user,
    ({ uids }) => mapped(uids, ({ real }) => userNameByHand(real)),
  ),
  state: (info, { stat }) =>
    differ(info.state, isLeaderless(stat) ? 'sleeping' : (stateNames[stat.state] ?? 'unknown')),
  parent: (info, { stat, parent }) => {
    const isVisible = parent !== undefined && Number(parent.startTicks) <= Number(stat.startTicks)
    const expected = isVisible ? { pid: parent.pid, startToken: normalisedTicks(parent) } : undefined
    const found = info.parent && { pid: info.parent.pid, startToken: info.parent.startToken }
    return differ(found, expected)
  },
  group: (info, { stat }) => differ([info.pgid, info.sid], [stat.pgid, stat.sid]),
  startedAt: (info, { stat, bootMs }) => {
    const expected = bootMs + Number(stat.startTicks) * tickMs
    const isNear = info.startedAt !== undefined && Math.abs(info.startedAt.getTime() - expected) < 100
    return isNear ? undefined : `${info.startedAt?.toISOString()} instead of ${new Date(expected).toISOString()}`
  },
  cpu: (info, { stat }) => {
    return differ(info.cpu, { userMs: stat.userTicks * tickMs, systemMs: stat.systemTicks * tickMs })
  },
  virtualBytes: (info, { stat }) => differ(info.memory?.virtualBytes, stat.virtualBytes),
  residentBytes: (info, { stat }) => differ(info.memory?.residentBytes, stat.residentPages * pageBytes),
  title: ofField(
    'title',
    ({ title }) => title,
    ({ argv }) => mapped(argv, (tokens) => tokens.join(' ').replace(/ +$/, '')),
  ),
}

/** Figures of a process that is running move on between the looks; they must not leave the range. */
function isBetween(field: string, info: ProcessInfo, first: Snapshot, second: Snapshot): boolean {
  const within = (value: number | undefined, one: number, other: number, slack: number) =>
    value !== undefined && value >= Math.min(one, other) - slack && value <= Math.max(one, other) + slack
  switch (field) {
    case 'state':
      return 'RSDI'.includes(first.stat.state) && 'RSDI'.includes(second.stat.state) && info.state !== 'zombie'
    case 'cpu':
      return (
        within(info.cpu?.userMs, first.stat.userTicks * tickMs, second.stat.userTicks * tickMs, tickMs) &&
        within(info.cpu?.systemMs, first.stat.systemTicks * tickMs, second.stat.systemTicks * tickMs, tickMs)
      )
    case 'virtualBytes':
    case 'residentBytes':
      return (
        isBusy(first, second) || Math.abs(residentOf(info) - first.stat.residentPages * pageBytes) < residentSlackBytes
      )
    case 'name':
      // A worker of the kernel is named after what it just did.
      return isKernelThread(first.stat) && info.name?.split(/[:/+-]/)[0] === first.stat.comm.split(/[:/+-]/)[0]
    default:
      return false
  }
}

function isBusy(first: Snapshot, second: Snapshot): boolean {
  const used = ({ stat }: Snapshot) => stat.userTicks + stat.systemTicks
  const { residentPages, virtualBytes, state } = first.stat
  const grew = residentPages !== second.stat.residentPages || virtualBytes !== second.stat.virtualBytes
  return grew || state === 'R' || used(first) !== used(second)
}

function residentOf(info: ProcessInfo): number {
  return info.memory?.residentBytes ?? Number.NaN
}

function normalisedTicks(stat: StatByHand): string {
  const text = readFileSync('/proc/self/timens_offsets', 'latin1')
  const [, seconds = '0', nanoseconds = '0'] = /^boottime\s+(-?\d+)\s+(\d+)/m.exec(text) ?? []
  return String(BigInt(stat.startTicks) - BigInt(seconds) * 100n - BigInt(nanoseconds) / 10_000_000n)
}

function firstOfEach(entries: readonly string[]): Record<string, string> {
  const env: Record<string, string> = Object.create(null)
  for (const entry of entries) {
    const [key = '', ...rest] = entry.split('=')
    if (rest.length > 0 && key !== '' && env[key] === undefined) env[key] = rest.join('=')
  }
  return env
}

function userNameByHand(uid: number): string | undefined {
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
  return lines.map((line) => line.split(':')).find((parts) => parts[2] === String(uid))?.[0]
}

function describeField(info: ProcessInfo, field: Field): string {
  if (info.unreadable[field] !== undefined) return info.unreadable[field]
  const values: Partial<Record<Field, unknown>> = {
    uid: info.uid,
    group: info.pgid,
    unique: info.identity.unique ?? undefined,
    argv: info.argv?.length === 0 ? undefined : info.argv,
  }
  return (field in values ? values[field] : info[field as keyof ProcessInfo]) === undefined ? 'none' : 'value'
}

function count(seen: Record<string, Record<string, number>>, field: string, what: string): void {
  const counts = seen[field] ?? {}
  seen[field] = { ...counts, [what]: (counts[what] ?? 0) + 1 }
}
