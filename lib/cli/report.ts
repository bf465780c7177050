import { formatIdentity } from '../identity'
import type { SweepReport } from '../sweep'
import type { Outcome, ProcessOutcome, Reason, TerminationReport } from '../terminate'
import type { Evidence } from '../verdict'
import { counted, duration } from './format'
import { visible } from './text'
import type { Ui } from './ui'

/** Returns a report for JSON: as it is, with each identity as a word beside it. */
export function terminationJson(report: TerminationReport): Record<string, unknown> {
  return { ...report, outcomes: report.outcomes.map((one) => ({ ...one, id: formatIdentity(one.identity) })) }
}

const none: ReadonlySet<string> = new Set()

/**
 * Returns what became of each process, on what evidence, and the sum of it.
 *
 * @param shown - Identities, as words, whose evidence has been shown before.
 */
export function renderTermination(report: TerminationReport, ui: Ui, shown = none): string {
  if (report.outcomes.length === 0) return 'There is nothing to end.\n'
  return report.outcomes.map((outcome) => renderOutcome(outcome, ui, shown)).join('') + renderSum(report, ui)
}

/** Returns what a sweep found and did. */
export function renderSweep(report: SweepReport, ui: Ui): string {
  const looked = ui.colours.dim(`${counted(report.considered, 'process', 'processes')} looked at\n`)
  if (report.outcomes.length === 0) return `Nothing of ours was found.\n${looked}`
  return renderTermination(report, ui) + looked
}

const indent = ' '.repeat(14)

/** Returns one process of a report: what became of it, how and why, and the evidence for it. */
export function renderOutcome(outcome: ProcessOutcome, ui: Ui, shown = none): string {
  const { bold, cyan, dim } = ui.colours
  const id = formatIdentity(outcome.identity)
  const name = bold(visible(outcome.name ?? '(name not known)'))
  const member = outcome.role === 'member' ? dim(' (came with a target)') : ''
  const lines = [
    `${paintOutcome(outcome, ui)} ${cyan(String(outcome.identity.pid))} ${name}${member}: ${sentence(outcome)}`,
    ...(shown.has(id) ? [] : [`${indent}${dim(id)}`]),
    ...(shown.has(id) ? [] : outcome.evidence.map((evidence) => `${indent}${renderEvidence(evidence, ui)}`)),
  ]
  return lines.map((line) => `${line}\n`).join('')
}

/** Returns one observed fact: a tick for what holds, a cross for what does not, a question mark for what is not known. */
export function renderEvidence({ part, expected, found, holds, reason }: Evidence, ui: Ui): string {
  const { green, red, yellow, dim } = ui.colours
  const [yes, no] = ui.unicode ? ['✓', '✗'] : ['+', 'x']
  const mark = holds === 'unknown' ? yellow('?') : holds ? green(yes) : red(no)
  const observed = found === undefined || found === expected ? '' : `, found ${visible(found)}`
  const why = holds === 'unknown' ? `, not known${reason ? ` (${reason})` : ''}` : ''
  return `${mark} ${visible(part)}: ${visible(expected)}${dim(observed)}${why}`
}

function paintOutcome(outcome: ProcessOutcome, ui: Ui): string {
  const { green, red, yellow, dim } = ui.colours
  const painters: Readonly<Record<Outcome, (text: string) => string>> = {
    exited: green,
    killed: green,
    'already-gone': dim,
    replaced: yellow,
    refused: outcome.reason === 'excepted' ? dim : yellow,
    denied: red,
    alive: outcome.reason === 'dry-run' ? yellow : red,
  }
  const label = outcome.reason === 'dry-run' ? 'would end' : outcome.outcome
  return painters[outcome.outcome](label.padEnd(indent.length - 1))
}

function sentence(outcome: ProcessOutcome): string {
  const sent = outcome.signals.length > 0 ? `sent ${outcome.signals.join(', ')}` : 'nothing was sent'
  const inexact = outcome.atomic === false ? ', not atomically' : ''
  const why = outcome.reason === undefined ? '' : `, ${reasons[outcome.reason]}`
  switch (outcome.outcome) {
    case 'exited':
    case 'killed':
      return `${endingOf(outcome)}in ${duration(outcome.ms)}, ${sent}${inexact}`
    case 'already-gone':
      return 'had ended before'
    case 'replaced':
      return 'has ended, its pid belongs to somebody else, who was left alone'
    case 'refused':
      return `left alone${why}`
    case 'denied':
      return `the operating system did not let us signal it${why}`
    case 'alive':
      return outcome.reason === 'dry-run'
        ? 'nothing was sent, this is a dry run'
        : `still alive${stateOf(outcome)}${why}, ${sent}`
  }
}

function endingOf({ exit }: ProcessOutcome): string {
  if (exit?.signal) return `ended by ${exit.signal} `
  return exit === undefined || exit.exitCode === null ? 'ended ' : `ended with exit code ${exit.exitCode} `
}

function stateOf({ state }: ProcessOutcome): string {
  return state === undefined ? '' : ` (${state})`
}

/** Why a process was left alone or is still alive, in plain words. */
export const reasons: Readonly<Record<Reason, string>> = {
  self: 'it is this very process',
  ancestor: 'this process descends from it',
  init: 'it is the first process of the system',
  'kernel-thread': 'it is a thread of the kernel',
  'other-user': 'it belongs to another user (--users any lifts this)',
  'other-boot': 'it is of an earlier start of the machine',
  'other-namespace': 'it lives in another pid namespace',
  'too-young': 'it is younger than asked for',
  'own-group': 'it is in the process group or session of this process',
  'unproven-group': 'its process group has members that are not proven to be ours',
  'unknown-identity': 'it cannot be told which process it is',
  foreign: 'it is not ours: the evidence is against it',
  unknown: 'it is not known to be ours: some of the evidence cannot be read',
  excepted: 'it was excepted',
  'all-or-nothing': 'another one may not be ended, and it was all or nothing',
  'dry-run': 'this is a dry run',
  'not-forced': 'it did not heed the signal, and force was not allowed',
  deadline: 'the time was over',
  unkillable: 'SIGKILL did not end it: the kernel holds it',
}

function renderSum(report: TerminationReport, ui: Ui): string {
  const { bold, green, red, yellow } = ui.colours
  const counts = new Map<string, number>()
  for (const { outcome, reason } of report.outcomes) {
    const label = reason === 'dry-run' ? 'would end' : outcome.replace('-', ' ')
    counts.set(label, (counts.get(label) ?? 0) + 1)
  }
  const sum = [...counts].map(([label, count]) => `${count} ${label}`).join(', ')
  const verdict = report.dryRun ? yellow('dry run') : report.ok ? green('done') : red('not done')
  const unsettled = report.settled ? [] : [`${yellow('There may be more: new members turned up until the end.')}\n`]
  const failure = report.failure
    ? [`${red(`The scope could not be looked at again: ${visible(report.failure.message)}`)}\n`]
    : []
  return [`${bold(verdict)}: ${sum} (${duration(report.durationMs)})\n`, ...unsettled, ...failure].join('')
}
