import { constants } from 'node:os'
import { Interrupted } from './answer'

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Runs a task that can be given up: a signal that asks this command to end aborts it with {@link Interrupted}. More of
 * them change nothing, as the task comes to an orderly end at once: no process must stay stopped half-way.
 */
export async function interruptible<T>(task: (abort: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  const onSignal = (name: (typeof signals)[number]) => {
    controller.abort(new Interrupted(name, constants.signals[name]))
  }
  for (const name of signals) process.on(name, onSignal)
  try {
    return await task(controller.signal)
  } finally {
    for (const name of signals) process.removeListener(name, onSignal)
  }
}
