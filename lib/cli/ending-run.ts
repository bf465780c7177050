import type { Progress, TerminateOptions } from '../terminate'
import { interruptible } from './interrupt'
import { withProgress } from './progress'
import type { Ui } from './ui'

const phases: Readonly<Record<Progress['phase'], string>> = {
  asking: 'asking them to end',
  waiting: 'waiting for them to end',
  forcing: 'forcing them to end',
  done: 'finishing',
}

/** Runs something that ends processes: it can be interrupted, and says how far it is. */
export function runEnding<T>(
  ui: Ui,
  task: (hooks: Required<Pick<TerminateOptions, 'abort' | 'onProgress'>>) => Promise<T>,
): Promise<T> {
  let latest: Progress | undefined
  const onProgress = (progress: Progress) => {
    latest = progress
  }
  const describe = () =>
    latest ? `${phases[latest.phase]}: ${latest.alive} of ${latest.total} alive` : 'looking for them'
  return interruptible((abort) => withProgress(ui, describe, () => task({ abort, onProgress })))
}
