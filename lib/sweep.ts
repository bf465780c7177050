import { invalidType } from './errors'
import { exclusionOf } from './exclusions'
import { checkIdentity, compareIdentities, host, type ProcessIdentity } from './identity'
import { type NativeBinding, native } from './native'
import { checkKeys } from './options'
import type { Field, ProcessFilter, ProcessInfo } from './process'
import { checkSignature, fieldsOf, filterOf, type Signature, type SignatureParts } from './signature'
import type { Context, TargetSource, Wanted } from './terminate/context'
import { endAsync } from './terminate/ending'
import { type EndingPlan, endingKeys, planEnding, type TerminateOptions } from './terminate/options'
import type { Reason, TerminationReport } from './terminate/report'
import type { Steps } from './terminate/steps'
import { type Judgement, judgeBy } from './verdict'

export interface SweepOptions extends TerminateOptions {
  /** What makes a process ours; {@link SignatureParts} are checked as `signature()` does. */
  readonly ours: Signature | SignatureParts
  /**
   * Whom to spare, and what descends from it, whatever the scope: identities, or a function that answers true or false
   * at once. It sees the fields of the signature, and name, exe, argv, uid, state, parent, group and startedAt.
   */
  readonly except?: readonly ProcessIdentity[] | ((process: ProcessInfo) => boolean) | undefined
}

export interface SweepReport extends TerminationReport {
  /** How many processes were judged: those that the native scan could not rule out. */
  readonly considered: number
}

/** That the caller and its ancestors match is no surprise, nor that somebody matched only between fork and exec. */
const spares: ReadonlySet<Reason> = new Set(['self', 'ancestor', 'foreign'])
const exceptFields: readonly Field[] = ['name', 'exe', 'argv', 'uid', 'state', 'parent', 'group', 'startedAt']

/**
 * Finds all processes that are ours by a signature, and ends them as {@link terminate} does, until none is left: what
 * matches and turns up meanwhile is ended as well.
 *
 * Only processes of our own user are looked at, unless `users` is `'any'`. One that cannot be judged is listed as refused
 * with reason `unknown` and left alone; one that is not ours is not listed. The caller and its ancestors are left alone
 * although they match, and so is one that became another program before it was pinned (`foreign`): that does not count
 * against `ok`.
 *
 * @param options.scope - `process`: what matches. `group`, `tree`: also what belongs to it.
 * @param binding - For tests: what to read and act through.
 * @throws {TypeError | RangeError} `ERR_INVALID_ARG`: a bad argument, such as an empty signature, before anything is read.
 * @throws What `ours.test` or `except` throws; before the first signal nobody is signalled then.
 * @throws The errors of {@link terminate}.
 * @remarks Source — linux: one pass over /proc with the literal parts of the signature decided natively.
 */
export async function sweep(options: SweepOptions, binding: NativeBinding = native()): Promise<SweepReport> {
  const given = checkKeys('options', options, ['ours', 'except', ...endingKeys], '')
  const plan = planEnding(given)
  const source = new SignatureSource(checkSignature('ours', given.ours), checkExcept('except', given.except), plan)
  const report = await endAsync(source, plan, binding)
  return { ...report, considered: source.considered }
}

type Except = (row: ProcessInfo) => boolean

function checkExcept(
  option: string,
  value: unknown,
): { readonly test: Except; readonly fields: readonly Field[] } | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'function') return { test: (row) => checkAnswer(value(row)), fields: exceptFields }
  if (!Array.isArray(value)) throw invalidType(option, value, 'an array of identities, or a function')
  const identities = value.map((identity, index) => checkIdentity(`${option}[${index}]`, identity))
  // Not known to be different is enough to be spared.
  return { test: (row) => identities.some((one) => compareIdentities(one, row.identity) !== 'different'), fields: [] }
}

/** A promise is always truthy: an asynchronous test would spare everybody. */
function checkAnswer(answer: unknown): boolean {
  if (typeof answer !== 'boolean') throw invalidType('the answer of except', answer, 'true or false')
  return answer
}

class SignatureSource implements TargetSource {
  readonly given: readonly Wanted[] = []
  readonly fields: readonly Field[]
  readonly exceptFields: readonly Field[]
  readonly spares = spares
  readonly isExcepted?: Except
  readonly #ours: Signature
  readonly #plan: EndingPlan
  readonly #seen = new Set<string>()

  constructor(ours: Signature, except: ReturnType<typeof checkExcept>, plan: EndingPlan) {
    this.#ours = ours
    this.#plan = plan
    this.fields = fieldsOf(ours)
    this.exceptFields = except?.fields ?? []
    if (except) this.isExcepted = except.test
  }

  get considered(): number {
    return this.#seen.size
  }

  judge(row: ProcessInfo): Judgement {
    return judgeBy(row, this.#ours)
  }

  *find(context: Context): Steps<readonly Wanted[]> {
    const where = this.#filter(context)
    if (where === undefined) return []
    const fields = context.fields.target
    const { processes, undecided, nested } = yield* context.os.scan({ fields, where, nested: true })
    const rows = [...processes]
    const isNested = new Set(nested)
    if (undecided.length > 0) {
      const unread = yield* context.os.scan({ fields, where: { pid: undecided }, nested: true })
      rows.push(...unread.processes)
      for (const pid of unread.nested) isNested.add(pid)
    }
    if (rows.length > 0) yield* context.lineage.read()
    return rows.flatMap((row) => this.#wanted(context, row, isNested.has(row.pid)))
  }

  /**
   * Undefined: nobody can match, as the signature is about other users than ours. Every other look at members that end at
   * once is at their groups only: that is the quickest one there is.
   */
  #filter({ os, batch }: Context): ProcessFilter | undefined {
    const groups = batch.passes % 2 === 0 ? [...batch.vanishedGroups, ...batch.huntedGroups] : []
    const filter = { ...filterOf(this.#ours), ...(groups.length > 0 && { pgid: groups }) }
    if (this.#plan.users === 'any') return filter
    const { euid } = host(os.binding)
    return this.#ours.uid?.includes(euid) === false ? undefined : { ...filter, uid: euid }
  }

  #wanted({ lineage, plan }: Context, row: ProcessInfo, isNested: boolean): readonly Wanted[] {
    const { identity } = row
    if (row.state === 'zombie') return []
    this.#seen.add(`${identity.pid}:${identity.startToken}:${identity.unique}`)
    const { verdict } = this.judge(row)
    if (verdict === 'foreign') return []
    const exclusion = exclusionOf(row, lineage.observer, { users: plan.users, isNested })
    const isExcluded = exclusion !== undefined || this.isExcepted?.(row) === true
    if (verdict === 'ours') return [{ identity, pgid: row.pgid, mayBeFrozen: !isExcluded && plan.minAgeMs === 0 }]
    // Undecided, and perhaps out of the question anyway.
    return isExcluded ? [] : [{ identity, isDoubtful: true }]
  }
}
