import type { Command } from 'commander'
import { host } from '../identity'
import { native } from '../native'
import { checkUid } from '../options'
import { type Field, type ProcessFilter, type ProcessInfo, type Scan, scan } from '../process'
import { type Answer, run, UsageError } from './answer'
import { counted } from './format'
import { ageColumn, fieldColumn, pidColumn, processJson, type ShownField, shownFields } from './process-view'
import { type Column, renderTable } from './table'
import { collect } from './targets'
import type { Ui } from './ui'

interface Options {
  readonly fields?: string
  readonly user: string
  readonly name?: string
  readonly exe?: string
  readonly arg?: readonly string[]
  readonly envKey?: readonly string[]
  readonly kernel?: boolean
}

/** Adds `ls`. */
export function registerLs(program: Command, ui: Ui): void {
  program
    .command('ls')
    .alias('list')
    .description('List processes.')
    .option('-f, --fields <list>', `columns, separated by commas: ${shownFields.join(', ')}`)
    .option('-u, --user <who>', 'whose processes: me, all, or a user id', 'me')
    .option('-n, --name <name>', 'only those with exactly this name')
    .option('-x, --exe <file>', 'only those of this executable: a file name, or the end of its path by whole parts')
    .option(
      '-a, --arg <argument>',
      'only those with exactly this argument; may be repeated, all must be there',
      collect,
    )
    .option('-e, --env-key <key>', 'only those with this KEY or KEY=VALUE in the environment; may be repeated', collect)
    .option('-k, --kernel', 'threads of the kernel too')
    .addHelpText('after', examples)
    .action((options: Options, command: Command) => run(ui, command, () => list(options, ui)))
}

const examples = `
The command does not list itself.

Examples:
  $ pidproof ls
  $ pidproof ls --user all --fields name,user,memory,argv
  $ pidproof ls --exe node --arg --inspect
  $ pidproof ls --env-key MY_APP=dev --json`

async function list(options: Options, ui: Ui): Promise<Answer> {
  const fields = options.fields === undefined ? undefined : parseFields(options.fields)
  const wanted: Field[] = fields ? [...fields] : ['name', 'argv', 'state', 'startedAt', 'user']
  if (options.name !== undefined && !wanted.includes('name')) wanted.push('name')
  const found = await scan({ fields: wanted, where: filterFor(options) })
  const others = found.processes.filter(({ pid }) => pid !== process.pid)
  const named = others.filter(({ name }) => options.name === undefined || name === options.name)
  const processes = options.kernel ? named : named.filter(({ isKernelThread }) => !isKernelThread)
  const kernelThreadsLeftOut = named.length - processes.length
  return {
    ok: true,
    data: {
      partial: found.partial,
      undecided: found.undecided,
      kernelThreadsLeftOut,
      processes: processes.map(processJson),
    },
    text: () => {
      const table = renderTable(columnsFor(fields, options.user, ui), processes, ui)
      return (table || 'No process matches.\n') + notes(found, kernelThreadsLeftOut, ui)
    },
  }
}

function notes({ undecided, partial }: Scan, kernelThreads: number, ui: Ui): string {
  const { dim, yellow } = ui.colours
  const lines: string[] = []
  if (kernelThreads > 0)
    lines.push(dim(`${counted(kernelThreads, 'kernel thread', 'kernel threads')} not shown (--kernel)`))
  if (undecided.length > 0) {
    const count = counted(undecided.length, 'process', 'processes')
    lines.push(yellow(`${count} may match too: this user cannot read enough of them to tell.`))
  }
  if (partial) lines.push(yellow('Some processes are hidden from this user.'))
  return lines.map((line) => `${line}\n`).join('')
}

function columnsFor(fields: readonly ShownField[] | undefined, user: string, ui: Ui): Column<ProcessInfo>[] {
  if (fields) return [pidColumn(ui), ...fields.map((field) => fieldColumn(field, ui))]
  const owner = user === 'me' ? [] : [fieldColumn('user', ui)]
  return [
    pidColumn(ui),
    ...owner,
    ageColumn(),
    ...(['state', 'name', 'argv'] as const).map((field) => fieldColumn(field, ui)),
  ]
}

function parseFields(list: string): ShownField[] {
  return list.split(',').map((text) => {
    const name = text.trim()
    if (name === 'env')
      throw new UsageError('environments are not listed; ask for one value by key: pidproof show <pid> --env KEY')
    const field = shownFields.find((known) => known === name)
    if (field === undefined)
      throw new UsageError(`unknown field ${JSON.stringify(name)}; known are ${shownFields.join(', ')}`)
    return field
  })
}

function filterFor({ user, exe, arg, envKey }: Options): ProcessFilter {
  const uid = user === 'all' ? undefined : user === 'me' ? host(native()).euid : parseUid(user)
  return {
    ...(uid === undefined ? {} : { uid }),
    ...(exe === undefined ? {} : { exe }),
    ...(arg === undefined ? {} : { argv: arg }),
    ...(envKey === undefined ? {} : { env: parseEnvironment(envKey) }),
  }
}

function parseUid(text: string): number {
  if (!/^\d+$/.test(text)) throw new UsageError(`--user takes me, all, or a user id; received ${JSON.stringify(text)}`)
  return checkUid('--user', Number(text))
}

/** Returns the variables of `KEY` and `KEY=VALUE` arguments: a value, or true for any. */
export function parseEnvironment(texts: readonly string[]): Record<string, string | true> {
  const wanted = new Map<string, string | true>()
  for (const text of texts) {
    const [key, value] = parseVariable(text)
    const earlier = wanted.get(key)
    if (typeof earlier === 'string' && typeof value === 'string' && earlier !== value) {
      throw new UsageError(`${key} cannot have two values`)
    }
    wanted.set(key, typeof earlier === 'string' ? earlier : value)
  }
  return Object.fromEntries(wanted)
}

function parseVariable(text: string): [string, string | true] {
  const at = text.indexOf('=')
  if (at === 0 || text === '') throw new UsageError(`KEY or KEY=VALUE expected; received ${JSON.stringify(text)}`)
  return at < 0 ? [text, true] : [text.slice(0, at), text.slice(at + 1)]
}
