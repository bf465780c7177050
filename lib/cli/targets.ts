import { type ProcessIdentity, parseIdentity } from '../identity'
import { checkPid } from '../options'
import { UsageError } from './answer'

/** A process as named on the command line: by its number, or by its identity. */
export type Target = { readonly pid: number } | ProcessIdentity

/** Returns what a `<pid|identity>` argument names. Anything but a number from 1 to 2147483647 or an identity is refused. */
export function parseTarget(text: string): Target {
  if (text.startsWith('v1:')) return parseIdentity(text)
  return { pid: parsePid(text) }
}

/** Returns the number of a `<pid>` argument. */
export function parsePid(text: string): number {
  if (!/^\d+$/.test(text))
    throw new UsageError(`a pid is a number from 1 to 2147483647; received ${JSON.stringify(text)}`)
  return checkPid('the process', Number(text))
}

/** Tells whether the process was named by its identity. */
export function isIdentity(target: Target): target is ProcessIdentity {
  return 'startToken' in target
}

/** Returns a whole number that is not negative, or refuses naming the option. */
export function parseCount(option: string): (text: string) => number {
  return (text) => {
    if (!/^\d+$/.test(text))
      throw new UsageError(`${option} takes a whole number, 0 or more; received ${JSON.stringify(text)}`)
    return Number(text)
  }
}

/** For options that may be given several times. */
export function collect(value: string, earlier: readonly string[] | undefined): readonly string[] {
  return [...(earlier ?? []), value]
}
