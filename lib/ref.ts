import { invalidType, NoSuchProcessError, NotSupportedError, ProcessReplacedError, unwrap } from './errors'
import { checkIdentity, type ProcessIdentity, type Verification } from './identity'
import { livenessNames, type NativeBinding, type NativePin, native } from './native'
import { type ExitResult, waitForPins } from './pin-wait'
import {
  closePinned,
  openPins,
  openPinsSync,
  type Pinned,
  type PinOutcome,
  type PinSignal,
  signalPins,
  signalPinsSync,
} from './pins'
import { checkSignal, type SignalName } from './signals'
import { checkWaitOptions, stillAlive, type WaitOptions } from './wait'

export { closePinned, openPins, openPinsSync, type Pinned, type PinOutcome, type PinSignal, signalPins, signalPinsSync }

/** What came of a signal. */
export interface SignalResult {
  /** True exactly when the outcome is `sent`. */
  readonly delivered: boolean
  /**
   * `already-gone` is also a zombie: it takes signals but feels none. `elsewhere`: of another boot or pid namespace.
   * `unknown`: it cannot be told whether it still is that process, so it was left alone.
   */
  readonly outcome: 'sent' | 'already-gone' | 'replaced' | 'elsewhere' | 'unknown'
  /** Whether the signal could not have reached anybody else; null when none was sent. */
  readonly atomic: boolean | null
}

let makeRef: (identity: ProcessIdentity, pin: NativePin, binding: NativeBinding) => ProcessRef
let readPin: (ref: ProcessRef) => NativePin

/**
 * A process held by an operating system object that is bound to it and not to its number: whatever is asked or sent
 * through it concerns that process or nobody. Made by {@link openProcess}; costs a descriptor until closed.
 */
export class ProcessRef {
  readonly identity: ProcessIdentity
  readonly #binding: NativeBinding
  readonly #pin: NativePin
  #isClosed = false
  #waits = 0

  static {
    makeRef = (identity, pin, binding) => new ProcessRef(identity, pin, binding)
    readPin = (ref) => ref.#opened()
  }

  private constructor(identity: ProcessIdentity, pin: NativePin, binding: NativeBinding) {
    this.identity = identity
    this.#pin = pin
    this.#binding = binding
  }

  /**
   * Sends a signal to exactly this process. A process that has ended is a result, not an error.
   *
   * @throws {AccessDeniedError} `EPERM`: it is not ours to signal.
   */
  async signal(signal: SignalName): Promise<SignalResult> {
    const name = checkSignal('signal', signal)
    const [outcome] = await signalPins(
      [{ identity: this.identity, pin: this.#opened() }],
      name,
      'process',
      this.#binding,
    )
    return signalResult(outcome)
  }

  /** Tells whether it runs, at once. `unknown`: it cannot be looked at (no pidfds, and hidden by hidepid). */
  state(): Exclude<Verification, 'elsewhere'> {
    const { pid } = this.identity
    return livenessNames[unwrap(this.#binding.pinState(this.#opened()), `pid ${pid}`, pid)]
  }

  /**
   * Waits until it has exited and tells how; see `waitForExit`.
   *
   * @throws {TimedOutError} `ETIMEDOUT`: it was still alive after `timeoutMs`.
   */
  async exited(options: WaitOptions = {}): Promise<ExitResult> {
    const limits = checkWaitOptions(options)
    const pinned = { identity: this.identity, pin: this.#opened() }
    this.#waits += 1
    try {
      const [exit] = await waitForPins([pinned], limits, this.#binding)
      if (exit === undefined) throw stillAlive([pinned])
      return exit
    } finally {
      this.#waits -= 1
      this.#closeUnused()
    }
  }

  /** Gives the process up. Pending waits go on; anything asked afterwards is a `TypeError`. Closing twice does nothing. */
  close(): void {
    this.#isClosed = true
    this.#closeUnused()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }

  #opened(): NativePin {
    if (this.#isClosed) throw invalidType('ref', `ProcessRef of pid ${this.identity.pid}, closed`, 'an open ProcessRef')
    return this.#pin
  }

  #closeUnused(): void {
    if (this.#isClosed && this.#waits === 0) this.#binding.closePins([this.#pin])
  }
}

/**
 * Pins a process, if it still is that one.
 *
 * @param binding - For tests: what to act through.
 * @returns A reference that is to be closed. Also for a zombie: {@link ProcessRef.exited} tells how it ended.
 * @throws {NoSuchProcessError} `ESRCH`: it is gone. {@link ProcessReplacedError} if another process has its pid.
 * @throws {NotSupportedError} `ENOTSUP`: of another boot or pid namespace, or it cannot be told which process it is.
 * @throws {OsError} `EMFILE` and the like: the call failed, which says nothing about the process.
 * @remarks Source — linux: pidfd_open, then the pidfd's inode or field 22 of /proc/<pid>/stat.
 */
export async function openProcess(identity: ProcessIdentity, binding: NativeBinding = native()): Promise<ProcessRef> {
  const checked = checkIdentity('identity', identity)
  const [outcome] = await openPins([checked], binding)
  if (outcome?.status === 'pinned') return makeRef(checked, outcome.pin, binding)
  throw notPinned(checked.pid, outcome)
}

function notPinned(pid: number, outcome: Exclude<PinOutcome, { status: 'pinned' }> | undefined): Error {
  switch (outcome?.status) {
    case 'failed':
      return outcome.error
    case 'gone':
      return new NoSuchProcessError(`pid ${pid}: the process is gone`, { code: 'ESRCH', pid })
    case 'replaced':
      return new ProcessReplacedError(`pid ${pid} is another process by now`, { code: 'ERR_PROCESS_REPLACED', pid })
    case 'elsewhere':
      return new NotSupportedError(`pid ${pid} belongs to another boot or pid namespace`, { code: 'ENOTSUP', pid })
    default:
      return new NotSupportedError(`pid ${pid}: it cannot be told whether it still is that process`, {
        code: 'ENOTSUP',
        pid,
      })
  }
}

/**
 * Sends a signal to exactly that process, or to nobody: pin, verify, then signal through the pin. What has become of
 * the process is a result, not an error. No policy is applied: see `terminate` for one.
 *
 * @param binding - For tests: what to act through.
 * @throws {AccessDeniedError} `EPERM`: it is not ours to signal.
 * @throws {OsError} `EMFILE` and the like: the call failed, which says nothing about the process.
 * @remarks Source — linux: pidfd_open, pidfd_send_signal; before 5.1 kill(2) right after a look, `atomic: false`.
 */
export async function signalProcess(
  identity: ProcessIdentity,
  signal: SignalName,
  binding: NativeBinding = native(),
): Promise<SignalResult> {
  const checked = checkIdentity('identity', identity)
  const name = checkSignal('signal', signal)
  const outcomes = await openPins([checked], binding)
  try {
    const [outcome] = outcomes
    if (outcome?.status !== 'pinned') return unsent(outcome)
    const [sent] = await signalPins([outcome], name, 'process', binding)
    return signalResult(sent)
  } finally {
    closePinned(outcomes, binding)
  }
}

/** {@link signalProcess} without a promise, for exit handlers. */
export function signalProcessSync(
  identity: ProcessIdentity,
  signal: SignalName,
  binding: NativeBinding = native(),
): SignalResult {
  const checked = checkIdentity('identity', identity)
  const name = checkSignal('signal', signal)
  const outcomes = openPinsSync([checked], binding)
  try {
    const [outcome] = outcomes
    if (outcome?.status !== 'pinned') return unsent(outcome)
    const [sent] = signalPinsSync([outcome], name, 'process', binding)
    return signalResult(sent)
  } finally {
    closePinned(outcomes, binding)
  }
}

function unsent(outcome: Exclude<PinOutcome, { status: 'pinned' }> | undefined): SignalResult {
  if (outcome?.status === 'failed') throw outcome.error
  const status = outcome?.status ?? 'unknown'
  return { delivered: false, outcome: status === 'gone' ? 'already-gone' : status, atomic: null }
}

function signalResult(signal: PinSignal | undefined): SignalResult {
  if (signal?.outcome === 'failed') throw signal.error
  if (signal?.outcome === 'sent') return { delivered: true, outcome: 'sent', atomic: signal.atomic }
  return { delivered: false, outcome: signal?.outcome ?? 'unknown', atomic: null }
}

// ---- for the other files of this library

/** The pin of an open reference; its owner closes it. */
export function pinOf(ref: ProcessRef): NativePin {
  return readPin(ref)
}
