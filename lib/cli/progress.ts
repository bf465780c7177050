import { harmless, truncate } from './text'
import { ellipsis, type Ui } from './ui'

const showAfterMs = 1000
const clearLine = '\r\x1b[K'

/**
 * Runs a task and, once it has taken a second, keeps one line about it on the error stream, if that is a terminal.
 * The line is gone when the task is over, however it ends.
 *
 * @param describe - what is being waited for; asked again for every update.
 */
export async function withProgress<T>(ui: Ui, describe: () => string, task: () => Promise<T>): Promise<T> {
  if (!ui.err.isTTY) return task()
  const started = performance.now()
  let shown = false
  const update = () => {
    const seconds = Math.floor((performance.now() - started) / 1000)
    const line = `${harmless(describe())} (${seconds} s)`
    ui.err.write(clearLine + truncate(line, (ui.err.columns || 80) - 1, ellipsis(ui)))
    shown = true
  }
  const timer = setInterval(update, showAfterMs)
  timer.unref()
  try {
    return await task()
  } finally {
    clearInterval(timer)
    if (shown) ui.err.write(clearLine)
  }
}
