// A NativeBinding over a list of made-up processes and sockets, for tests of everything above the seam.
//
//   const fake = new FakeBinding({ uid: 1000 })          init (1), kthreadd (2), a shell (400) and the observer (500)
//   const backend = fake.add({ name: 'backend', argv: ['backend', '--port', '3000'], env: { APP: 'x' } })
//   fake.addSocket({ localPort: 3000, holders: [backend.pid] })
//   await terminate(fake.identity(backend.pid), {}, fake)
//   expect(fake.delivered).toEqual([{ pid: backend.pid, startToken: backend.startToken, signal: 15, scope: 0 }])
//
// Processes (properties in fake-process.ts, all may be changed later):
//   add(init) · get(pid) · fork(pid, init?) · exit(pid, exit?) · reap(pid) · reuse(pid, init?) → the successor
//   identity(pid) is what `identify` would answer · alive() lists the pids that are not dead
//   Signals: SIGTERM and its like end a process (after `dieAfterMs`) unless it `ignores` them; SIGSTOP stops, and a
//   stopped process handles nothing but SIGKILL and SIGCONT; `unkillable` survives all; a dead process is reaped at
//   once unless `notReaped`; its children become those of pid 1. Other users' processes answer EPERM unless euid is 0.
// Sockets: addSocket(init) · closeSocket(socket)
//   A socket ends with its last holder. Rows with inode 0n have no holder and stay until closed.
// Faults:
//   fail(method, code, { times?, pid? })  the next call(s) answer that code; with a pid only that target's entry does
//   before(method, hook, { times? })      runs right before a call is answered: reuse a pid, fork, add a socket
//   onSignal of a process                 runs before a signal takes effect (growth by forking)
//   options: atomic, groupSignals, uniqueIds, exitStatus, boundVisible, partial: what this kernel and observer can do
// Ledger:
//   calls[method] counts · touched() is the number of calls that read or act: all but host, capabilities, closePins,
//   unwatchExit and refExits
//   delivered lists every signal that reached a process (0 excluded) · openPinCount · watchCount · keepAlive
import { setImmediate } from 'node:timers'
import type {
  NativeBinding,
  NativeCapability,
  NativeExit,
  NativeFilter,
  NativeHolders,
  NativeHost,
  NativeLiveness,
  NativePin,
  NativePinResult,
  NativeResult,
  NativeSignalResult,
  NativeSockets,
  NativeTable,
  NativeTargets,
} from '../../lib/native'
import { matches, protocolBits, socketColumns, tableOf } from './fake-columns'
import type { FakeProcess } from './fake-process'
import { FakeWorld, livenessOf, REPLACED, RUNNING, ZOMBIE } from './fake-world'

export type { FakeProcess, FakeProcessInit, FakeSocket, FakeSocketInit } from './fake-process'
export type { Delivery, FakeOptions } from './fake-world'

type Method = keyof NativeBinding
type Failure = { readonly ok: false; readonly code: string; readonly syscall: string; readonly osError: number }
interface Fault {
  readonly code: string
  readonly pid: number | undefined
  times: number
}
interface Hook {
  readonly run: (fake: FakeBinding) => void
  times: number
}
interface Watch {
  readonly process: FakeProcess
  readonly callback: (exit: NativeExit) => void
}

const defaultCapabilities: readonly NativeCapability[] = [
  'process-table',
  'pin',
  'atomic-signal',
  'event-exit',
  'unique-id',
  'atomic-group-signal',
  'exit-status',
  'all-processes-visible',
  'sockets',
  'socket-diag',
  'bound-sockets',
].map((name) => ({ name, available: true, detail: 'made up' }))

const sleepCell = new Int32Array(new SharedArrayBuffer(4))

export class FakeBinding extends FakeWorld implements NativeBinding {
  readonly calls: Record<Method, number> = {
    host: 0,
    capabilities: 0,
    scan: 0,
    scanSync: 0,
    readProcess: 0,
    readProcessSync: 0,
    verify: 0,
    verifySync: 0,
    openPins: 0,
    openPinsSync: 0,
    openGroupPins: 0,
    openGroupPinsSync: 0,
    signalPins: 0,
    signalPinsSync: 0,
    pinState: 0,
    closePins: 0,
    waitPinsSync: 0,
    watchExit: 0,
    unwatchExit: 0,
    refExits: 0,
    listSockets: 0,
    findSocketHolders: 0,
    processSockets: 0,
  }
  keepAlive = false

  readonly #faults = new Map<Method, Fault[]>()
  readonly #hooks = new Map<Method, Hook[]>()
  readonly #pins = new Map<NativePin, FakeProcess>()
  readonly #watches = new Map<number, Watch>()
  #nextWatch = 1

  // ---- faults and the ledger

  fail(method: Method, code: string, options: { readonly times?: number; readonly pid?: number } = {}): void {
    const faults = this.#faults.get(method) ?? []
    faults.push({ code, pid: options.pid, times: options.times ?? 1 })
    this.#faults.set(method, faults)
  }

  before(method: Method, hook: (fake: FakeBinding) => void, options: { readonly times?: number } = {}): void {
    const hooks = this.#hooks.get(method) ?? []
    hooks.push({ run: hook, times: options.times ?? 1 })
    this.#hooks.set(method, hooks)
  }

  touched(): number {
    const { host, capabilities, closePins, unwatchExit, refExits, ...rest } = this.calls
    return Object.values(rest).reduce((sum, count) => sum + count, 0)
  }

  get openPinCount(): number {
    return this.#pins.size
  }

  get watchCount(): number {
    return this.#watches.size
  }

  // ---- NativeBinding: who is looking

  host(): NativeResult<NativeHost> {
    return this.#answer('host', () => this.observer)
  }

  capabilities(): NativeResult<readonly NativeCapability[]> {
    return this.#answer('capabilities', () => this.options.capabilities ?? defaultCapabilities)
  }

  // ---- processes

  scan(fields: number, filter: NativeFilter): Promise<NativeResult<NativeTable>> {
    return this.#later('scan', () => this.#scan(fields, filter))
  }

  scanSync(fields: number, filter: NativeFilter): NativeResult<NativeTable> {
    return this.#answer('scanSync', () => this.#scan(fields, filter))
  }

  readProcess(pid: number, fields: number): Promise<NativeResult<NativeTable>> {
    return this.#laterResult('readProcess', () => this.#read(pid, fields))
  }

  readProcessSync(pid: number, fields: number): NativeResult<NativeTable> {
    return this.#answerResult('readProcessSync', () => this.#read(pid, fields))
  }

  verify(pid: number, startToken: bigint, unique: bigint): Promise<NativeResult<NativeLiveness>> {
    return this.#later('verify', () => this.liveness(pid, startToken, unique))
  }

  verifySync(pid: number, startToken: bigint, unique: bigint): NativeResult<NativeLiveness> {
    return this.#answer('verifySync', () => this.liveness(pid, startToken, unique))
  }

  // ---- pins

  openPins(targets: NativeTargets): Promise<readonly NativePinResult[]> {
    this.#called('openPins')
    return soon(() => this.#openPins('openPins', targets))
  }

  openPinsSync(targets: NativeTargets): readonly NativePinResult[] {
    this.#called('openPinsSync')
    return this.#openPins('openPinsSync', targets)
  }

  openGroupPins(targets: NativeTargets): Promise<readonly NativePinResult[]> {
    this.#called('openGroupPins')
    return soon(() => this.#openGroupPins('openGroupPins', targets))
  }

  openGroupPinsSync(targets: NativeTargets): readonly NativePinResult[] {
    this.#called('openGroupPinsSync')
    return this.#openGroupPins('openGroupPinsSync', targets)
  }

  signalPins(pins: readonly NativePin[], signal: number, scope: 0 | 1): Promise<readonly NativeSignalResult[]> {
    this.#called('signalPins')
    return soon(() => this.#signalPins('signalPins', pins, signal, scope))
  }

  signalPinsSync(pins: readonly NativePin[], signal: number, scope: 0 | 1): readonly NativeSignalResult[] {
    this.#called('signalPinsSync')
    return this.#signalPins('signalPinsSync', pins, signal, scope)
  }

  pinState(pin: NativePin): NativeResult<NativeLiveness> {
    return this.#answer('pinState', () => livenessOf(this.#pinned(pin)))
  }

  closePins(pins: readonly NativePin[]): void {
    this.#called('closePins')
    for (const pin of pins) this.#pins.delete(pin)
  }

  waitPinsSync(pins: readonly NativePin[], timeoutMs: number): NativeResult<readonly boolean[]> {
    return this.#answer('waitPinsSync', () => {
      const waited = pins.map((pin) => this.#pinned(pin))
      const isDead = (process: FakeProcess) => livenessOf(process) !== RUNNING
      const deadline = performance.now() + timeoutMs
      for (let left = timeoutMs; !waited.every(isDead) && left > 0; left = deadline - performance.now()) {
        Atomics.wait(sleepCell, 0, 0, Math.min(left, 5))
        this.elapse()
      }
      return waited.map(isDead)
    })
  }

  // ---- exits

  watchExit(pin: NativePin, callback: (exit: NativeExit) => void): NativeResult<number> {
    return this.#answer('watchExit', () => {
      const id = this.#nextWatch++
      const process = this.#pinned(pin)
      this.#watches.set(id, { process, callback })
      if (livenessOf(process) !== RUNNING) this.#notify(id)
      return id
    })
  }

  unwatchExit(id: number): void {
    this.#called('unwatchExit')
    this.#watches.delete(id)
  }

  refExits(keepAlive: boolean): void {
    this.#called('refExits')
    this.keepAlive = keepAlive
  }

  // ---- sockets

  listSockets(protocols: number, states: number, localPort: number): Promise<NativeResult<NativeSockets>> {
    return this.#later('listSockets', () => {
      const boundVisible = this.options.boundVisible ?? true
      const rows = this.sockets.filter(
        (socket) =>
          (protocols & protocolBits[socket.protocol]) !== 0 &&
          (states === 0 || (states & (1 << socket.state)) !== 0) &&
          (localPort === 0 || socket.localPort === localPort) &&
          (boundVisible || socket.state !== 12),
      )
      return socketColumns(rows, boundVisible)
    })
  }

  findSocketHolders(inodes: BigUint64Array): Promise<NativeResult<NativeHolders>> {
    return this.#later('findSocketHolders', () => {
      const found = this.sockets
        .filter((socket) => socket.inode !== 0n && inodes.includes(socket.inode))
        .flatMap((socket) => socket.holders.filter(showsSockets).map((process) => ({ inode: socket.inode, process })))
      return {
        count: found.length,
        inode: BigUint64Array.from(found, ({ inode }) => inode),
        pid: Int32Array.from(found, ({ process }) => process.pid),
        ppid: Int32Array.from(found, ({ process }) => process.ppid),
        startToken: BigUint64Array.from(found, ({ process }) => process.startToken),
        unique: BigUint64Array.from(found, ({ process }) => process.unique),
        unseen: this.listed().filter((process) => !showsSockets(process)).length,
      }
    })
  }

  processSockets(pid: number): Promise<NativeResult<BigUint64Array>> {
    return this.#laterResult('processSockets', () => {
      const process = this.processes.get(pid)
      if (process === undefined) return failure('ESRCH', 'pidfd_open')
      if (!showsSockets(process)) return failure('EACCES', 'openat')
      const held = this.sockets.filter((socket) => socket.holders.includes(process))
      return { ok: true, value: BigUint64Array.from(held, (socket) => socket.inode) }
    })
  }

  // ---- how it works

  #scan(fields: number, filter: NativeFilter): NativeTable {
    const rows: FakeProcess[] = []
    const undecided: number[] = []
    const listed = this.listed()
    for (const process of listed) {
      if (process.hidden) continue
      const match = matches(process, filter, this.observer)
      if (match === 'undecided') undecided.push(process.pid)
      else if (match) rows.push(process)
    }
    const partial = (this.options.partial ?? false) || listed.some((process) => process.hidden)
    const pinned = Object.keys(filter).length > 0
    return tableOf(rows, fields, this.observer, (row) => this.processes.get(row.ppid), { undecided, partial, pinned })
  }

  #read(pid: number, fields: number): NativeResult<NativeTable> {
    const process = this.processes.get(pid)
    if (process === undefined) return failure('ESRCH', 'pidfd_open')
    if (process.hidden) return failure('EACCES', 'openat')
    const parentOf = (row: FakeProcess) => this.processes.get(row.ppid)
    return { ok: true, value: tableOf([process], fields, this.observer, parentOf, { pinned: true }) }
  }

  #openPins(method: Method, targets: NativeTargets): NativePinResult[] {
    const whole = this.#fault(method, undefined)
    return Array.from(targets.pid, (pid, index): NativePinResult => {
      const fault = whole ?? this.#fault(method, pid)
      if (fault !== undefined) return failure(fault, 'pidfd_open')
      const liveness = this.liveness(pid, targets.startToken[index] ?? 0n, targets.unique[index] ?? 0n)
      if (liveness !== RUNNING && liveness !== ZOMBIE) return { ok: true, liveness }
      return { ok: true, liveness, pin: this.#pin(this.get(pid)) }
    })
  }

  #pin(process: FakeProcess): NativePin {
    const pin = Object.freeze({ pid: process.pid }) as unknown as NativePin
    this.#pins.set(pin, process)
    return pin
  }

  #openGroupPins(method: Method, targets: NativeTargets): NativePinResult[] {
    const whole = this.#fault(method, undefined)
    return Array.from(targets.pid, (pid, index): NativePinResult => {
      const fault = whole ?? this.#fault(method, pid)
      if (fault !== undefined) return failure(fault, 'pidfd_open')
      if (this.options.groupSignals === false) return failure('ENOTSUP', 'pidfd_open')
      const token = targets.startToken[index] ?? 0n
      const unique = targets.unique[index] ?? 0n
      const liveness = this.liveness(pid, token, unique)
      if (liveness === RUNNING || liveness === ZOMBIE) return { ok: true, liveness, pin: this.#pin(this.get(pid)) }
      const leader = this.dead.find((dead) => dead.pid === pid && dead.startToken === token && dead.unique === unique)
      const hasMembers = this.listed().some((process) => process.pgid === pid)
      if (liveness === REPLACED || leader === undefined || !hasMembers) return failure('ESRCH', 'pidfd_open')
      return unique === 0n ? failure('ENOTSUP', 'pidfd_open') : { ok: true, liveness, pin: this.#pin(leader) }
    })
  }

  #signalPins(method: Method, pins: readonly NativePin[], signal: number, scope: 0 | 1): NativeSignalResult[] {
    const whole = this.#fault(method, undefined)
    return pins.map((pin) => {
      const process = this.#pinned(pin)
      const liveness = livenessOf(process)
      const code = whole ?? this.#fault(method, process.pid) ?? this.send(process, signal, scope)
      const syscall = code === 'OK' ? '' : 'pidfd_send_signal'
      return { code, syscall, osError: osErrors[code] ?? 0, liveness, atomic: this.options.atomic ?? true }
    })
  }

  protected override died(process: FakeProcess): void {
    for (const [id, watch] of this.#watches) if (watch.process === process) this.#notify(id)
  }

  #notify(id: number): void {
    setImmediate(() => {
      const watch = this.#watches.get(id)
      if (watch === undefined) return
      this.#watches.delete(id)
      watch.callback(this.options.exitStatus === false ? {} : (watch.process.exit ?? {}))
    })
  }

  #pinned(pin: NativePin): FakeProcess {
    const process = this.#pins.get(pin)
    if (process === undefined) throw new TypeError('fake: a closed or foreign pin was used')
    return process
  }

  #called(method: Method): void {
    this.calls[method] += 1
    for (const hook of this.#hooks.get(method) ?? []) {
      if (hook.times <= 0) continue
      hook.times -= 1
      hook.run(this)
    }
  }

  #fault(method: Method, pid: number | undefined): string | undefined {
    const fault = this.#faults.get(method)?.find((one) => one.times > 0 && one.pid === pid)
    if (fault === undefined) return undefined
    fault.times -= 1
    return fault.code
  }

  #answer<T>(method: Method, value: () => T): NativeResult<T> {
    return this.#answerResult(method, () => ({ ok: true, value: value() }))
  }

  #answerResult<T>(method: Method, result: () => NativeResult<T>): NativeResult<T> {
    this.#called(method)
    const fault = this.#fault(method, undefined)
    return fault === undefined ? result() : failure(fault, method)
  }

  #later<T>(method: Method, value: () => T): Promise<NativeResult<T>> {
    return this.#laterResult(method, () => ({ ok: true, value: value() }))
  }

  #laterResult<T>(method: Method, result: () => NativeResult<T>): Promise<NativeResult<T>> {
    this.#called(method)
    const fault = this.#fault(method, undefined)
    return soon(() => (fault === undefined ? result() : failure(fault, method)))
  }
}

const osErrors: Readonly<Record<string, number>> = {
  EPERM: 1,
  ESRCH: 3,
  ENOMEM: 12,
  EACCES: 13,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTSUP: 95,
}

function failure(code: string, syscall: string): Failure {
  return { ok: false, code, syscall, osError: osErrors[code] ?? 5 }
}

function showsSockets(process: FakeProcess): boolean {
  return !process.hidden && !process.socketsHidden
}

function soon<T>(value: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(value())
      } catch (error) {
        reject(error)
      }
    })
  })
}
