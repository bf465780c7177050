import type { TakeoverRefusal } from '../errors'
import type { ExclusionReason } from '../exclusions'
import { formatIdentity } from '../identity'
import type { OccupiedReason, OwnerVerdict, PortTakeover, TakeoverReport } from '../takeover'
import { addressText } from './addresses'
import { counted, duration } from './format'
import { ownersJson } from './port-answer'
import { reasons, renderEvidence, renderTermination, terminationJson } from './report'
import { visible } from './text'
import type { Ui } from './ui'

/** Tells whether the ports are ours now; of a dry run, whether nothing stands against it. */
export function isTakenOver({ outcome, dryRun, termination }: TakeoverReport): boolean {
  if (outcome === 'free' || outcome === 'taken-over') return true
  return dryRun && outcome !== 'refused' && termination?.ok !== false
}

/** Returns a report for JSON: as it is, with each identity as a word beside it. */
export function takeoverJson({ ports, termination, ...report }: TakeoverReport): Record<string, unknown> {
  return {
    ...report,
    ports: ports.map(({ before, after, verdicts, ...port }) => ({
      ...port,
      before: ownersJson(before),
      verdicts: verdicts.map((owner) => ({ ...owner, id: formatIdentity(owner.identity) })),
      ...(after && { after: ownersJson(after) }),
    })),
    ...(termination && { termination: terminationJson(termination) }),
  }
}

/** Returns what was found on each port and judged, what was done about it, and what came of it. */
export function renderTakeover(report: TakeoverReport, ui: Ui): string {
  const ports = report.ports.map((port) => renderPortTakeover(port, report, ui)).join('')
  const owners = report.ports.flatMap(({ verdicts }) => verdicts.map(({ identity }) => formatIdentity(identity)))
  const termination = report.termination ? renderTermination(report.termination, ui, new Set(owners)) : ''
  return ports + termination + renderSum(report, ui)
}

function renderPortTakeover(port: PortTakeover, { outcome }: TakeoverReport, ui: Ui): string {
  const { bold, green, yellow } = ui.colours
  const wasFree = port.free && port.verdicts.length === 0
  const state = wasFree ? green('was free') : port.free ? green('can be bound now') : yellow(held(port, outcome))
  const head = `${bold(visible(addressText(port.address)))}  ${state}\n`
  return head + port.verdicts.map((owner) => renderOwner(owner, ui)).join('')
}

function held({ before, after, verdicts }: PortTakeover, outcome: TakeoverReport['outcome']): string {
  if (verdicts.length > 0) return outcome === 'refused' ? 'is held' : after ? 'is still held' : 'was held'
  const owned = [...before.listeners, ...before.others].some(({ inode }) => inode !== '0')
  return owned || before.others.length === 0
    ? 'is held by somebody this user cannot see'
    : 'is kept busy by what past connections left behind'
}

/** Returns one holder of a port: whose it is, and the evidence for it. */
export function renderOwner({ identity, name, verdict, evidence, excluded }: OwnerVerdict, ui: Ui): string {
  const { bold, cyan, dim, green, red, yellow } = ui.colours
  const paint = { ours: excluded ? yellow : green, foreign: red, unknown: yellow }[verdict]
  const rule = excluded ? `, but ${exclusions[excluded]}` : ''
  const lines = [
    `  ${cyan(String(identity.pid))} ${bold(visible(name ?? '(name not known)'))}: ${paint(verdict + rule)}`,
    `      ${dim(formatIdentity(identity))}`,
    ...evidence.map((one) => `      ${renderEvidence(one, ui)}`),
  ]
  return lines.map((line) => `${line}\n`).join('')
}

const exclusions: Readonly<Record<ExclusionReason, string>> = reasons

const refusals: Readonly<Record<TakeoverRefusal, string>> = {
  'foreign-owner': 'a holder is not ours',
  'unknown-owner': 'of a holder it cannot be told whether it is ours',
  'invisible-owner': 'a holder cannot be seen',
  'excluded-owner': 'a holder, or somebody who would have to go with it, may not be ended',
  'conflicting-addresses': 'two of the addresses can never both be bound',
}

const occupied: Readonly<Record<OccupiedReason, string>> = {
  respawned: 'another process has taken it since: somebody restarts it',
  lingering: 'nobody holds it, but remains of connections keep it for a while',
  held: 'it is still held',
}

function why({ reason }: TakeoverReport): string {
  if (reason === undefined) return ''
  return `: ${reason in refusals ? refusals[reason as TakeoverRefusal] : occupied[reason as OccupiedReason]}`
}

function renderSum(report: TakeoverReport, ui: Ui): string {
  const { bold, green, red, yellow } = ui.colours
  const time = ` (${duration(report.durationMs)})\n`
  const ports = counted(report.ports.length, 'port', 'ports')
  if (report.outcome === 'refused') return `${bold(red('refused'))}${why(report)}. Nothing was signalled.${time}`
  if (report.dryRun && isTakenOver(report)) return `${bold(yellow('dry run'))}: ${ports} could be taken over${time}`
  switch (report.outcome) {
    case 'free':
      return `${bold(green('free'))}: nobody had to be ended${time}`
    case 'taken-over':
      return `${bold(green('taken over'))}: ${ports}${time}`
    case 'alive':
      return `${bold(red('not taken over'))}: not everybody ended${time}`
    default:
      return `${bold(red('not taken over'))}${why(report)}${time}`
  }
}
