// A second reader of /proc, written without a look at the first: the oracle of the contract tests.
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'

/** One value, or why there is none. `none`: there is nothing to read, such as the program of a kernel thread. */
export type ByHand<T> = { readonly value: T } | { readonly missing: 'denied' | 'none' | 'gone' }

export interface StatByHand {
  readonly pid: number
  readonly comm: string
  readonly state: string
  readonly ppid: number
  readonly pgid: number
  readonly sid: number
  readonly flags: number
  readonly userTicks: number
  readonly systemTicks: number
  readonly threads: number
  readonly startTicks: string
  readonly virtualBytes: number
  readonly residentPages: number
}

const pfKernelThread = 0x0020_0000

export function pidsByHand(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^[1-9]\d*$/.test(name))
    .map(Number)
    .sort((a, b) => a - b)
}

/** UTF-8, with every byte that is not part of a valid sequence as U+DC80 to U+DCFF. */
export function textOf(bytes: Buffer): string {
  let text = ''
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at)
    text += length === 0 ? String.fromCharCode(0xdc00 + (bytes[at] ?? 0)) : bytes.toString('utf8', at, at + length)
    at += Math.max(length, 1)
  }
  return text
}

/** How many bytes from here make one valid character; 0 if they do not. */
function sequenceLength(bytes: Buffer, at: number): number {
  for (const length of [1, 2, 3, 4]) {
    const part = bytes.subarray(at, at + length)
    const decoded = part.toString('utf8')
    const isOne = [...decoded].length === 1 && Buffer.from(decoded).equals(part)
    if (isOne && part.length === length) return length
  }
  return 0
}

/** The fields of /proc/<pid>/stat, or undefined if that can not be read. */
export function statByHand(pid: number | string): StatByHand | undefined {
  const bytes = tryRead(() => readFileSync(`/proc/${pid}/stat`))
  if (!('value' in bytes)) return undefined
  const open = bytes.value.indexOf('(')
  const close = bytes.value.lastIndexOf(')')
  const rest = bytes.value.toString('latin1', close + 2).split(' ')
  const field = (number: number) => rest[number - 3] ?? ''
  return {
    pid: Number(bytes.value.toString('latin1', 0, open)),
    comm: textOf(bytes.value.subarray(open + 1, close)),
    state: field(3),
    ppid: Number(field(4)),
    pgid: Number(field(5)),
    sid: Number(field(6)),
    flags: Number(field(9)),
    userTicks: Number(field(14)),
    systemTicks: Number(field(15)),
    threads: Number(field(20)),
    startTicks: field(22),
    virtualBytes: Number(field(23)),
    residentPages: Number(field(24)),
  }
}

/** Start ticks as this process sees them (a time namespace shifts them). */
export function startTicksByHand(pid: number): string | undefined {
  return statByHand(pid)?.startTicks
}

export function isKernelThread(stat: StatByHand): boolean {
  return (stat.flags & pfKernelThread) !== 0
}

/** The main thread has ended, others live. */
export function isLeaderless(stat: StatByHand): boolean {
  return stat.state === 'Z' && stat.threads > 1
}

/** Neither gone nor a zombie. */
export function livesByHand(pid: number): boolean {
  const stat = statByHand(pid)
  return stat !== undefined && (stat.state !== 'Z' || isLeaderless(stat)) && stat.state !== 'X'
}

/** Where the address space of the process can still be seen: a live thread, if the first one has ended. */
function areaOf(stat: StatByHand): string {
  if (!isLeaderless(stat)) return `/proc/${stat.pid}`
  const threads = readdirSync(`/proc/${stat.pid}/task`)
  return `/proc/${stat.pid}/task/${threads.find((thread) => statByHand(`${stat.pid}/task/${thread}`)?.state !== 'Z')}`
}

export function argvByHand(stat: StatByHand): ByHand<string[]> {
  if (stat.state === 'Z' && !isLeaderless(stat)) return { missing: 'none' }
  return ofArea(stat, (area) => splitAtNul(readFileSync(`${area}/cmdline`)))
}

/** Entries of the environment, as they are. */
export function envByHand(stat: StatByHand): ByHand<string[]> {
  return ofArea(stat, (area) => splitAtNul(readFileSync(`${area}/environ`)))
}

export function exeByHand(stat: StatByHand): ByHand<{ path: string; deleted: boolean }> {
  return ofArea(stat, (area) => {
    const link = textOf(readlinkSync(`${area}/exe`, 'buffer'))
    const deleted = statSync(`${area}/exe`).nlink === 0
    return { path: deleted ? link.replace(/ \(deleted\)$/, '') : link, deleted }
  })
}

export function cwdByHand(stat: StatByHand): ByHand<string> {
  return ofArea(stat, (area) => textOf(readlinkSync(`${area}/cwd`, 'buffer')))
}

export function uidsByHand(pid: number): ByHand<{ real: number; effective: number }> {
  return tryRead(() => {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    const [real = '', effective = ''] = (/^Uid:\s+(.*)$/m.exec(status)?.[1] ?? '').split(/\s+/)
    return { real: Number(real), effective: Number(effective) }
  })
}

/** Inodes of the sockets that the process has open, through any thread. */
export function socketsByHand(pid: number): Set<string> {
  const inodes = new Set<string>()
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const folder = `/proc/${pid}/task/${thread}/fd`
    const names = tryRead(() => readdirSync(folder))
    for (const name of 'value' in names ? names.value : []) {
      const link = tryRead(() => readlinkSync(`${folder}/${name}`))
      const inode = 'value' in link ? /^socket:\[(\d+)\]$/.exec(link.value)?.[1] : undefined
      if (inode) inodes.add(inode)
    }
  }
  return inodes
}

/** Whether the descriptors of every process can be read from here. */
export function visibilityByHand(): 'complete' | 'partial' {
  const isHidden = pidsByHand().some((pid) => {
    const stat = statByHand(pid)
    if (stat === undefined || stat.state === 'Z' || isKernelThread(stat)) return false
    const folder = `/proc/${pid}/fd`
    const names = tryRead(() => readdirSync(folder))
    const [first] = 'value' in names ? names.value : []
    const link = first === undefined ? names : tryRead(() => readlinkSync(`${folder}/${first}`))
    return 'missing' in link && link.missing === 'denied'
  })
  return isHidden ? 'partial' : 'complete'
}

export function namespaceByHand(kind: 'pid' | 'net'): string {
  return String(statSync(`/proc/self/ns/${kind}`).ino)
}

function splitAtNul(bytes: Buffer): string[] {
  if (bytes.length === 0) return []
  const text = textOf(bytes)
  return (text.endsWith('\0') ? text.slice(0, -1) : text).split('\0')
}

function ofArea<T>(stat: StatByHand, read: (area: string) => T): ByHand<T> {
  if (isKernelThread(stat)) return { missing: 'none' }
  const result = tryRead(() => read(areaOf(stat)))
  const isOver = stat.state === 'Z' && !isLeaderless(stat)
  return 'missing' in result && result.missing === 'gone' && isOver ? { missing: 'none' } : result
}

function tryRead<T>(read: () => T): ByHand<T> {
  try {
    return { value: read() }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EACCES' || code === 'EPERM') return { missing: 'denied' }
    if (code === 'ENOENT' || code === 'ESRCH') return { missing: 'gone' }
    throw error
  }
}
