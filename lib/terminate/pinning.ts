import type { ProcessIdentity } from '../identity'
import type { PinOutcome } from '../pins'
import type { Evidence } from '../verdict'
import type { Member } from './batch'
import type { Context } from './context'
import type { Steps } from './steps'

/** Our own shortage: it says nothing about the process, so the call fails. */
const shortages: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM'])
const refusals: ReadonlySet<string> = new Set(['EPERM', 'EACCES'])

/** Pins members; what becomes of those that cannot be pinned is decided here. A failure of ours is thrown. */
export function* pin(context: Context, members: readonly Member[]): Steps<void> {
  const identities = members.map(({ identity }) => identity)
  if (isHunting(context)) return pinAndFreeze(context, members, identities)
  const outcomes = yield* context.os.openPins(identities)
  // All pins first: should one of them be a failure, the others are to be closed.
  outcomes.forEach((outcome, index) => {
    if (outcome.status === 'pinned') (members[index] as Member).pin = outcome.pin
  })
  outcomes.forEach((outcome, index) => {
    settlePin(context, members[index] as Member, outcome)
  })
}

/**
 * Against members that are gone before they can be pinned: no way through the thread pool, which takes longer than they
 * live, and SIGSTOP at once. Who turns out not to belong is woken again as soon as that is known.
 */
function pinAndFreeze(context: Context, members: readonly Member[], identities: readonly ProcessIdentity[]): void {
  const outcomes = context.os.openPinsNow(identities)
  outcomes.forEach((outcome, index) => {
    if (outcome.status === 'pinned') (members[index] as Member).pin = outcome.pin
  })
  context.os.freezeNow(members.filter(({ isOpen, mayBeFrozen, pin }) => isOpen && mayBeFrozen && pin !== undefined))
  outcomes.forEach((outcome, index) => {
    settlePin(context, members[index] as Member, outcome)
  })
}

/** While signals may be sent, and once somebody in the scope has been seen who was gone at once. */
function isHunting({ batch }: Context): boolean {
  return batch.isActing && batch.vanishedGroups.size > 0
}

function settlePin({ lineage }: Context, member: Member, outcome: PinOutcome): void {
  const { identity } = member
  if (outcome.status === 'failed') {
    if (!refusals.has(outcome.error.code)) throw outcome.error
    if (member.isOpen) member.settle('denied', undefined, [accessEvidence(outcome.error.code)])
  } else if (!member.isOpen) {
    return
  } else if (outcome.status === 'gone' || (outcome.status === 'pinned' && outcome.liveness === 'zombie')) {
    settleGone(member)
  } else if (outcome.status === 'replaced') {
    member.settle('replaced', undefined, [identityEvidence(identity, false)])
  } else if (outcome.status === 'elsewhere') {
    const reason = identity.boot === lineage.observer.host.boot ? 'other-namespace' : 'other-boot'
    member.settle('refused', reason, [identityEvidence(identity, false)])
  } else if (outcome.status === 'unknown') {
    member.settle('refused', 'unknown-identity', [identityEvidence(identity, 'unknown')])
  }
}

export function settleGone(member: Member): void {
  if (member.isOpen) member.settle('already-gone')
  member.isNode = true
}

/** A group outlives its leader: the pin of a dead leader shows, where there can be one, that it still is that group. */
export function* pinDeadLeaders({ plan, os }: Context, members: readonly Member[]): Steps<void> {
  if (plan.scope === 'process') return
  const dead = members.filter(({ outcome, pin }) => outcome === 'already-gone' && pin === undefined)
  const answers = yield* os.openGroupPins(dead.map(({ identity }) => identity))
  answers.forEach((answer, index) => {
    if (answer.ok && answer.pin !== undefined) (dead[index] as Member).pin = answer.pin
  })
}

export function isShortage(code: string): boolean {
  return shortages.has(code)
}

export function identityEvidence({ pid, startToken }: ProcessIdentity, holds: boolean | 'unknown'): Evidence {
  return { part: 'identity', expected: `pid ${pid} started at ${startToken}`, holds }
}

export function accessEvidence(code: string): Evidence {
  return { part: 'permission', expected: 'to signal it', found: code, holds: false }
}
