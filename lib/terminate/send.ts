import { performance } from 'node:perf_hooks'
import type { Pinned, PinSignal } from '../pins'
import type { SignalName } from '../signals'
import { byAge, type Member } from './batch'
import type { Context } from './context'
import { accessEvidence, isShortage } from './pinning'
import type { Progress } from './report'
import type { Steps } from './steps'

/** After these a stopped process is not to be woken. */
const withoutWaking: ReadonlySet<SignalName> = new Set(['SIGKILL', 'SIGSTOP', 'SIGCONT'])

type Unsent = Exclude<PinSignal, { outcome: 'sent' }>
type PinnedMember = Member & Pinned

/** Those that are to be ended and can be reached, parents first. */
export function reachable(members: readonly Member[]): PinnedMember[] {
  return members.filter((member): member is PinnedMember => member.isOpen && member.pin !== undefined).sort(byAge)
}

/** Sends through the pins, in one native call. A process that has ended is settled by its exit, which is on its way. */
export function* send(context: Context, members: readonly Member[], signal: SignalName): Steps<void> {
  const pinned = reachable(members)
  if (pinned.length === 0) return
  context.batch.hasSignalled = true
  const at = performance.now()
  const answers = yield* context.os.signal(pinned, signal, 'process')
  answers.forEach((answer, index) => {
    const member = pinned[index] as Member
    if (answer.outcome === 'sent') member.reached(signal, answer.atomic, at)
    else if (member.isOpen) settleUnsent(context, member, signal, answer)
  })
}

function settleUnsent({ batch }: Context, member: Member, signal: SignalName, answer: Unsent): void {
  switch (answer.outcome) {
    case 'already-gone':
      return
    case 'replaced':
      member.settle('replaced')
      return
    case 'unknown':
      member.settle('refused', 'unknown-identity')
      return
    case 'failed':
      if (isShortage(answer.error.code)) batch.failure ??= answer.error
      else if (signal !== 'SIGCONT') member.settle('denied', undefined, [accessEvidence(answer.error.code)])
  }
}

/** Asks whether they may be signalled at all, before anybody is. */
export function* probe(context: Context): Steps<void> {
  const pinned = reachable(context.batch.open())
  const answers = yield* context.os.signal(pinned, 0, 'process')
  answers.forEach((answer, index) => {
    const member = pinned[index] as Member
    if (answer.outcome === 'already-gone') member.settle('already-gone')
    else if (answer.outcome === 'replaced') member.settle('replaced')
    else if (answer.outcome === 'unknown') member.settle('refused', 'unknown-identity')
    else if (answer.outcome === 'failed') {
      if (isShortage(answer.error.code)) throw answer.error
      member.settle('denied', undefined, [accessEvidence(answer.error.code)])
    }
  })
}

/**
 * The polite signal, then SIGCONT: a stopped process cannot obey before. Children are woken before their parents, as
 * the exit of a parent would send SIGHUP to a group that is still stopped.
 */
export function* ask(context: Context, members: readonly Member[]): Steps<void> {
  const { plan, os } = context
  yield* send(context, members, plan.signal)
  if (withoutWaking.has(plan.signal)) return
  const asked = reachable(members).reverse()
  const at = performance.now()
  const answers = yield* os.signal(asked, 'SIGCONT', 'process')
  answers.forEach((answer, index) => {
    const member = asked[index] as Member
    if (answer.outcome !== 'sent') return
    member.reached('SIGCONT', answer.atomic, at)
    member.isFrozen = false
  })
}

export function progress({ plan, batch }: Context, phase: Progress['phase']): void {
  if (plan.onProgress === undefined) return
  const ended = batch.members.filter(({ signals, isOpen }) => !isOpen && signals.length > 0)
  const alive = batch.open().length
  plan.onProgress({ phase, alive, total: alive + ended.length, elapsedMs: performance.now() - batch.startedAt })
}
