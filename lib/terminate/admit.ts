import { exclusionOf } from '../exclusions'
import { compareIdentities } from '../identity'
import type { ProcessInfo } from '../process'
import type { Evidence } from '../verdict'
import { Member } from './batch'
import { type Context, type Growth, noGrowth, type Refusal, type Wanted } from './context'
import { identityEvidence, pin, pinDeadLeaders, settleGone } from './pinning'
import type { Steps } from './steps'

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
function newTarget(
  context: Context,
  { identity, pin, pgid, mayBeFrozen = false, isDoubtful = false }: Wanted,
): Member | undefined {
  const known = context.batch.find(identity)
  if (known !== undefined) {
    // Not to be judged before, or not ours (as between fork and exec), and clearly a target now.
    if (!isJudgedOut(context, known) || isDoubtful) return undefined
    context.batch.drop(known)
  }
  const member = context.batch.add(new Member(identity, 'target'))
  member.pgid = pgid
  member.pin = pin
  member.isBorrowed = pin !== undefined
  member.mayBeFrozen = mayBeFrozen
  member.isDoubtful = isDoubtful
  return member
}

/** It never was known to be ours, and will not be any more. */
function isOutOfQuestion(member: Member): boolean {
  return isOver(member) || member.reason === 'foreign'
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

/** Whether it is not too young for a target. */
export function isOldEnough(context: Context, row: ProcessInfo): boolean {
  return tooYoung(context, row) === undefined
}

function newMember(context: Context, { row, isNested, evidence, refusal }: Candidate): Member | undefined {
  const { batch } = context
  const known = batch.find(row.identity)
  if (known !== undefined) {
    if (refusal !== undefined) return undefined
    // Refused by itself, perhaps; but what descends from it belongs to whoever it belongs to.
    if (passesOn(known.reason)) known.isNode = true
    if (!isJudgedOut(context, known)) return undefined
    // Not known to match a signature, but known to belong to somebody who does.
    batch.drop(known)
  }
  const member = batch.add(new Member(row.identity, 'member', evidence))
  member.row = row
  member.pgid = row.pgid
  member.mayBeFrozen = true
  const refused = refusal ?? refusalOf(context, row, isNested)
  member.isNode = refusal === undefined && passesOn(refused?.reason)
  if (refused !== undefined) refuse(context, member, refused)
  return member
}

/**
 * Refused by the verdict on itself alone, which may change with its program and says nothing about its kin. A target that
 * was named stays refused.
 */
function isJudgedOut({ source }: Context, { role, reason }: Member): boolean {
  return source.find !== undefined && role === 'target' && (reason === 'unknown' || reason === 'foreign')
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

const unreadable: Evidence = { part: 'process', expected: 'to be seen', holds: 'unknown', reason: 'denied' }
