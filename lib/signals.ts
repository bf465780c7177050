import { constants } from 'node:os'
import { invalidRange, invalidType } from './errors'

/** A signal's name, such as `'SIGTERM'`. Numbers differ between systems and are not accepted. */
export type SignalName = NodeJS.Signals

const numbers: ReadonlyMap<string, number> = new Map(Object.entries(constants.signals))
const names = namesByNumber()

/** Some numbers have two names (SIGABRT and SIGIOT): the first one listed is the usual one. */
function namesByNumber(): ReadonlyMap<number, SignalName> {
  const found = new Map<number, SignalName>()
  for (const [name, number] of numbers) if (!found.has(number)) found.set(number, name as SignalName)
  return found
}

/** The name, if this platform has such a signal. */
export function checkSignal(option: string, value: unknown): SignalName {
  const accepted = "the name of a signal, such as 'SIGTERM'"
  if (typeof value !== 'string') throw invalidType(option, value, accepted)
  if (!numbers.has(value)) throw invalidRange(option, value, `${accepted} (${[...numbers.keys()].join(', ')})`)
  return value as SignalName
}

/** This platform's number of a signal; `option` is what the argument is called in the error. */
export function signalNumber(name: SignalName, option = 'signal'): number {
  return numbers.get(checkSignal(option, name)) as number
}

/** The name of a signal number, or null where it has none (real-time signals). */
export function signalName(number: number): SignalName | null {
  return names.get(number) ?? null
}
