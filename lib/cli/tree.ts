import type { Command } from 'commander'
import { NoSuchProcessError } from '../errors'
import { sameProcess } from '../identity'
import { listProcesses, type ProcessInfo } from '../process'
import { type Answer, run } from './answer'
import { processCommand, processJson, processName } from './process-view'
import { isIdentity, parseTarget, type Target } from './targets'
import { textWidth, truncate } from './text'
import { ellipsis, type Ui } from './ui'

interface Options {
  readonly kernel?: boolean
}

/** Adds `tree`. */
export function registerTree(program: Command, ui: Ui): void {
  program
    .command('tree')
    .description('Show processes below their parents.')
    .argument('[process]', 'pid or identity of the one to start from; all processes when left out')
    .option('-k, --kernel', 'threads of the kernel too')
    .addHelpText('after', examples)
    .action((process: string | undefined, options: Options, command: Command) =>
      run(ui, command, () => tree(process, options)),
    )
}

const examples = `
Examples:
  $ pidproof tree
  $ pidproof tree 4242
  $ pidproof tree 4242 --json`

async function tree(text: string | undefined, options: Options): Promise<Answer> {
  const target = text === undefined ? undefined : parseTarget(text)
  const listed = await listProcesses({ fields: ['name', 'argv', 'user', 'state', 'parent'] })
  const processes = options.kernel
    ? listed
    : listed.filter((process) => !process.isKernelThread || process.pid === target?.pid)
  const root = target && processes.find((process) => isTarget(process, target))
  if (target && !root) {
    throw new NoSuchProcessError(`pid ${target.pid}: no such process`, { code: 'ESRCH', pid: target.pid })
  }
  const nodes = layTree(processes, root)
  return {
    ok: true,
    data: { processes: nodes.map(({ process, depth }) => ({ depth, ...processJson(process) })) },
    text: (ui) => renderTree(nodes, ui),
  }
}

function isTarget({ pid, identity }: ProcessInfo, target: Target): boolean {
  return isIdentity(target) ? sameProcess(identity, target) === 'same' : pid === target.pid
}

/** One process of a tree, in the order of printing. */
export interface TreeNode {
  readonly process: ProcessInfo
  readonly depth: number
  /** For each level above, and this one: does another process follow on it? */
  readonly followed: readonly boolean[]
}

/**
 * Returns processes in the order of a tree: each below its parent, by pid. Those whose parent is not among them are
 * roots; a pid that was reused after the parent's end is no parent.
 */
export function layTree(processes: readonly ProcessInfo[], root?: ProcessInfo): TreeNode[] {
  const byPid = new Map(processes.map((process) => [process.pid, process]))
  const children = new Map<ProcessInfo, ProcessInfo[]>()
  const roots: ProcessInfo[] = []
  for (const process of processes) {
    const parent = byPid.get(process.ppid)
    const isRoot = parent === undefined || parent === process || !isParent(parent, process)
    const siblings = isRoot ? roots : (children.get(parent) ?? [])
    siblings.push(process)
    if (!isRoot) children.set(parent, siblings)
  }
  return walk(root ? [root] : roots, children)
}

function isParent(candidate: ProcessInfo, { parent }: ProcessInfo): boolean {
  return parent === undefined || sameProcess(parent, candidate.identity) !== 'different'
}

/** Without recursion: a chain of forks can be deeper than the stack. */
function walk(roots: readonly ProcessInfo[], children: ReadonlyMap<ProcessInfo, readonly ProcessInfo[]>): TreeNode[] {
  const nodes: TreeNode[] = []
  const waiting: TreeNode[] = roots.map((process) => ({ process, depth: 0, followed: [] })).reverse()
  for (let node = waiting.pop(); node; node = waiting.pop()) {
    nodes.push(node)
    const { depth, followed } = node
    const below = children.get(node.process) ?? []
    const last = below.length - 1
    waiting.push(
      ...below.map((process, at) => ({ process, depth: depth + 1, followed: [...followed, at < last] })).reverse(),
    )
  }
  return nodes
}

/** Returns the lines of a tree, with box characters where the locale has them. */
export function renderTree(nodes: readonly TreeNode[], ui: Ui): string {
  const [through, blank, branch, end] = ui.unicode ? ['│  ', '   ', '├─ ', '└─ '] : ['|  ', '   ', '|- ', '`- ']
  return nodes
    .map(({ process, followed }) => {
      const above = followed.slice(0, -1).map((more) => (more ? through : blank))
      const own = followed.length === 0 ? '' : followed.at(-1) ? branch : end
      return `${renderNode(above.join('') + own, process, ui)}\n`
    })
    .join('')
}

function renderNode(lines: string, process: ProcessInfo, ui: Ui): string {
  const { cyan, dim, yellow } = ui.colours
  const pid = String(process.pid)
  const state = process.state === 'stopped' || process.state === 'zombie' ? ` (${process.state})` : ''
  const room = (ui.width ?? Number.POSITIVE_INFINITY) - lines.length - pid.length - 1
  const name = truncate(processName(process) + state, room, ellipsis(ui))
  const command = process.argv && process.argv.length > 0 ? `  ${processCommand(process)}` : ''
  const rest = truncate(command, room - textWidth(name), ellipsis(ui))
  return `${dim(lines)}${cyan(pid)} ${state ? yellow(name) : name}${dim(rest)}`
}
