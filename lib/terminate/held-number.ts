import type { ProcessInfo } from '../process'
import type { Context } from './context'
import type { Steps } from './steps'

/**
 * Whether a number still means the group and session that a member of the batch leads or led, and not those of a
 * successor. To be asked after the rows were read: a number is free for others only when no process has it as its pid,
 * group or session, so whoever holds it now has held it throughout.
 *
 * It is held by its process, also as a zombie; by the group that a pin of its dead leader still reaches; by a pinned
 * process that was just seen in that group or session.
 */
export function* isNumberHeld(context: Context, number: number, rows: readonly ProcessInfo[]): Steps<boolean> {
  const { batch, os } = context
  const leaders = batch.withPid(number).filter(({ isNode }) => isNode)
  if (leaders.some((leader) => batch.holdsNumber(leader))) return true
  const pinned = leaders.flatMap(({ identity, pin }) => (pin === undefined ? [] : [{ identity, pin }]))
  const answers = yield* os.signal(pinned, 0, 'group')
  // A refusal comes from members as well.
  if (answers.some((answer) => answer.outcome === 'sent' || isRefusal(answer))) return true
  return rows.some(({ identity }) => {
    const member = batch.find(identity)
    return member?.isNode === true && batch.holdsNumber(member)
  })
}

function isRefusal(answer: { readonly outcome: string; readonly error?: { readonly code: string } }): boolean {
  return answer.outcome === 'failed' && (answer.error?.code === 'EPERM' || answer.error?.code === 'EACCES')
}
