import { osError, type PidproofError } from './errors'
import { host, type ProcessIdentity, placeOf, toTargets } from './identity'
import {
  livenessNames,
  type NativeBinding,
  type NativePin,
  type NativePinResult,
  type NativeSignalResult,
} from './native'
import { type SignalName, signalNumber } from './signals'

/** What came of pinning one process. Whoever asked closes the pins. */
export type PinOutcome =
  | {
      readonly identity: ProcessIdentity
      readonly status: 'pinned'
      readonly pin: NativePin
      readonly liveness: 'running' | 'zombie'
    }
  | { readonly identity: ProcessIdentity; readonly status: 'gone' | 'replaced' | 'unknown' | 'elsewhere' }
  | { readonly identity: ProcessIdentity; readonly status: 'failed'; readonly error: PidproofError }

/** What came of one signal through a pin. Refusals (`EPERM`) are among the failed. */
export type PinSignal =
  | { readonly outcome: 'sent'; readonly atomic: boolean }
  | { readonly outcome: 'already-gone' | 'replaced' | 'unknown' }
  | { readonly outcome: 'failed'; readonly error: PidproofError }

/** A pin and whose it is. */
export interface Pinned {
  readonly identity: ProcessIdentity
  readonly pin: NativePin
}

/** Pins all processes that count here, in one native call. One outcome per identity, in the same order. */
export async function openPins(
  identities: readonly ProcessIdentity[],
  binding: NativeBinding,
): Promise<readonly PinOutcome[]> {
  const local = localOf(identities, binding)
  const results = local.length === 0 ? [] : await binding.openPins(toTargets(local))
  return pinOutcomes(identities, local, results, binding)
}

/** {@link openPins} without a promise. */
export function openPinsSync(identities: readonly ProcessIdentity[], binding: NativeBinding): readonly PinOutcome[] {
  const local = localOf(identities, binding)
  const results = local.length === 0 ? [] : binding.openPinsSync(toTargets(local))
  return pinOutcomes(identities, local, results, binding)
}

/** Signals all pinned processes, or the groups that they lead, in one native call. Signal 0 only asks. */
export async function signalPins(
  pinned: readonly Pinned[],
  signal: SignalName | 0,
  scope: 'process' | 'group',
  binding: NativeBinding,
): Promise<readonly PinSignal[]> {
  const results = await binding.signalPins(pinsOf(pinned), numberOf(signal), scope === 'group' ? 1 : 0)
  return results.map((result, index) => signalOutcome(result, scope, pinned[index]?.identity.pid))
}

/** {@link signalPins} without a promise. */
export function signalPinsSync(
  pinned: readonly Pinned[],
  signal: SignalName | 0,
  scope: 'process' | 'group',
  binding: NativeBinding,
): readonly PinSignal[] {
  const results = binding.signalPinsSync(pinsOf(pinned), numberOf(signal), scope === 'group' ? 1 : 0)
  return results.map((result, index) => signalOutcome(result, scope, pinned[index]?.identity.pid))
}

/** Closes the pins among some outcomes. */
export function closePinned(outcomes: readonly PinOutcome[], binding: NativeBinding): void {
  const pins = pinsOf(outcomes.filter((outcome) => outcome.status === 'pinned'))
  if (pins.length > 0) binding.closePins(pins)
}

function pinsOf(pinned: readonly Pinned[]): readonly NativePin[] {
  return pinned.map(({ pin }) => pin)
}

function numberOf(signal: SignalName | 0): number {
  return signal === 0 ? 0 : signalNumber(signal)
}

function localOf(identities: readonly ProcessIdentity[], binding: NativeBinding): readonly ProcessIdentity[] {
  const here = host(binding)
  return identities.filter((identity) => placeOf(identity, here) === 'here')
}

/** Both lists are in the order of `identities`, of which `local` leaves some out. */
function pinOutcomes(
  identities: readonly ProcessIdentity[],
  local: readonly ProcessIdentity[],
  results: readonly NativePinResult[],
  binding: NativeBinding,
): readonly PinOutcome[] {
  const here = host(binding)
  let next = 0
  return identities.map((identity): PinOutcome => {
    const result = identity === local[next] ? results[next++] : undefined
    if (result !== undefined) return pinOutcome(identity, result)
    return { identity, status: placeOf(identity, here) === 'elsewhere' ? 'elsewhere' : 'unknown' }
  })
}

function pinOutcome(identity: ProcessIdentity, result: NativePinResult): PinOutcome {
  const { pid } = identity
  if (!result.ok) return { identity, status: 'failed', error: osError(result, `pid ${pid}`, pid) }
  const status = livenessNames[result.liveness]
  if (status !== 'running' && status !== 'zombie') return { identity, status }
  if (result.pin === undefined) return { identity, status: 'unknown' }
  return { identity, status: 'pinned', pin: result.pin, liveness: status }
}

/** A zombie takes every signal and feels none. `ESRCH` of an unknown process says that it was not tried. */
function signalOutcome(result: NativeSignalResult, scope: 'process' | 'group', pid: number | undefined): PinSignal {
  const liveness = scope === 'process' ? livenessNames[result.liveness] : 'running'
  if (liveness === 'zombie' || liveness === 'gone') return { outcome: 'already-gone' }
  if (liveness === 'replaced') return { outcome: 'replaced' }
  if (result.code === 'OK') return { outcome: 'sent', atomic: result.atomic }
  if (result.code === 'ESRCH') return { outcome: liveness === 'unknown' ? 'unknown' : 'already-gone' }
  return { outcome: 'failed', error: osError(result, `pid ${pid}`, pid) }
}
