import type { ProcessOutcome, TerminationReport } from '../../lib/terminate'
import type { FakeBinding } from './fake-binding'

/** The one outcome of that pid. */
export function outcomeOf(report: TerminationReport, pid: number): ProcessOutcome {
  const found = report.outcomes.filter(({ identity }) => identity.pid === pid)
  if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} outcomes of pid ${pid}`)
  return found[0]
}

/** Outcome and reason of every process, by pid. */
export function summary(report: TerminationReport): Record<number, string> {
  return Object.fromEntries(
    report.outcomes.map(({ identity, outcome, reason }) => [identity.pid, reason ? `${outcome}: ${reason}` : outcome]),
  )
}

/** Signals that reached a process with that pid, in order. */
export function signalsTo(fake: FakeBinding, pid: number): number[] {
  return fake.delivered.filter((one) => one.pid === pid).map(({ signal }) => signal)
}

/** Nothing may be left open, however it ended. */
export function expectClean(fake: FakeBinding): void {
  expect({ pins: fake.openPinCount, watches: fake.watchCount, keepAlive: fake.keepAlive }).toEqual({
    pins: 0,
    watches: 0,
    keepAlive: false,
  })
}
