import type { fieldBits, NativeExit } from '../../lib/native'

export type FieldName = keyof typeof fieldBits
export type MissingReason = 'present' | 'denied' | 'gone' | 'unsupported' | 'none'
export type StateLetter = 'R' | 'S' | 'D' | 'T' | 't' | 'Z' | 'I' | 'X' | '?'
export type SignalHook = (signal: number, process: FakeProcess) => void

/** What a test says about a process; everything has a default. */
export interface FakeProcessInit {
  readonly pid?: number
  readonly ppid?: number
  readonly pgid?: number
  readonly sid?: number
  readonly startToken?: bigint
  /** 0n: the kernel has no unique id for it. */
  readonly unique?: bigint
  readonly startedAtMs?: number
  /** Real user. */
  readonly uid?: number
  /** Effective user, defaults to `uid`. */
  readonly euid?: number
  readonly user?: string
  readonly name?: string
  readonly exe?: string
  readonly exeDeleted?: boolean
  readonly argv?: readonly string[]
  /** A record, or raw entries where duplicates and entries without '=' matter. */
  readonly env?: Readonly<Record<string, string>> | readonly string[]
  readonly cwd?: string
  readonly state?: StateLetter
  readonly title?: string
  readonly kernel?: boolean
  /** Lives in a pid namespace below the observer's. */
  readonly nested?: boolean
  readonly residentBytes?: number
  readonly virtualBytes?: number
  readonly cpuUserMs?: number
  readonly cpuSystemMs?: number
  /** Why single fields have no value; wins over what permissions would say. */
  readonly missing?: Partial<Record<FieldName, MissingReason>>
  /** hidepid: not listed, EACCES when read, `unknown` when verified or pinned. */
  readonly hidden?: boolean
  /** Its descriptors cannot be looked at: holds sockets unseen. */
  readonly socketsHidden?: boolean
  /** Signal numbers that have no effect. SIGKILL and SIGSTOP cannot be ignored. */
  readonly ignores?: readonly number[]
  /** Stays alive whatever is sent (uninterruptible sleep). */
  readonly unkillable?: boolean
  /** How long it takes to die of a signal other than SIGKILL. */
  readonly dieAfterMs?: number
  /** It stays a zombie after its exit until {@link FakeBinding.reap}. */
  readonly notReaped?: boolean
  /** What a signal that ends it leaves as exit; default is death by that signal. */
  readonly exitsWith?: NativeExit
  /** Runs before the signal takes effect, e.g. to fork. */
  readonly onSignal?: SignalHook
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }
type Defaulted =
  | 'pid'
  | 'ppid'
  | 'pgid'
  | 'sid'
  | 'startToken'
  | 'unique'
  | 'startedAtMs'
  | 'uid'
  | 'euid'
  | 'name'
  | 'argv'
  | 'env'
  | 'state'
  | 'kernel'
  | 'nested'

/** A process of the fake; tests may change its properties at any time. */
export type FakeProcess = Mutable<Omit<FakeProcessInit, Defaulted>> & {
  pid: number
  ppid: number
  pgid: number
  sid: number
  startToken: bigint
  unique: bigint
  startedAtMs: number
  uid: number
  euid: number
  name: string
  argv: readonly string[]
  env: readonly string[]
  state: StateLetter
  kernel: boolean
  nested: boolean
  /** Signals that wait for SIGCONT. */
  pending: number[]
  exit?: NativeExit
  gone: boolean
  /** Monotonic time at which it will die of a signal it takes a while to handle. */
  diesAtMs?: number
  dyingOf?: number
}

export interface FakeSocketInit {
  readonly protocol?: 'tcp' | 'tcp6' | 'udp' | 'udp6' | 'unix'
  /** Value of `SocketState` in native/platform.h; default 10 (LISTEN), 7 for UDP. */
  readonly state?: number
  readonly localAddress?: string
  readonly localPort?: number
  readonly remoteAddress?: string
  readonly remotePort?: number
  readonly scopeId?: number
  readonly v6Only?: boolean
  readonly uid?: number
  /** 0n: nobody can hold it (TIME_WAIT, not accepted yet). Default: a fresh one. */
  readonly inode?: bigint
  readonly cgroup?: bigint
  readonly path?: string
  /** Pids that have it open. It vanishes with the last of them. */
  readonly holders?: readonly number[]
}

export type FakeSocket = Mutable<Required<Omit<FakeSocketInit, 'holders' | 'v6Only'>>> & {
  v6Only: boolean | undefined
  holders: FakeProcess[]
}

export interface FakeHost {
  readonly boot: string
  readonly namespace: string
  readonly pid: number
  readonly uid: number
  readonly euid: number
}

/** The raw entries of an environment. */
export function environmentEntries(env: FakeProcessInit['env']): readonly string[] {
  if (env === undefined) return []
  return Array.isArray(env) ? (env as readonly string[]) : Object.entries(env).map(([key, value]) => `${key}=${value}`)
}

/** What this observer would be told about one field of that process. */
export function missingOf(process: FakeProcess, field: FieldName, host: FakeHost): MissingReason {
  const said = process.missing?.[field]
  if (said !== undefined) return said
  const noImage = process.kernel || process.state === 'Z'
  switch (field) {
    case 'exe':
    case 'argv':
    case 'env':
    case 'title':
      if (noImage) return 'none'
      break
    case 'cwd':
      if (process.state === 'Z') return 'none'
      break
    case 'parent':
      return process.ppid === 0 ? 'none' : 'present'
    case 'unique':
      return process.unique === 0n ? 'unsupported' : 'present'
    default:
      return 'present'
  }
  const isPublic = field === 'argv' || field === 'title'
  return isPublic || mayInspect(process, host) ? 'present' : 'denied'
}

function mayInspect(process: FakeProcess, host: FakeHost): boolean {
  return host.euid === 0 || (process.uid === host.euid && process.euid === host.euid)
}

/** kill(2): the sender's real or effective user against the target's real (or saved) one. */
export function maySignal(process: FakeProcess, host: FakeHost): boolean {
  return host.euid === 0 || process.uid === host.uid || process.uid === host.euid
}
