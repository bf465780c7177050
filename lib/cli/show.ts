import type { Command } from 'commander'
import { formatIdentity } from '../identity'
import { type Field, type ProcessInfo, readProcess } from '../process'
import { type Answer, run, UsageError } from './answer'
import { age, bytes, dateTime, duration } from './format'
import { fieldText, paintState, processJson, shownFields } from './process-view'
import { collect, isIdentity, parseTarget } from './targets'
import { pad, quoted, visible } from './text'
import type { Ui } from './ui'

interface Options {
  readonly env?: readonly string[]
}

/** Adds `show`. */
export function registerShow(program: Command, ui: Ui): void {
  program
    .command('show')
    .alias('info')
    .description('Show all that can be read about one process, and why the rest cannot.')
    .argument('<process>', 'pid or identity')
    .option('-e, --env <key>', 'also print the value of this environment variable; may be repeated', collect)
    .addHelpText('after', examples)
    .action((process: string, options: Options, command: Command) => run(ui, command, () => show(process, options)))
}

const examples = `
Environment values are printed only for the keys asked for.

Examples:
  $ pidproof show 4242
  $ pidproof show 4242 --env NODE_ENV --env PORT
  $ pidproof show "$(cat app.identity)" --json`

type Values = Readonly<Record<string, string | null>>

async function show(text: string, options: Options): Promise<Answer> {
  const keys = options.env ?? []
  const bad = keys.find((key) => key === '' || key.includes('='))
  if (bad !== undefined) throw new UsageError(`--env takes a KEY; received ${JSON.stringify(bad)}`)
  const target = parseTarget(text)
  const fields: Field[] = [...shownFields, 'env']
  const process = await readProcess(isIdentity(target) ? target : target.pid, { fields })
  const env = process.env
  const values = env && keys.length > 0 ? Object.fromEntries(keys.map((key) => [key, env[key] ?? null])) : undefined
  return {
    ok: true,
    data: { process: { ...processJson(process), ...(values ? { env: values } : {}) } },
    text: (ui) => details(process, values ?? {}, ui),
  }
}

const reasons: Readonly<Record<'denied' | 'gone' | 'unsupported', string>> = {
  denied: 'the operating system does not let this user read it',
  gone: 'the process ended before it could be read',
  unsupported: 'this system does not offer it',
}

type Line = readonly [label: string, field: Field, text: string]

function details(process: ProcessInfo, values: Values, ui: Ui): string {
  const lines = linesOf(process).map(([label, field, text]) => {
    const why = process.unreadable[field]
    const shown = why
      ? ui.colours.yellow(`${why}: ${reasons[why]}`)
      : field === 'state'
        ? paintState(process, text, ui)
        : text
    return `${ui.colours.bold(pad(label, 12))} ${shown}\n`
  })
  const heading = `${ui.colours.cyan(String(process.pid))}  ${formatIdentity(process.identity)}\n`
  const variables = Object.entries(values).map(
    ([key, value]) =>
      `${pad('', 12)} ${visible(key)}=${value === null ? ui.colours.dim('(not set)') : quoted(value)}\n`,
  )
  return [heading, ...lines, ...variables].join('')
}

function linesOf(process: ProcessInfo): Line[] {
  const { startedAt, cpu, memory, env } = process
  const text = (field: Exclude<Field, 'env'>) => fieldText(process, field)
  return [
    ['name', 'name', text('name')],
    ['executable', 'exe', text('exe')],
    ['arguments', 'argv', text('argv')],
    ['title', 'title', text('title')],
    ['directory', 'cwd', text('cwd')],
    ['user', 'user', text('user')],
    ['user id', 'uid', text('uid')],
    ['state', 'state', text('state')],
    ['parent', 'parent', process.parent ? formatIdentity(process.parent) : 'none that can be seen from here'],
    ['group', 'group', text('group')],
    ['started', 'startedAt', startedAt ? `${dateTime(startedAt)} (${age(startedAt)} ago)` : '-'],
    ['cpu', 'cpu', cpu ? `${duration(cpu.userMs)} user, ${duration(cpu.systemMs)} system` : '-'],
    [
      'memory',
      'memory',
      memory ? `${bytes(memory.residentBytes)} resident, ${bytes(memory.virtualBytes)} virtual` : '-',
    ],
    ['unique id', 'unique', text('unique')],
    ['environment', 'env', env ? `${Object.keys(env).length} variables, values not shown` : '-'],
  ]
}
