import { exclusionOf } from '../exclusions'
import { compareIdentities, type ProcessIdentity } from '../identity'
import type { PinOutcome } from '../pins'
import type { ProcessInfo } from '../process'
import type { Evidence } from '../verdict'
import { Member } from './batch'
import { type Context, type Growth, noGrowth, type Refusal, type Wanted } from './context'
import type { Steps } from './steps'

/** Our own shortage: it says nothing about the process, so the call fails. */
const shortages: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM'])
const refusals: ReadonlySet<string> = new Set(['EPERM', 'EACCES'])

/** Somebody who was found to belong to the scope, with the evidence for it. */
export interface Candidate {
  readonly row: ProcessInfo
  readonly isNested: boolean
  readonly evidence: readonly Evidence[]
  /** It cannot be shown that it belongs to the scope: it is listed and left alone, and nothing follows from it. */
  readonly refusal?: Refusal
}

/** Takes in targets: each is pinned first, and then judged by what is read while it is pinned. */
export function* admitTargets(context: Context, wanted: readonly Wanted[]): Steps<Growth> {
  if (wanted.length === 0) return noGrowth
  yield* context.lineage.read()
  const members = wanted.map((one) => newTarget(context, one)).filter((member) => member !== undefined)
  yield* pin(
    context,
    members.filter((member) => member.isOpen && member.pin === undefined),
  )
  for (const member of members) if (member.pin && context.batch.hasExited(member)) settleGone(member)
  yield* pinDeadLeaders(context, members)
  yield* readAndJudge(
    context,
    members.filter(({ pin }) => pin !== undefined),
  )
  for (const member of members) if (member.isDoubtful && isOutOfQuestion(member)) context.batch.drop(member)
  context.os.resumeNow(members.filter(({ isFrozen, isOpen }) => isFrozen && !isOpen))
  return growthOf(context, members)
}

/** Undefined: it is in the batch already. */
function newTarget({ batch }: Context, { identity, pin, pgid, isDoubtful = false }: Wanted): Member | undefined {
  const known = batch.find(identity)
  if (known !== undefined) {
    // Found undecidable before (such as in the middle of an exec), and clearly a target now.
    if (!isUndecidedTarget(known) || isDoubtful) return undefined
    batch.drop(known)
  }
  const member = batch.add(new Member(identity, 'target'))
  member.pgid = pgid
  member.pin = pin
  member.isBorrowed = pin !== undefined
  member.isDoubtful = isDoubtful
  return member
}

/** It never was known to be ours, and will not be any more. */
function isOutOfQuestion(member: Member): boolean {
  return isOver(member) || member.reason === 'foreign'
}

function* pin(context: Context, members: readonly Member[]): Steps<void> {
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
  context.os.freezeNow(members.filter(({ isOpen, isDoubtful, pin }) => isOpen && !isDoubtful && pin !== undefined))
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

function settleGone(member: Member): void {
  if (member.isOpen) member.settle('already-gone')
  member.isNode = true
}

/** A group outlives its leader: the pin of a dead leader shows, where there can be one, that it still is that group. */
function* pinDeadLeaders({ plan, os }: Context, members: readonly Member[]): Steps<void> {
  if (plan.scope === 'process') return
  const dead = members.filter(({ outcome, pin }) => outcome === 'already-gone' && pin === undefined)
  const answers = yield* os.openGroupPins(dead.map(({ identity }) => identity))
  answers.forEach((answer, index) => {
    if (answer.ok && answer.pin !== undefined) (dead[index] as Member).pin = answer.pin
  })
}

function* readAndJudge(context: Context, members: readonly Member[]): Steps<void> {
  if (members.length === 0) return
  const { os, batch, fields } = context
  const pids = members.map(({ identity }) => identity.pid)
  const { processes, nested } = yield* os.scan({ fields: fields.target, where: { pid: pids }, nested: true })
  const rows = new Map(processes.map((row) => [row.pid, row]))
  for (const member of members) {
    const row = rows.get(member.identity.pid)
    if (row === undefined || compareIdentities(row.identity, member.identity) !== 'same') {
      if (batch.holdsNumber(member) && !batch.hasExited(member)) member.settle('refused', 'unknown', [unreadable])
      else settleGone(member)
      continue
    }
    member.row = row
    member.pgid = row.pgid
    member.identity = row.identity
    judgeTarget(context, member, row, nested.has(row.pid))
  }
}

function judgeTarget(context: Context, member: Member, row: ProcessInfo, isNested: boolean): void {
  const forbidden = refusalOf(context, row, isNested) ?? context.scope.refuse?.(row, context.lineage.observer)
  // What belongs to a target that has just ended belongs to the scope all the same.
  const refusal =
    forbidden ?? (member.isOpen ? (tooYoung(context, row) ?? unlessOurs(context, member, row)) : undefined)
  member.isNode = refusal === undefined
  if (member.isOpen && refusal !== undefined) refuse(context, member, refusal)
}

/** The verdict on what it is now; the evidence for it goes into the report. */
function unlessOurs({ source }: Context, member: Member, row: ProcessInfo): Refusal | undefined {
  const judgement = source.judge?.(row)
  if (judgement === undefined || judgement.verdict === 'ours') {
    member.evidence.push(identityEvidence(row.identity, true), ...(judgement?.evidence ?? []))
    return undefined
  }
  return { reason: judgement.verdict, evidence: judgement.evidence }
}

function refuse({ source }: Context, member: Member, { reason, evidence }: Refusal): void {
  member.isSpared = reason === 'excepted' || source.spares.has(reason)
  member.settle('refused', reason, evidence)
}

/** What holds for targets and members alike. */
function refusalOf({ plan, lineage, source }: Context, row: ProcessInfo, isNested: boolean): Refusal | undefined {
  const exclusion = exclusionOf(row, lineage.observer, { users: plan.users, isNested })
  if (exclusion !== undefined) return { reason: exclusion.reason, evidence: [exclusion.evidence] }
  if (!source.isExcepted?.(row)) return undefined
  return {
    reason: 'excepted',
    evidence: [{ part: 'except', expected: 'not excepted', found: 'excepted', holds: false }],
  }
}

function tooYoung({ plan }: Context, { startedAt, unreadable }: ProcessInfo): Refusal | undefined {
  if (plan.minAgeMs === 0) return undefined
  const expected = `at least ${plan.minAgeMs} ms old`
  if (startedAt === undefined) {
    const reason = unreadable.startedAt
    return { reason: 'unknown', evidence: [{ part: 'age', expected, holds: 'unknown', ...(reason && { reason }) }] }
  }
  const ageMs = Date.now() - startedAt.getTime()
  if (ageMs >= plan.minAgeMs) return undefined
  const found = `${Math.round(ageMs)} ms old`
  return { reason: 'too-young', evidence: [{ part: 'age', expected, found, holds: false }] }
}

/** Takes in members of the scope that are not known yet. */
export function* admitMembers(context: Context, candidates: readonly Candidate[]): Steps<Growth> {
  const members = candidates.map((candidate) => newMember(context, candidate)).filter((member) => member !== undefined)
  const found = members.filter(({ isOpen }) => isOpen)
  // The refused are pinned as well where others follow from them: it keeps their numbers from changing hands unseen.
  yield* pin(
    context,
    members.filter(({ isOpen, isNode }) => isOpen || isNode),
  )
  return growthOf(context, found)
}

/** Whether a live row could be ended as a member: no rule speaks against it. */
export function isEndable(context: Context, row: ProcessInfo, isNested: boolean): boolean {
  return refusalOf(context, row, isNested) === undefined
}

function newMember(context: Context, { row, isNested, evidence, refusal }: Candidate): Member | undefined {
  const { batch } = context
  const known = batch.find(row.identity)
  if (known !== undefined) {
    if (refusal !== undefined) return undefined
    // Refused by itself, perhaps; but what descends from it belongs to whoever it belongs to.
    if (passesOn(known.reason)) known.isNode = true
    if (!isUndecidedTarget(known)) return undefined
    // Not known to match a signature, but known to belong to somebody who does.
    batch.drop(known)
  }
  const member = batch.add(new Member(row.identity, 'member', evidence))
  member.row = row
  member.pgid = row.pgid
  const refused = refusal ?? refusalOf(context, row, isNested)
  member.isNode = refusal === undefined && passesOn(refused?.reason)
  if (refused !== undefined) refuse(context, member, refused)
  return member
}

function isUndecidedTarget({ role, reason }: Member): boolean {
  return role === 'target' && reason === 'unknown'
}

/** Below the caller, its ancestors and what is to be left alone, nothing belongs to a scope. */
function passesOn(reason: string | undefined): boolean {
  return reason === undefined || reason === 'other-user' || reason === 'unknown' || reason === 'too-young'
}

function growthOf({ batch, exits }: Context, members: readonly Member[]): Growth {
  const fresh = members.filter(({ isOpen }) => isOpen)
  if (batch.isActing) exits.watch(fresh)
  const vanished = members.filter((member) => isOver(member) && !member.isDoubtful)
  return { fresh, vanished }
}

function isOver({ outcome }: Member): boolean {
  return outcome === 'already-gone' || outcome === 'replaced'
}

export function isShortage(code: string): boolean {
  return shortages.has(code)
}

function identityEvidence({ pid, startToken }: ProcessIdentity, holds: boolean | 'unknown'): Evidence {
  return { part: 'identity', expected: `pid ${pid} started at ${startToken}`, holds }
}

export function accessEvidence(code: string): Evidence {
  return { part: 'permission', expected: 'to signal it', found: code, holds: false }
}

const unreadable: Evidence = { part: 'process', expected: 'to be seen', holds: 'unknown', reason: 'denied' }
