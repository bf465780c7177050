import { type ArgvMatcher, type ArgvView, checkPath, examineArgv, pathEndsWith, testPattern } from './argv'
import { invalidType } from './errors'
import type { Field, ProcessInfo, UnreadableReason } from './process'
import { checkSignature, type Signature } from './signature'

/**
 * One observed fact for or against. Values of the environment appear only where the signature itself names them;
 * otherwise `found` says at most that a variable is set, or set to something else.
 */
export interface Evidence {
  /** What was looked at: a part of the signature (`exe`, `env.APP`) or of a rule (`user`, `ancestor`). */
  readonly part: string
  readonly expected: string
  /** Absent where there is nothing, or where it could not be read. */
  readonly found?: string
  readonly holds: boolean | 'unknown'
  /** Why it is unknown; absent also where the field had not been read at all. */
  readonly reason?: UnreadableReason
}

/** `unknown` is an answer of its own, and it never kills. */
export type Verdict = 'ours' | 'foreign' | 'unknown'

export interface Judgement {
  readonly verdict: Verdict
  /** One or more entries for each part of the signature, in the order of its documentation. */
  readonly evidence: readonly Evidence[]
}

const longestFound = 200

/**
 * Tells whether a process is ours: `foreign` as soon as one part of the signature does not hold, else `unknown` when one
 * cannot be read (or was not among the fields read), else `ours`. Reads nothing by itself.
 *
 * @param process - A row with the fields that the signature needs; `listProcesses({ fields })` gives one.
 * @throws Whatever `test` of the signature throws, and a `TypeError` when it does not answer true or false.
 */
export function judge(process: ProcessInfo, wanted: Signature): Judgement {
  return judgeBy(process, checkSignature('signature', wanted))
}

/** {@link judge} by a signature that has been checked. */
export function judgeBy(process: ProcessInfo, wanted: Signature): Judgement {
  const evidence = [
    ...examineExe(process, wanted.exe),
    ...examineName(process, wanted.name),
    ...(wanted.argv ?? []).map((matcher) => examineMatcher(process, matcher)),
    ...examineEnvironment(process, wanted.env),
    ...examineCwd(process, wanted.cwd),
    ...examineUser(process, wanted.uid),
    ...examineAge(process, wanted),
  ]
  if (wanted.test && evidence.every(({ holds }) => holds === true)) evidence.push(examineTest(process, wanted.test))
  return { verdict: verdictOf(evidence), evidence }
}

function verdictOf(evidence: readonly Evidence[]): Verdict {
  if (evidence.some(({ holds }) => holds === false)) return 'foreign'
  return evidence.some(({ holds }) => holds === 'unknown') ? 'unknown' : 'ours'
}

/** What a field that has no value says: kernel threads have none; otherwise it is not known. */
function withoutValue(process: ProcessInfo, field: Field, part: string, expected: string): Evidence {
  const reason = process.unreadable[field]
  if (reason !== undefined) return { part, expected, holds: 'unknown', reason }
  return { part, expected, holds: process.isKernelThread ? false : 'unknown' }
}

function either(alternatives: readonly string[]): string {
  return alternatives.join(' or ')
}

function examineExe(process: ProcessInfo, wanted: Signature['exe']): Evidence[] {
  if (wanted === undefined) return []
  const { exe } = process
  const expected = either(wanted)
  if (exe === undefined) return [withoutValue(process, 'exe', 'exe', expected)]
  const holds = wanted.some((suffix) => pathEndsWith(exe, checkPath('exe', suffix)) === true)
  return [{ part: 'exe', expected, found: exe, holds }]
}

function examineName(process: ProcessInfo, wanted: Signature['name']): Evidence[] {
  if (wanted === undefined) return []
  const expected = either(wanted)
  if (process.name === undefined) return [withoutValue(process, 'name', 'name', expected)]
  return [{ part: 'name', expected, found: process.name, holds: wanted.includes(process.name) }]
}

function examineMatcher(process: ProcessInfo, matcher: ArgvMatcher): Evidence {
  const expected = matcher.describe()
  if (process.argv === undefined) return withoutValue(process, 'argv', 'argv', expected)
  const view: ArgvView = { argv: process.argv, exe: process.exe, cwd: process.cwd }
  const holds = examineArgv(matcher, view)
  const found = shorten(process.argv.join(' '))
  if (holds !== 'unknown') return { part: 'argv', expected, found, holds }
  const reason = process.unreadable.cwd
  return { part: 'argv', expected, found, holds, ...(reason && { reason }) }
}

function shorten(text: string): string {
  return text.length > longestFound ? `${text.slice(0, longestFound)}…` : text
}

function examineEnvironment(process: ProcessInfo, wanted: Signature['env']): Evidence[] {
  return Object.entries(wanted ?? {}).map(([key, value]) => {
    const part = `env.${key}`
    const expected = describeVariable(value)
    if (process.env === undefined) return withoutValue(process, 'env', part, expected)
    return examineVariable(part, expected, value, process.env[key])
  })
}

function describeVariable(wanted: string | true | RegExp): string {
  if (wanted === true) return 'set'
  return typeof wanted === 'string' ? wanted : `a match of ${wanted}`
}

function examineVariable(part: string, expected: string, wanted: string | true | RegExp, found?: string): Evidence {
  if (found === undefined) return { part, expected, holds: false }
  if (wanted === true) return { part, expected, found: 'set', holds: true }
  const holds = typeof wanted === 'string' ? wanted === found : testPattern(wanted, found)
  const literal = typeof wanted === 'string' && holds
  return { part, expected, found: literal ? found : holds ? 'a match' : 'another value', holds }
}

function examineCwd(process: ProcessInfo, wanted: Signature['cwd']): Evidence[] {
  if (wanted === undefined) return []
  const { cwd } = process
  if (cwd === undefined) return [withoutValue(process, 'cwd', 'cwd', wanted)]
  return [
    {
      part: 'cwd',
      expected: wanted,
      found: cwd,
      holds: pathEndsWith(cwd, checkPath('cwd', wanted, { root: true })) === true,
    },
  ]
}

function examineUser(process: ProcessInfo, wanted: Signature['uid']): Evidence[] {
  if (wanted === undefined) return []
  const { uid, euid } = process
  const expected = either(wanted.map(String))
  if (uid === undefined || euid === undefined) return [withoutValue(process, 'uid', 'uid', expected)]
  const found = uid === euid ? String(uid) : `${uid}, effective ${euid}`
  return [{ part: 'uid', expected, found, holds: wanted.includes(uid) && wanted.includes(euid) }]
}

function examineAge(process: ProcessInfo, { startedBefore, olderThanMs }: Signature): Evidence[] {
  const { startedAt } = process
  const evidence: Evidence[] = []
  if (startedBefore !== undefined) {
    const expected = startedBefore.toISOString()
    evidence.push(
      startedAt === undefined
        ? withoutValue(process, 'startedAt', 'startedBefore', expected)
        : { part: 'startedBefore', expected, found: startedAt.toISOString(), holds: startedAt < startedBefore },
    )
  }
  if (olderThanMs !== undefined) {
    const expected = `at least ${olderThanMs} ms old`
    const ageMs = startedAt === undefined ? 0 : Date.now() - startedAt.getTime()
    evidence.push(
      startedAt === undefined
        ? withoutValue(process, 'startedAt', 'olderThanMs', expected)
        : { part: 'olderThanMs', expected, found: `${Math.round(ageMs)} ms old`, holds: ageMs >= olderThanMs },
    )
  }
  return evidence
}

function examineTest(process: ProcessInfo, test: (process: ProcessInfo) => boolean): Evidence {
  const answer: unknown = test(process)
  // A promise is always truthy: an asynchronous test would find everything ours.
  if (typeof answer !== 'boolean') throw invalidType('the answer of signature.test', answer, 'true or false')
  return { part: 'test', expected: 'true', found: String(answer), holds: answer }
}
