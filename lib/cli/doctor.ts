import type { Command } from 'commander'
import { type Capability, type CapabilityReport, capabilities, type TargetCapabilities } from '../capabilities'
import { formatIdentity } from '../identity'
import { type Answer, run } from './answer'
import { type Column, renderTable } from './table'
import { isIdentity, parseTarget } from './targets'
import { visible } from './text'
import type { Ui } from './ui'

/** Adds `doctor`. */
export function registerDoctor(program: Command, ui: Ui): void {
  program
    .command('doctor')
    .alias('capabilities')
    .description('Tell what can be known and done here by this user, and what follows from what is missing.')
    .argument('[process]', 'pid or identity: also tell what can be read of it, and whether it may be signalled')
    .addHelpText('after', examples)
    .action((process: string | undefined, _options: object, command: Command) =>
      run(ui, command, () => examine(process)),
    )
}

const examples = `
Exit codes: 0 processes can be read and ended here, 1 they cannot, 2 wrong usage.

Examples:
  $ pidproof doctor
  $ pidproof doctor 4242
  $ pidproof doctor --json`

async function examine(text: string | undefined): Promise<Answer> {
  const target = text === undefined ? undefined : parseTarget(text)
  const report = await capabilities(target && !isIdentity(target) ? target.pid : target)
  const checks = report.capabilities.map((capability) => ({ ...capability, consequence: consequenceOf(capability) }))
  return {
    ok: report.capabilities.some(({ name, available }) => name === 'process-table' && available),
    data: { ...report, capabilities: checks },
    text: (ui) => renderReport(report, ui),
  }
}

const consequences: Readonly<Record<string, string>> = {
  'process-table': 'no process can be identified or signalled: /proc is missing or belongs to another pid namespace',
  pin: 'a process is held by its /proc folder; exits are noticed by looking again',
  'atomic-signal': 'between the last check and the signal a pid could be reused; reports say atomic: false',
  'event-exit': 'waits look again every few milliseconds instead of being woken',
  'unique-id': 'a pid reused within 10 ms cannot be told from its predecessor',
  'atomic-group-signal': 'groups are signalled member by member, in passes',
  'process-info': 'users and parents are read from /proc, a little slower',
  'reopen-by-id': 'a remembered process is found again by its pid and checked, a little slower',
  'exit-status': 'how a process ended is known for children only',
  'all-processes-visible': "other users' processes are hidden: ports and trees may have members that are not shown",
  'children-files': 'children are found by looking at all processes',
  sockets: 'ports cannot be examined',
  'socket-diag': 'sockets are read from /proc/net: slower, and some bound ones do not show',
  'bound-sockets': 'a port that is bound without listening looks free; only binding it tells',
}

function consequenceOf({ name, available }: Capability): string | null {
  return available ? null : (consequences[name] ?? 'it is done without')
}

function renderReport(report: CapabilityReport, ui: Ui): string {
  const { bold, green, red, yellow } = ui.colours
  const head = `${bold('pidproof')} on ${report.platform} ${report.arch}, kernel ${visible(report.kernel)}, backend ${report.backend}\n\n`
  if (report.capabilities.length === 0)
    return `${head}${red('This platform is not supported: nothing can be read or ended here.')}\n`
  const columns: Column<Capability>[] = [
    {
      title: '',
      text: ({ available }) => (available ? 'yes' : 'no'),
      paint: (text, { available }) => (available ? green(text) : yellow(text)),
    },
    { title: 'CAPABILITY', text: ({ name }) => name },
    { title: 'BY MEANS OF, OR WHAT FOLLOWS WITHOUT', text: (one) => consequenceOf(one) ?? visible(one.detail) },
  ]
  const target = report.target ? `\n${renderTarget(report.target, ui)}` : ''
  return `${head}${renderTable(columns, report.capabilities, ui)}\n${summary(report)}${target}`
}

function summary({ atomicSignals, uniqueIdentity, hiddenProcesses, socketSource }: CapabilityReport): string {
  const sentences = [
    atomicSignals
      ? 'A signal reaches the process that was identified, or nobody.'
      : 'Signals are sent right after a check, not in one step.',
    uniqueIdentity ? 'No two processes ever share an identity.' : 'Identities rest on the start time, to 10 ms.',
    hiddenProcesses ? 'Some processes are hidden from this user.' : 'All processes can be seen.',
    socketSource === 'none' ? 'Ports cannot be examined.' : `Ports are read through ${socketSource}.`,
  ]
  return sentences.map((sentence) => `${sentence}\n`).join('')
}

function renderTarget({ identity, fields, signal, atomic }: TargetCapabilities, ui: Ui): string {
  const { bold, dim, yellow } = ui.colours
  const entries = Object.entries(fields).map(([field, readable]) => {
    if (readable === 'readable') return field
    return readable === 'none' ? dim(`${field} (none)`) : yellow(`${field} (${readable})`)
  })
  const exactness = atomic === null ? '' : atomic ? ', exactly' : ', not atomically'
  return [
    `${bold(`Process ${identity.pid}`)}  ${formatIdentity(identity)}`,
    `  fields  ${entries.join(', ')}`,
    `  signal  ${signal}${signal === 'permitted' ? exactness : ''}`,
  ]
    .map((line) => `${line}\n`)
    .join('')
}
