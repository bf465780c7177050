import { join } from 'node:path'
import nodeGypBuild from 'node-gyp-build'

/** One answer of the addon: plain data, or the operating system's own error. */
export type NativeResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: string; readonly syscall: string; readonly osError: number }

/** Who is looking: the frame that every pid and start token is relative to. */
export interface NativeHost {
  readonly boot: string
  readonly namespace: string
  readonly pid: number
  readonly uid: number
  readonly euid: number
}

/** Bits of a field mask, in the order of `Field` in native/platform.h. */
export const fieldBits = {
  name: 1 << 0,
  exe: 1 << 1,
  argv: 1 << 2,
  env: 1 << 3,
  cwd: 1 << 4,
  uid: 1 << 5,
  user: 1 << 6,
  state: 1 << 7,
  parent: 1 << 8,
  group: 1 << 9,
  startedAt: 1 << 10,
  cpu: 1 << 11,
  memory: 1 << 12,
  title: 1 << 13,
  unique: 1 << 14,
  nested: 1 << 15,
} as const

/** Values of {@link NativeTable.missing}. */
export const missingReasons = ['present', 'denied', 'gone', 'unsupported', 'none'] as const

/** Literal filters; absent parts do not filter. See `ScanFilter` in native/platform.h. */
export interface NativeFilter {
  readonly pids?: Int32Array
  readonly ppids?: Int32Array
  readonly pgids?: Int32Array
  readonly sids?: Int32Array
  readonly uids?: Uint32Array
  readonly exe?: readonly string[]
  readonly argvTokens?: readonly string[]
  readonly argvSequences?: readonly (readonly string[])[]
  readonly env?: readonly string[]
  readonly startedAfterMs?: number
  readonly startedBeforeMs?: number
}

/**
 * Rows as columns: numbers in typed arrays and one text per cell, which is several times cheaper to
 * hand over than an object per process. A column that was not asked for is absent.
 * Bytes that are not UTF-8 arrive as lone surrogates U+DC80–U+DCFF, one per byte, and go back the same way.
 */
export interface NativeTable {
  readonly count: number
  readonly pid: Int32Array
  readonly ppid: Int32Array
  readonly startToken: BigUint64Array
  /** 1 for a kernel thread. */
  readonly kernel: Uint8Array
  /** 0 where there is none. */
  readonly unique?: BigUint64Array
  readonly name?: readonly string[]
  readonly exe?: readonly string[]
  readonly exeDeleted?: Uint8Array
  /** Every argument followed by NUL. */
  readonly argv?: readonly string[]
  /** Every entry followed by NUL. */
  readonly env?: readonly string[]
  readonly cwd?: readonly string[]
  readonly uid?: Uint32Array
  readonly euid?: Uint32Array
  readonly user?: readonly string[]
  /** Character codes of the state letters in native/platform.h. */
  readonly state?: Uint8Array
  /** 0 where the parent is not visible from here. */
  readonly parentStartToken?: BigUint64Array
  readonly parentUnique?: BigUint64Array
  readonly pgid?: Int32Array
  readonly sid?: Int32Array
  readonly startedAtMs?: Float64Array
  readonly cpuUserMs?: Float64Array
  readonly cpuSystemMs?: Float64Array
  readonly residentBytes?: Float64Array
  readonly virtualBytes?: Float64Array
  readonly title?: readonly string[]
  readonly nested?: Uint8Array
  /** Row after row, 16 reasons each: index into {@link missingReasons} at the field's bit position. */
  readonly missing: Uint8Array
  /** Passed every part of the filter that could be read, but not all could. */
  readonly undecided: Int32Array
  /** Some processes are hidden from this observer. */
  readonly partial: boolean
}

/** Index is `Liveness` in native/platform.h. */
export const livenessNames = ['running', 'zombie', 'gone', 'replaced', 'unknown'] as const
export type NativeLiveness = 0 | 1 | 2 | 3 | 4

/** An open pidfd (or what stands for it); closed by {@link NativeBinding.closePins} or when collected. */
export interface NativePin {
  readonly __pin: unique symbol
}

/** Whom to pin, as columns; `unique` is 0n where there is none. */
export interface NativeTargets {
  readonly pid: Int32Array
  readonly startToken: BigUint64Array
  readonly unique: BigUint64Array
}

/** One answer per target. `pin` is present exactly when liveness is running or zombie. */
export type NativePinResult =
  | { readonly ok: true; readonly liveness: NativeLiveness; readonly pin?: NativePin }
  | { readonly ok: false; readonly code: string; readonly syscall: string; readonly osError: number }

/** One answer per pin. `liveness` is what was seen right before the signal. */
export interface NativeSignalResult {
  readonly code: string
  readonly syscall: string
  readonly osError: number
  readonly liveness: NativeLiveness
  readonly atomic: boolean
}

export interface NativeExit {
  readonly exitCode?: number
  readonly signal?: number
}

/** Sockets as columns. Addresses are 16 bytes a row, IPv4 in the first four. */
export interface NativeSockets {
  readonly count: number
  readonly protocol: Uint8Array
  readonly state: Uint8Array
  readonly localAddress: Uint8Array
  readonly remoteAddress: Uint8Array
  readonly localPort: Uint16Array
  readonly remotePort: Uint16Array
  readonly scopeId: Uint32Array
  /** 0 no, 1 yes, 2 not known. */
  readonly v6Only: Uint8Array
  readonly uid: Uint32Array
  readonly inode: BigUint64Array
  /** 0 where not known. */
  readonly cgroup: BigUint64Array
  readonly path: readonly string[]
  readonly boundVisible: boolean
}

export interface NativeHolders {
  readonly count: number
  readonly inode: BigUint64Array
  readonly pid: Int32Array
  readonly ppid: Int32Array
  readonly startToken: BigUint64Array
  readonly unique: BigUint64Array
  /** Processes whose descriptors could not be looked at. */
  readonly unseen: number
}

export interface NativeCapability {
  readonly name: string
  readonly available: boolean
  readonly detail: string
}

/** Everything the addon exports. Asynchronous calls run off the event loop; none of them throws for what the OS says. */
export interface NativeBinding {
  host(): NativeResult<NativeHost>
  capabilities(): NativeResult<readonly NativeCapability[]>

  scan(fields: number, filter: NativeFilter): Promise<NativeResult<NativeTable>>
  scanSync(fields: number, filter: NativeFilter): NativeResult<NativeTable>
  /** A table of one row. */
  readProcess(pid: number, fields: number): Promise<NativeResult<NativeTable>>
  readProcessSync(pid: number, fields: number): NativeResult<NativeTable>

  verify(pid: number, startToken: bigint, unique: bigint): Promise<NativeResult<NativeLiveness>>
  verifySync(pid: number, startToken: bigint, unique: bigint): NativeResult<NativeLiveness>

  openPins(targets: NativeTargets): Promise<readonly NativePinResult[]>
  openPinsSync(targets: NativeTargets): readonly NativePinResult[]
  /**
   * Pins the groups that these processes lead or led, also after a leader has been reaped; such pins serve scope 1 only.
   * ESRCH: no such group any more. ENOTSUP: it cannot be told whether it is still that group.
   */
  openGroupPins(targets: NativeTargets): Promise<readonly NativePinResult[]>
  openGroupPinsSync(targets: NativeTargets): readonly NativePinResult[]
  /** scope 0: each process. scope 1: the group that each process leads. Signal 0 only asks. */
  signalPins(pins: readonly NativePin[], signal: number, scope: 0 | 1): Promise<readonly NativeSignalResult[]>
  signalPinsSync(pins: readonly NativePin[], signal: number, scope: 0 | 1): readonly NativeSignalResult[]
  pinState(pin: NativePin): NativeResult<NativeLiveness>
  closePins(pins: readonly NativePin[]): void
  /** Blocks up to `timeoutMs`: for exit handlers only. One boolean per pin: has it exited? */
  waitPinsSync(pins: readonly NativePin[], timeoutMs: number): NativeResult<readonly boolean[]>

  /** Calls back once when the process has exited. Does not keep Node alive unless told to by {@link refExits}. */
  watchExit(pin: NativePin, callback: (exit: NativeExit) => void): NativeResult<number>
  unwatchExit(id: number): void
  /** While true, pending watches keep the event loop alive. */
  refExits(keepAlive: boolean): void

  /** `states` is a mask of 1 << SocketState, 0 for all; `localPort` 0 for all. */
  listSockets(protocols: number, states: number, localPort: number): Promise<NativeResult<NativeSockets>>
  findSocketHolders(
    inodes: BigUint64Array,
    uids: Uint32Array,
    cgroups: BigUint64Array,
  ): Promise<NativeResult<NativeHolders>>
  processSockets(pid: number): Promise<NativeResult<BigUint64Array>>
}

let loaded: NativeBinding | undefined

/** Loads the addon once: `build/` of a checkout first, else the prebuilt binary of this platform. */
export function native(): NativeBinding {
  loaded ??= load()
  return loaded
}

function load(): NativeBinding {
  try {
    return nodeGypBuild(join(__dirname, '..')) as NativeBinding
  } catch (cause) {
    const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined
    const libc = process.platform === 'linux' ? (report?.header?.glibcVersionRuntime ? ' (glibc)' : ' (musl)') : ''
    throw new Error(
      `pidproof: no native addon for ${process.platform}-${process.arch}${libc}, Node-API ${process.versions.napi}: ` +
        'neither build/Release nor a file in prebuilds/ could be loaded. ' +
        'Reinstall with optional files included, or build it: `npm rebuild pidproof` (needs a C++ compiler and python3).',
      { cause },
    )
  }
}
