import { setTimeout } from 'node:timers'
import type { ProcessIdentity } from '../../lib/identity'
import type { NativeCapability, NativeExit, NativeHost, NativeLiveness } from '../../lib/native'
import {
  environmentEntries,
  type FakeProcess,
  type FakeProcessInit,
  type FakeSocket,
  type FakeSocketInit,
  maySignal,
} from './fake-process'

export interface FakeOptions {
  readonly boot?: string
  readonly namespace?: string
  readonly pid?: number
  readonly uid?: number
  readonly euid?: number
  /** Without init, kthreadd, shell and observer. */
  readonly bare?: boolean
  readonly atomic?: boolean
  readonly groupSignals?: boolean
  readonly uniqueIds?: boolean
  /** Whether exits come with code and signal. */
  readonly exitStatus?: boolean
  readonly boundVisible?: boolean
  /** What {@link NativeTable.partial} says; true anyway while a process is `hidden`. */
  readonly partial?: boolean
  readonly capabilities?: readonly NativeCapability[]
}

export interface Delivery {
  readonly pid: number
  readonly startToken: bigint
  readonly signal: number
  readonly scope: 0 | 1
}

export const RUNNING: NativeLiveness = 0
export const ZOMBIE: NativeLiveness = 1
export const GONE: NativeLiveness = 2
export const REPLACED: NativeLiveness = 3
export const UNKNOWN: NativeLiveness = 4

const SIGKILL = 9
const SIGCONT = 18
const SIGSTOP = 19
const harmlessByDefault = new Set([17, 23, 28])

/** The processes and sockets behind a `FakeBinding`, and what signals do to them. */
export class FakeWorld {
  readonly delivered: Delivery[] = []

  protected readonly options: FakeOptions
  protected readonly observer: NativeHost
  protected readonly processes = new Map<number, FakeProcess>()
  protected readonly sockets: FakeSocket[] = []
  /** Reaped. */
  protected readonly dead: FakeProcess[] = []
  #nextPid = 1001
  #nextToken = 5000n
  #nextUnique = 70_001n
  #nextInode = 900_001n

  constructor(options: FakeOptions = {}) {
    this.options = options
    const uid = options.uid ?? 1000
    this.observer = {
      boot: options.boot ?? 'b0070000-1111-4222-8333-444455556666',
      namespace: options.namespace ?? '4026531836',
      pid: options.pid ?? 500,
      uid,
      euid: options.euid ?? uid,
    }
    if (options.bare) return
    this.add({ pid: 1, ppid: 0, name: 'init', uid: 0, argv: ['/sbin/init'] })
    this.add({ pid: 2, ppid: 0, pgid: 0, sid: 0, name: 'kthreadd', uid: 0, argv: [], kernel: true, state: 'I' })
    this.add({ pid: 400, name: 'sh', argv: ['-sh'], pgid: 400, sid: 400 })
    this.add({ pid: this.observer.pid, ppid: 400, sid: 400, name: 'node', argv: ['node', 'observer.js'], state: 'R' })
  }

  /** Adds a process: a child of init, our user's, an hour old, leader of its own group and session unless said otherwise. */
  add(init: FakeProcessInit = {}): FakeProcess {
    const pid = init.pid ?? this.#freePid()
    if (this.processes.has(pid)) throw new Error(`fake: pid ${pid} is taken; use reuse()`)
    const uid = init.uid ?? this.observer.uid
    const name = init.name ?? 'app'
    this.#nextToken += 100n
    const process: FakeProcess = {
      ...init,
      pid,
      ppid: init.ppid ?? 1,
      pgid: init.pgid ?? pid,
      sid: init.sid ?? pid,
      startToken: init.startToken ?? this.#nextToken,
      unique: this.options.uniqueIds === false ? 0n : (init.unique ?? this.#nextUnique++),
      startedAtMs: init.startedAtMs ?? Date.now() - 3_600_000,
      uid,
      euid: init.euid ?? uid,
      name,
      argv: init.argv ?? [name],
      env: environmentEntries(init.env),
      state: init.state ?? 'S',
      kernel: init.kernel ?? false,
      nested: init.nested ?? false,
      pending: [],
      gone: false,
    }
    this.processes.set(pid, process)
    return process
  }

  get(pid: number): FakeProcess {
    const process = this.processes.get(pid)
    if (process === undefined) throw new Error(`fake: no process ${pid}`)
    return process
  }

  /** A child of that process with its program, environment, user, group and session, born now. */
  fork(pid: number, init: FakeProcessInit = {}): FakeProcess {
    const { pgid, sid, uid, euid, name, argv, env, exe, cwd, nested, ignores } = this.get(pid)
    return this.add({
      ...{ pgid, sid, uid, euid, name, argv, env, nested },
      ...(exe !== undefined && { exe }),
      ...(cwd !== undefined && { cwd }),
      ...(ignores !== undefined && { ignores }),
      ppid: pid,
      startedAtMs: Date.now(),
      ...init,
    })
  }

  /** It dies now; watches are told, sockets closed, children handed to init. */
  exit(pid: number, exit: NativeExit = { exitCode: 0 }): void {
    this.#die(this.get(pid), exit)
  }

  reap(pid: number): void {
    this.#remove(this.get(pid))
  }

  /** The process dies and is reaped, and its number goes to somebody else, who is returned. */
  reuse(pid: number, init: FakeProcessInit = {}): FakeProcess {
    const old = this.get(pid)
    if (old.state !== 'Z') this.#die(old, { signal: SIGKILL })
    if (this.processes.get(pid) === old) this.#remove(old)
    return this.add({ name: 'innocent', ...init, pid })
  }

  identity(pid: number): ProcessIdentity {
    const { startToken, unique } = this.get(pid)
    return Object.freeze({
      pid,
      startToken: String(startToken),
      boot: this.observer.boot,
      namespace: this.observer.namespace,
      unique: unique === 0n ? null : String(unique),
    })
  }

  alive(): number[] {
    return this.listed()
      .filter((process) => process.state !== 'Z')
      .map((process) => process.pid)
  }

  addSocket(init: FakeSocketInit = {}): FakeSocket {
    const protocol = init.protocol ?? 'tcp'
    const isV6 = protocol.endsWith('6')
    const any = protocol === 'unix' ? '' : isV6 ? '::' : '0.0.0.0'
    const socket: FakeSocket = {
      protocol,
      state: init.state ?? (protocol.startsWith('udp') ? 7 : 10),
      localAddress: init.localAddress ?? any,
      localPort: init.localPort ?? 0,
      remoteAddress: init.remoteAddress ?? any,
      remotePort: init.remotePort ?? 0,
      scopeId: init.scopeId ?? 0,
      v6Only: init.v6Only ?? (isV6 ? false : undefined),
      uid: init.uid ?? this.observer.uid,
      inode: init.inode ?? this.#nextInode++,
      cgroup: init.cgroup ?? 0n,
      path: init.path ?? '',
      holders: (init.holders ?? []).map((pid) => this.get(pid)),
    }
    this.sockets.push(socket)
    return socket
  }

  closeSocket(socket: FakeSocket): void {
    const at = this.sockets.indexOf(socket)
    if (at !== -1) this.sockets.splice(at, 1)
  }

  #freePid(): number {
    while (this.processes.has(this.#nextPid)) this.#nextPid += 1
    return this.#nextPid++
  }

  protected listed(): FakeProcess[] {
    return [...this.processes.values()].sort((a, b) => a.pid - b.pid)
  }

  protected liveness(pid: number, startToken: bigint, unique: bigint): NativeLiveness {
    const process = this.processes.get(pid)
    if (process === undefined) return GONE
    if (process.hidden) return UNKNOWN
    const isSame =
      unique !== 0n && process.unique !== 0n
        ? unique === process.unique && startToken === process.startToken
        : startToken === process.startToken
    return isSame ? livenessOf(process) : REPLACED
  }

  protected send(leader: FakeProcess, signal: number, scope: 0 | 1): string {
    if (scope === 1 && this.options.groupSignals === false) return 'ENOTSUP'
    const members =
      scope === 0
        ? [leader].filter((process) => !process.gone)
        : this.listed().filter((process) => process.pgid === leader.pid)
    if (members.length === 0) return 'ESRCH'
    const allowed = members.filter((process) => maySignal(process, this.observer))
    if (allowed.length === 0) return 'EPERM'
    if (signal !== 0) for (const process of allowed) this.#deliver(process, signal, scope)
    return 'OK'
  }

  #deliver(process: FakeProcess, signal: number, scope: 0 | 1): void {
    this.delivered.push({ pid: process.pid, startToken: process.startToken, signal, scope })
    process.onSignal?.(signal, process)
    if (process.state === 'Z' || process.gone || process.unkillable) return
    if (signal === SIGSTOP) process.state = 'T'
    else if (signal === SIGCONT) this.#resume(process)
    else if (signal === SIGKILL) this.#die(process, { signal })
    else if (process.state === 'T') process.pending.push(signal)
    else this.#handle(process, signal)
  }

  #resume(process: FakeProcess): void {
    if (process.state === 'T') process.state = 'S'
    for (const signal of process.pending.splice(0)) this.#handle(process, signal)
  }

  #handle(process: FakeProcess, signal: number): void {
    if (process.ignores?.includes(signal) || harmlessByDefault.has(signal) || process.gone) return
    const exit = process.exitsWith ?? { signal }
    const { dieAfterMs = 0 } = process
    if (dieAfterMs === 0) {
      this.#die(process, exit)
    } else if (process.diesAtMs === undefined) {
      process.diesAtMs = performance.now() + dieAfterMs
      process.exit = exit
      setTimeout(() => this.elapse(), dieAfterMs + 1).unref()
    }
  }

  /** Lets everybody die whose time has come. */
  protected elapse(): void {
    const now = performance.now()
    for (const process of this.listed()) {
      if (process.state !== 'Z' && process.diesAtMs !== undefined && process.diesAtMs <= now) {
        this.#die(process, process.exit ?? {})
      }
    }
  }

  #die(process: FakeProcess, exit: NativeExit): void {
    if (process.gone || process.state === 'Z') return
    process.exit = exit
    process.state = 'Z'
    for (const child of this.processes.values()) if (child.ppid === process.pid) child.ppid = 1
    for (const socket of [...this.sockets]) {
      const left = socket.holders.filter((holder) => holder !== process)
      if (left.length === socket.holders.length) continue
      socket.holders = left
      if (left.length === 0) this.closeSocket(socket)
    }
    if (!process.notReaped) this.#remove(process)
    this.died(process)
  }

  #remove(process: FakeProcess): void {
    process.gone = true
    this.dead.push(process)
    if (this.processes.get(process.pid) === process) this.processes.delete(process.pid)
  }

  /** Told of every death. */
  protected died(_process: FakeProcess): void {}
}

export function livenessOf(process: FakeProcess): NativeLiveness {
  if (process.gone) return GONE
  return process.state === 'Z' ? ZOMBIE : RUNNING
}
