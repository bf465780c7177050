// Everything that ends processes, so that a test can try all of it on somebody who must live.
import type { Address } from '../../lib/addresses'
import { TakeoverRefusedError } from '../../lib/errors'
import type { SignatureParts } from '../../lib/signature'
import { type SweepOptions, sweep } from '../../lib/sweep'
import { type TakeoverOptions, type TakeoverReport, takeOverPorts } from '../../lib/takeover'
import {
  type ProcessOutcome,
  type Scope,
  type TerminateOptions,
  type TerminateSyncOptions,
  type TerminationTarget,
  terminate,
  terminateSync,
} from '../../lib/terminate'

/** What one call said. JSON-safe: a scenario may return it. */
export interface Answer {
  readonly act: string
  readonly outcomes: readonly ProcessOutcome[]
  /** Of a takeover: how it went, and why it was refused. */
  readonly takeover?: string
}

type Targets = TerminationTarget | readonly TerminationTarget[]

type Scopes = readonly Scope[]

const allScopes: Scopes = ['process', 'group', 'tree']
/** Soon over even if somebody is signalled who does not obey. */
const impatient = { graceMs: 100, killWaitMs: 1000 }

/** `terminate` and `terminateSync`, in every scope. */
export async function terminateEveryWay(
  targets: Targets,
  options: Omit<TerminateOptions & TerminateSyncOptions, 'scope' | 'graceMs' | 'killWaitMs' | 'budgetMs'> = {},
  scopes: Scopes = allScopes,
): Promise<Answer[]> {
  const answers: Answer[] = []
  for (const scope of scopes) {
    const { outcomes } = await terminate(targets, { scope, ...impatient, ...options })
    answers.push({ act: `terminate ${scope}`, outcomes })
    const report = terminateSync(targets, { scope, budgetMs: 200, ...options })
    answers.push({ act: `terminateSync ${scope}`, outcomes: report.outcomes })
  }
  return answers
}

/** `sweep` in every scope. */
export async function sweepEveryWay(
  ours: SignatureParts,
  options: Omit<SweepOptions, 'ours' | 'scope'> = {},
  scopes: Scopes = allScopes,
): Promise<Answer[]> {
  const answers: Answer[] = []
  for (const scope of scopes) {
    const { outcomes } = await sweep({ ours, scope, ...impatient, ...options })
    answers.push({ act: `sweep ${scope}`, outcomes })
  }
  return answers
}

/** `takeOverPorts` in every scope, with the report of a refusal as well. */
export async function takeOverEveryWay(
  ports: TakeoverOptions['ports'],
  ours: SignatureParts,
  options: Omit<TakeoverOptions, 'ports' | 'ours' | 'scope'> = {},
  scopes: Scopes = allScopes,
): Promise<Answer[]> {
  const answers: Answer[] = []
  for (const scope of scopes) {
    const report = await doneOrRefused(takeOverPorts({ ports, ours, scope, portWaitMs: 200, ...impatient, ...options }))
    const { outcome, reason, termination } = report
    const takeover = reason === undefined ? outcome : `${outcome} ${reason}`
    answers.push({ act: `takeOverPorts ${scope}`, outcomes: termination?.outcomes ?? [], takeover })
  }
  return answers
}

async function doneOrRefused(call: Promise<TakeoverReport>): Promise<TakeoverReport> {
  try {
    return await call
  } catch (error) {
    if (error instanceof TakeoverRefusedError) return error.report
    throw error
  }
}

/** Ports of 127.0.0.1. */
export function local(...ports: readonly number[]): Address[] {
  return ports.map((port) => ({ port, host: '127.0.0.1' }))
}

/** What became of one process, act by act: `refused self`, or `unlisted`; with the signals that it got, if any. */
export function fateOf(pid: number, answers: readonly Answer[]): Record<string, string> {
  return Object.fromEntries(
    answers.map(({ act, outcomes, takeover }) => {
      const found = outcomes.filter(({ identity }) => identity.pid === pid).map(describeOutcome)
      return [act, [...(takeover ? [takeover] : []), ...found].join(', ') || 'unlisted']
    }),
  )
}

function describeOutcome({ outcome, reason, signals }: ProcessOutcome): string {
  return [outcome, ...(reason ? [reason] : []), ...signals].join(' ')
}

/** The same fate in all of these acts. */
export function always(fate: string, answers: readonly Answer[]): Record<string, string> {
  return Object.fromEntries(answers.map(({ act }) => [act, fate]))
}
