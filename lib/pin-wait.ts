import { performance } from 'node:perf_hooks'
import { osError, unwrap } from './errors'
import { livenessNames, type NativeBinding, type NativeExit, type NativePin } from './native'
import { type SignalName, signalName } from './signals'

/** How a process ended. Both `exitCode` and `signal` null: the operating system does not tell (any more). */
export interface ExitResult {
  readonly exitCode: number | null
  /** What ended it; null also for a signal without a name (real-time signals). */
  readonly signal: SignalName | null
  /** It had ended before the wait began. */
  readonly alreadyGone: boolean
}

/** Checked options, with the time limit as a point of `performance.now()`. */
export interface WaitLimits {
  readonly deadline?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly keepAlive?: boolean | undefined
}

/**
 * Waits on pins until all have exited or the deadline has come; `undefined` then stands for those still alive.
 * The pins stay open, and must until then.
 */
export function waitForPins(
  pinned: readonly { readonly pin: NativePin }[],
  limits: WaitLimits,
  binding: NativeBinding,
): Promise<readonly (ExitResult | undefined)[]> {
  return new Promise((resolve, reject) => {
    const pins = pinned.map(({ pin }) => pin)
    new PinWait(pins, limits, binding, resolve, reject).start()
  })
}

/** How many waits want the exits of a binding to keep Node running. */
const holds = new WeakMap<NativeBinding, number>()

function hold(binding: NativeBinding, change: 1 | -1): void {
  const count = (holds.get(binding) ?? 0) + change
  holds.set(binding, count)
  if (count === 0 || (count === 1 && change === 1)) binding.refExits(count > 0)
}

class PinWait {
  readonly #pins: readonly NativePin[]
  readonly #limits: WaitLimits
  readonly #binding: NativeBinding
  readonly #resolve: (exits: readonly (ExitResult | undefined)[]) => void
  readonly #reject: (reason: unknown) => void
  readonly #exits: (ExitResult | undefined)[]
  /** Watch ids by index of the pin: whose exit has not been told yet. */
  readonly #pending = new Map<number, number>()
  /** Those among them that have exited. Their notices are due, so Node must not end before they come. */
  readonly #due = new Set<number>()
  #timer: NodeJS.Timeout | undefined
  #isHeld = false

  constructor(
    pins: readonly NativePin[],
    limits: WaitLimits,
    binding: NativeBinding,
    resolve: (exits: readonly (ExitResult | undefined)[]) => void,
    reject: (reason: unknown) => void,
  ) {
    this.#pins = pins
    this.#limits = limits
    this.#binding = binding
    this.#resolve = resolve
    this.#reject = reject
    this.#exits = pins.map(() => undefined)
  }

  start(): void {
    const { signal, deadline } = this.#limits
    if (signal?.aborted) {
      this.#reject(signal.reason)
      return
    }
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    this.#guarded(() => {
      this.#pins.forEach((pin, index) => {
        this.#watch(pin, index)
      })
      if (this.#pending.size > 0 && deadline !== undefined) {
        this.#timer = setTimeout(this.#onDeadline, Math.max(0, deadline - performance.now()))
      }
    })
  }

  #watch(pin: NativePin, index: number): void {
    const alreadyGone = this.#hasExited(pin)
    if (alreadyGone) this.#due.add(index)
    const watch = this.#binding.watchExit(pin, (exit) => this.#onExit(index, exit, alreadyGone))
    if (!watch.ok) throw osError(watch, 'waiting for an exit')
    this.#pending.set(index, watch.value)
  }

  #onExit(index: number, exit: NativeExit, alreadyGone: boolean): void {
    this.#exits[index] = { ...decodeExit(exit), alreadyGone }
    this.#pending.delete(index)
    this.#due.delete(index)
    this.#guarded()
  }

  readonly #onAbort = (): void => this.#end(() => this.#reject(this.#limits.signal?.reason))

  readonly #onDeadline = (): void => {
    this.#guarded(() => {
      for (const [index, id] of this.#pending) {
        const pin = this.#pins[index]
        if (pin !== undefined && this.#hasExited(pin)) {
          this.#due.add(index)
        } else {
          this.#binding.unwatchExit(id)
          this.#pending.delete(index)
        }
      }
    })
  }

  #hasExited(pin: NativePin): boolean {
    const state = livenessNames[unwrap(this.#binding.pinState(pin), 'waiting for an exit')]
    return state === 'zombie' || state === 'gone' || state === 'replaced'
  }

  /** Does a step, and ends the wait when it fails or when it was the last one. */
  #guarded(step?: () => void): void {
    try {
      step?.()
      this.#setHeld(this.#pending.size > 0 && (this.#limits.keepAlive === true || this.#due.size > 0))
    } catch (error) {
      this.#end(() => this.#reject(error))
      return
    }
    if (this.#pending.size === 0) this.#end(() => this.#resolve(this.#exits))
  }

  #end(settle: () => void): void {
    clearTimeout(this.#timer)
    this.#limits.signal?.removeEventListener('abort', this.#onAbort)
    for (const id of this.#pending.values()) this.#binding.unwatchExit(id)
    this.#pending.clear()
    this.#setHeld(false)
    settle()
  }

  #setHeld(isHeld: boolean): void {
    if (isHeld === this.#isHeld) return
    this.#isHeld = isHeld
    hold(this.#binding, isHeld ? 1 : -1)
  }
}

function decodeExit({ exitCode, signal }: NativeExit): Omit<ExitResult, 'alreadyGone'> {
  return { exitCode: exitCode ?? null, signal: signal === undefined ? null : signalName(signal) }
}
