import { performance } from 'node:perf_hooks'
import { osError, unwrap } from '../errors'
import type { NativeBinding, NativeExit } from '../native'
import { signalName } from '../signals'
import type { Batch, Exit, Member } from './batch'
import { perform, type Steps } from './steps'

const unknownExit: Exit = Object.freeze({ exitCode: null, signal: null })

/**
 * The exits of a batch. Awaited, they come as events, and waiting costs nothing until then; in an exit handler, where no
 * event can come any more, the thread is blocked until all have exited or the time is over.
 */
export class Exits {
  readonly #binding: NativeBinding
  readonly #batch: Batch
  readonly #abort: AbortSignal | undefined
  readonly #usesEvents: boolean
  readonly #watches = new Map<Member, number>()
  #seen = 0
  #handled = 0
  #wake: (() => void) | undefined

  constructor(binding: NativeBinding, batch: Batch, usesEvents: boolean, abort?: AbortSignal) {
    this.#binding = binding
    this.#batch = batch
    this.#usesEvents = usesEvents
    this.#abort = abort
  }

  /** Begins to watch. Throws when it cannot, such as for want of descriptors. */
  watch(members: readonly Member[]): void {
    if (!this.#usesEvents) return
    for (const member of members) {
      if (member.pin === undefined || this.#watches.has(member)) continue
      const watch = this.#binding.watchExit(member.pin, (exit) => this.#onExit(member, exit))
      if (!watch.ok) throw osError(watch, `pid ${member.identity.pid}`, member.identity.pid)
      this.#watches.set(member, watch.value)
    }
  }

  /** Continues at the next exit, or when the time has come; at once when something exited since the last time. */
  *next(until: number): Steps<void> {
    if (this.#seen === this.#handled) {
      yield* perform<void>({ later: () => this.#nextEvent(until), now: () => this.#blockUntil(until) })
    }
    this.#handled = this.#seen
  }

  /** Settles what has exited by now, told or not. */
  collect(): void {
    for (const member of this.#batch.open()) if (this.#batch.hasExited(member)) member.exited(unknownExit)
  }

  close(): void {
    for (const id of this.#watches.values()) this.#binding.unwatchExit(id)
    this.#watches.clear()
  }

  #onExit(member: Member, { exitCode, signal }: NativeExit): void {
    this.#watches.delete(member)
    member.exited({ exitCode: exitCode ?? null, signal: signal === undefined ? null : signalName(signal) })
    this.#seen += 1
    this.#wake?.()
  }

  #nextEvent(until: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const signal = this.#abort
      const end = (settle: () => void) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        this.#wake = undefined
        settle()
      }
      const onAbort = () => end(() => reject(signal?.reason))
      const timer = setTimeout(() => end(resolve), Math.max(0, Math.ceil(until - performance.now())))
      this.#wake = () => end(resolve)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  #blockUntil(until: number): void {
    const open = this.#batch.open().filter(({ pin }) => pin !== undefined)
    const pins = open.flatMap(({ pin }) => (pin === undefined ? [] : [pin]))
    const timeoutMs = Math.max(0, Math.ceil(until - performance.now()))
    const exited = unwrap(this.#binding.waitPinsSync(pins, timeoutMs), 'waiting for exits')
    exited.forEach((isOver, index) => {
      if (isOver) open[index]?.exited(unknownExit)
    })
  }
}
