import { isIPv4, isIPv6 } from 'node:net'
import { fieldBits, missingReasons, type NativeFilter, type NativeSockets, type NativeTable } from '../../lib/native'
import { type FakeHost, type FakeProcess, type FakeSocket, type FieldName, missingOf } from './fake-process'

const fieldNames = Object.keys(fieldBits) as FieldName[]
const fieldCount = 16

export const protocolBits = { tcp: 1, tcp6: 2, udp: 4, udp6: 8, unix: 16 } as const

/** Rows as the addon hands them over: only the columns that were asked for. */
export function tableOf(
  rows: readonly FakeProcess[],
  fields: number,
  host: FakeHost,
  parentOf: (process: FakeProcess) => FakeProcess | undefined,
  rest: { readonly undecided?: readonly number[]; readonly partial?: boolean; readonly pinned?: boolean } = {},
): NativeTable {
  const has = (field: FieldName) => (fields & fieldBits[field]) !== 0
  const reads = (row: FakeProcess, field: FieldName) => missingOf(row, field, host) === 'present'
  const texts = (field: FieldName, of: (row: FakeProcess) => string) =>
    rows.map((row) => (reads(row, field) ? of(row) : ''))
  // Rows that are read under a pin have the id anyway.
  const showsUnique = has('unique') || rest.pinned === true
  const parent = (row: FakeProcess) => (reads(row, 'parent') ? parentOf(row) : undefined)
  return {
    count: rows.length,
    pid: Int32Array.from(rows, (row) => row.pid),
    ppid: Int32Array.from(rows, (row) => row.ppid),
    startToken: BigUint64Array.from(rows, (row) => row.startToken),
    kernel: Uint8Array.from(rows, (row) => Number(row.kernel)),
    missing: missingColumn(rows, fields, host),
    undecided: Int32Array.from(rest.undecided ?? []),
    partial: rest.partial ?? false,
    unique: BigUint64Array.from(rows, (row) => (showsUnique && reads(row, 'unique') ? row.unique : 0n)),
    ...(has('name') && { name: texts('name', (row) => row.name) }),
    ...(has('exe') && {
      exe: texts('exe', (row) => row.exe ?? `/usr/bin/${row.name}`),
      exeDeleted: Uint8Array.from(rows, (row) => Number(row.exeDeleted ?? false)),
    }),
    ...(has('argv') && { argv: texts('argv', (row) => joined(row.argv)) }),
    ...(has('env') && { env: texts('env', (row) => joined(row.env)) }),
    ...(has('cwd') && { cwd: texts('cwd', (row) => row.cwd ?? '/') }),
    ...(has('uid') && {
      uid: Uint32Array.from(rows, (row) => row.uid),
      euid: Uint32Array.from(rows, (row) => row.euid),
    }),
    ...(has('user') && { user: texts('user', (row) => row.user ?? (row.uid === 0 ? 'root' : `user${row.uid}`)) }),
    ...(has('state') && { state: Uint8Array.from(rows, (row) => row.state.charCodeAt(0)) }),
    ...(has('parent') && {
      parentStartToken: BigUint64Array.from(rows, (row) => parent(row)?.startToken ?? 0n),
      parentUnique: BigUint64Array.from(rows, (row) => parent(row)?.unique ?? 0n),
    }),
    ...(has('group') && {
      pgid: Int32Array.from(rows, (row) => row.pgid),
      sid: Int32Array.from(rows, (row) => row.sid),
    }),
    ...(has('startedAt') && { startedAtMs: Float64Array.from(rows, (row) => row.startedAtMs) }),
    ...(has('cpu') && {
      cpuUserMs: Float64Array.from(rows, (row) => row.cpuUserMs ?? 0),
      cpuSystemMs: Float64Array.from(rows, (row) => row.cpuSystemMs ?? 0),
    }),
    ...(has('memory') && {
      residentBytes: Float64Array.from(rows, (row) => row.residentBytes ?? 0),
      virtualBytes: Float64Array.from(rows, (row) => row.virtualBytes ?? 0),
    }),
    ...(has('title') && { title: texts('title', (row) => row.title ?? row.argv.join(' ')) }),
    ...(has('nested') && { nested: Uint8Array.from(rows, (row) => Number(row.nested)) }),
  }
}

const joined = (items: readonly string[]): string => items.map((item) => `${item}\0`).join('')

function missingColumn(rows: readonly FakeProcess[], fields: number, host: FakeHost): Uint8Array {
  const column = new Uint8Array(rows.length * fieldCount)
  rows.forEach((row, index) => {
    for (const field of fieldNames) {
      if ((fields & fieldBits[field]) === 0) continue
      const bit = Math.log2(fieldBits[field])
      column[index * fieldCount + bit] = missingReasons.indexOf(missingOf(row, field, host))
    }
  })
  return column
}

type Match = boolean | 'undecided'

/** Whether a process passes the pushed-down filter: no part may fail; one that cannot be read leaves it undecided. */
export function matches(process: FakeProcess, filter: NativeFilter, host: FakeHost): Match {
  const { pids, ppids, pgids, sids, uids, startedAfterMs, startedBeforeMs } = filter
  const cheap =
    (pids?.includes(process.pid) ?? true) &&
    (ppids?.includes(process.ppid) ?? true) &&
    (pgids?.includes(process.pgid) ?? true) &&
    (sids?.includes(process.sid) ?? true) &&
    (uids?.includes(process.euid) ?? true) &&
    (startedAfterMs === undefined || process.startedAtMs > startedAfterMs) &&
    (startedBeforeMs === undefined || process.startedAtMs < startedBeforeMs)
  if (!cheap) return false
  const parts = [
    matchesExe(process, filter, host),
    matchesArgv(process, filter, host),
    matchesEnv(process, filter, host),
  ]
  if (parts.includes(false)) return false
  return parts.includes('undecided') ? 'undecided' : true
}

function readable(process: FakeProcess, field: FieldName, host: FakeHost, holds: () => boolean): Match {
  const missing = missingOf(process, field, host)
  if (missing === 'present') return holds()
  return missing === 'denied' ? 'undecided' : false
}

function matchesExe(process: FakeProcess, filter: NativeFilter, host: FakeHost): Match {
  const wanted = filter.exe
  if (wanted === undefined) return true
  return readable(process, 'exe', host, () => {
    const exe = process.exe ?? `/usr/bin/${process.name}`
    return wanted.some((suffix) => exe === suffix || (!suffix.startsWith('/') && exe.endsWith(`/${suffix}`)))
  })
}

function matchesArgv(process: FakeProcess, filter: NativeFilter, host: FakeHost): Match {
  const sequences = [...(filter.argvTokens ?? []).map((token) => [token]), ...(filter.argvSequences ?? [])]
  if (sequences.length === 0) return true
  return readable(process, 'argv', host, () => sequences.every((sequence) => holdsSequence(process.argv, sequence)))
}

function holdsSequence(argv: readonly string[], sequence: readonly string[]): boolean {
  return argv.some((_, at) => sequence.every((token, index) => argv[at + index] === token))
}

function matchesEnv(process: FakeProcess, filter: NativeFilter, host: FakeHost): Match {
  const wanted = filter.env
  if (wanted === undefined || wanted.length === 0) return true
  return readable(process, 'env', host, () =>
    wanted.every((entry) => {
      if (!entry.includes('=')) return process.env.some((found) => found.startsWith(`${entry}=`))
      const key = entry.slice(0, entry.indexOf('=') + 1)
      return process.env.find((found) => found.startsWith(key)) === entry
    }),
  )
}

/** Sockets as the addon hands them over. */
export function socketColumns(rows: readonly FakeSocket[], boundVisible: boolean): NativeSockets {
  return {
    count: rows.length,
    protocol: Uint8Array.from(rows, (row) => protocolBits[row.protocol]),
    state: Uint8Array.from(rows, (row) => row.state),
    localAddress: addressColumn(rows.map((row) => row.localAddress)),
    remoteAddress: addressColumn(rows.map((row) => row.remoteAddress)),
    localPort: Uint16Array.from(rows, (row) => row.localPort),
    remotePort: Uint16Array.from(rows, (row) => row.remotePort),
    scopeId: Uint32Array.from(rows, (row) => row.scopeId),
    v6Only: Uint8Array.from(rows, (row) => (row.v6Only === undefined ? 2 : Number(row.v6Only))),
    uid: Uint32Array.from(rows, (row) => row.uid),
    inode: BigUint64Array.from(rows, (row) => row.inode),
    cgroup: BigUint64Array.from(rows, (row) => row.cgroup),
    path: rows.map((row) => row.path),
    boundVisible,
  }
}

function addressColumn(addresses: readonly string[]): Uint8Array {
  const column = new Uint8Array(addresses.length * 16)
  for (const [index, address] of addresses.entries()) column.set(bytesOf(address), index * 16)
  return column
}

function bytesOf(address: string): number[] {
  if (address === '') return []
  if (isIPv4(address)) return address.split('.').map(Number)
  if (!isIPv6(address)) throw new Error(`fake socket: ${address} is no IP address`)
  const [head = '', tail] = address.split('::')
  const groups = (text: string) => text.split(':').filter(Boolean).flatMap(groupBytes)
  const left = groups(head)
  const right = groups(tail ?? '')
  return [...left, ...Array<number>(16 - left.length - right.length).fill(0), ...right]
}

function groupBytes(group: string): number[] {
  if (group.includes('.')) return group.split('.').map(Number)
  const value = Number.parseInt(group, 16)
  return [value >> 8, value & 255]
}
