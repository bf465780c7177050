import { performance } from 'node:perf_hooks'
import { type ProcessIdentity, toTargets } from '../identity'
import type { NativeBinding, NativePinResult } from '../native'
import {
  openPins,
  openPinsSync,
  type Pinned,
  type PinOutcome,
  type PinSignal,
  signalPins,
  signalPinsSync,
} from '../pins'
import { type Scan, type ScanOptions, scan, scanSync } from '../process'
import type { SignalName } from '../signals'
import type { Member } from './batch'
import { perform, type Steps } from './steps'

/** What the operating system is asked while processes are ended, as steps. What is called `…Now` does not wait. */
export class Os {
  readonly binding: NativeBinding

  constructor(binding: NativeBinding) {
    this.binding = binding
  }

  *scan(options: ScanOptions): Steps<Scan> {
    return yield* perform({
      later: () => scan(options, this.binding),
      now: () => scanSync(options, this.binding),
    })
  }

  *openPins(identities: readonly ProcessIdentity[]): Steps<readonly PinOutcome[]> {
    if (identities.length === 0) return []
    return yield* perform({
      later: () => openPins(identities, this.binding),
      now: () => this.openPinsNow(identities),
    })
  }

  openPinsNow(identities: readonly ProcessIdentity[]): readonly PinOutcome[] {
    return openPinsSync(identities, this.binding)
  }

  /** Pins of the groups that these processes lead or led; they serve group signals only. */
  *openGroupPins(identities: readonly ProcessIdentity[]): Steps<readonly NativePinResult[]> {
    if (identities.length === 0) return []
    const targets = toTargets(identities)
    return yield* perform({
      later: () => this.binding.openGroupPins(targets),
      now: () => this.binding.openGroupPinsSync(targets),
    })
  }

  /** Signal 0 only asks. */
  *signal(pinned: readonly Pinned[], signal: SignalName | 0, scope: 'process' | 'group'): Steps<readonly PinSignal[]> {
    if (pinned.length === 0) return []
    return yield* perform({
      later: () => signalPins(pinned, signal, scope, this.binding),
      now: () => signalPinsSync(pinned, signal, scope, this.binding),
    })
  }

  freezeNow(members: readonly Member[]): void {
    for (const member of members) member.isFrozen = true
    this.#signalNow(members, 'SIGSTOP')
  }

  resumeNow(members: readonly Member[]): void {
    for (const member of members) member.isFrozen = false
    this.#signalNow(members, 'SIGCONT')
  }

  #signalNow(members: readonly Member[], signal: SignalName): void {
    const pinned = members.filter((member): member is Member & Pinned => member.pin !== undefined)
    if (pinned.length === 0) return
    const at = performance.now()
    signalPinsSync(pinned, signal, 'process', this.binding).forEach((answer, index) => {
      if (answer.outcome === 'sent') pinned[index]?.reached(signal, answer.atomic, at)
    })
  }
}
