import { InternalError } from '../errors'
import { exclusionFields, type Observer, observe } from '../exclusions'
import type { ProcessIdentity } from '../identity'
import type { NativePin } from '../native'
import type { Field, ProcessInfo } from '../process'
import type { Evidence, Judgement } from '../verdict'
import type { Batch, Member } from './batch'
import type { Exits } from './exits'
import type { EndingPlan } from './options'
import type { Os } from './os'
import type { Reason } from './report'
import type { Steps } from './steps'

export interface Refusal {
  readonly reason: Reason
  readonly evidence: readonly Evidence[]
}

/** A process that is asked for. */
export interface Wanted {
  readonly identity: ProcessIdentity
  /** An open pin of somebody else. */
  readonly pin?: NativePin
  /** Its process group, where it was seen already. */
  readonly pgid?: number | undefined
  /** Every rule was asked about the row it was found by, so it may be stopped at once when it is short-lived. */
  readonly mayBeFrozen?: boolean
  /** It could not be judged so far: unless it can be once it is pinned, it is refused; one that is not ours is dropped. */
  readonly isDoubtful?: boolean
}

/** Where targets come from. */
export interface TargetSource {
  /** The targets that are known from the start. */
  readonly given: readonly Wanted[]
  /** What {@link judge} needs to see of a target. */
  readonly fields: readonly Field[]
  /** What {@link isExcepted} needs to see of targets and members. */
  readonly exceptFields: readonly Field[]
  /** Refusals that are a matter of course and do not count against the success of the call. */
  readonly spares: ReadonlySet<Reason>
  /** Where there may be more with time: the targets that are to be had now; those already known may be among them. */
  find?(context: Context): Steps<readonly Wanted[]>
  /** Asked of every target as it is after it was pinned: it may have become another program since it was found. */
  judge?(row: ProcessInfo): Judgement
  isExcepted?(row: ProcessInfo): boolean
}

/** What a look brought in: who is to be ended, and who was gone before it could be pinned. */
export interface Growth {
  readonly fresh: readonly Member[]
  readonly vanished: readonly Member[]
}

/** What belongs to the targets. */
export interface Membership {
  /** Why a target cannot be ended in this scope. */
  refuse?(row: ProcessInfo, observer: Observer): Refusal | undefined
  /** Takes in who belongs to the scope by now, if it is more than the targets. */
  look?(context: Context): Steps<Growth>
}

/** Everything that one call works with. */
export interface Context {
  readonly plan: EndingPlan
  readonly os: Os
  readonly batch: Batch
  readonly exits: Exits
  readonly lineage: Lineage
  readonly source: TargetSource
  readonly scope: Membership
  /** What targets and members are read with. */
  readonly fields: { readonly target: readonly Field[]; readonly member: readonly Field[] }
}

/** Who is looking, read when there is somebody to be looked at: a call that finds nobody does not need to know. */
export class Lineage {
  readonly #os: Os
  #observer: Observer | undefined

  constructor(os: Os) {
    this.#os = os
  }

  *read(): Steps<Observer> {
    this.#observer ??= yield* observe(this.#os.binding, (options) => this.#os.scan(options))
    return this.#observer
  }

  /** As it was read; nobody is in the batch before. */
  get observer(): Observer {
    if (this.#observer === undefined) throw new InternalError('nobody has looked', { code: 'ERR_INTERNAL' })
    return this.#observer
  }
}

export const noGrowth: Growth = Object.freeze({ fresh: [], vanished: [] })

/** What every row is read with, at least. */
export const memberFields: readonly Field[] = [...exclusionFields, 'name', 'state', 'startedAt']

export function joinFields(...lists: readonly (readonly Field[])[]): readonly Field[] {
  return [...new Set(lists.flat())]
}

export function isQuiet({ fresh, vanished }: Growth): boolean {
  return fresh.length === 0 && vanished.length === 0
}

export function both(one: Growth, other: Growth): Growth {
  return { fresh: [...one.fresh, ...other.fresh], vanished: [...one.vanished, ...other.vanished] }
}
