import { isPidproofError } from './errors'
import { checkFields, type Field, listFields } from './fields'
import { checkPidOrIdentity, compareIdentities, type ProcessIdentity } from './identity'
import { type NativeBinding, native } from './native'
import { checkAbortSignal, checkKeys, throwIfAborted } from './options'
import { type ReadOptions, readChecked, scan } from './process'
import type { ProcessInfo } from './process-table'

export interface RelativesOptions extends ReadOptions {
  readonly signal?: AbortSignal | undefined
}

/** A family that outgrows this many looks is growing faster than it can be listed. */
const mostPasses = 64
const parentReads = 3

/**
 * Lists the children of a process, their children and so on, the nearest first; the process itself is not among them.
 *
 * An edge counts only if the child's own record of its parent is that very process and the child is not older than it,
 * so the children of a successor to a reused pid are not taken for relatives. The family is looked through until nobody
 * new turns up. A child whose parent died before it was seen belongs to somebody else by then and cannot be found this way.
 *
 * @param options.fields - Default: `name` and `argv`.
 * @throws {NoSuchProcessError} `ESRCH` or `ERR_PROCESS_REPLACED`, and the other errors of {@link readProcess}.
 * @remarks Source — linux: /proc/<pid>/task/<tid>/children, or all of /proc, then as {@link listProcesses}.
 */
export async function descendants(
  process: number | ProcessIdentity,
  options: RelativesOptions = {},
  binding: NativeBinding = native(),
): Promise<ProcessInfo[]> {
  const { wanted, fields, signal } = check(process, options)
  throwIfAborted(signal)
  const root = await readChecked(wanted, [], binding)
  const family = new Family(root.identity)
  let parents: readonly number[] = [root.pid]
  for (let pass = 0; pass < mostPasses && parents.length > 0; pass += 1) {
    const found = await scan({ fields: withParent(fields), where: { ppid: parents }, signal }, binding)
    const born = family.adopt(found.processes)
    // Once a level has no children, everybody is asked again: some may have forked since they were.
    parents = born.length > 0 ? born : parents.length < family.size ? family.pids() : []
  }
  return family.inOrder().map((info) => without(info, fields))
}

/**
 * Lists the parent of a process, the parent's parent and so on, up to the one whose parent cannot be seen.
 *
 * @param options.fields - Default: `name` and `argv`.
 * @returns The nearest first. It ends early where a parent is hidden from us.
 * @throws {NoSuchProcessError} `ESRCH` or `ERR_PROCESS_REPLACED`, and the other errors of {@link readProcess}.
 * @remarks Source — linux: as {@link readProcess}, once a generation.
 */
export async function ancestors(
  process: number | ProcessIdentity,
  options: RelativesOptions = {},
  binding: NativeBinding = native(),
): Promise<ProcessInfo[]> {
  const { wanted, fields, signal } = check(process, options)
  throwIfAborted(signal)
  const chain: ProcessInfo[] = []
  let child = await readChecked(wanted, ['parent'], binding)
  for (;;) {
    const parent = await parentOf(child, withParent(fields), binding)
    throwIfAborted(signal)
    if (parent === undefined || chain.some((known) => known.pid === parent.pid)) break
    chain.push(parent)
    child = parent
  }
  return chain.map((info) => without(info, fields))
}

interface Checked {
  readonly wanted: number | ProcessIdentity
  readonly fields: readonly Field[]
  readonly signal: AbortSignal | undefined
}

function check(process: unknown, options: unknown): Checked {
  const wanted = checkPidOrIdentity('process', process)
  const given = checkKeys('options', options, ['fields', 'signal'], '')
  return {
    wanted,
    fields: checkFields('fields', given.fields, listFields),
    signal: checkAbortSignal('signal', given.signal),
  }
}

function withParent(fields: readonly Field[]): readonly Field[] {
  return fields.includes('parent') ? fields : [...fields, 'parent']
}

/** Takes out again what was read for our own use. */
function without(info: ProcessInfo, fields: readonly Field[]): ProcessInfo {
  if (fields.includes('parent')) return info
  const { parent, ...rest } = info
  const { parent: reason, ...unreadable } = rest.unreadable
  return { ...rest, unreadable }
}

function isOlder(one: ProcessIdentity, other: ProcessIdentity): boolean {
  return BigInt(one.startToken) < BigInt(other.startToken)
}

/** Members by pid; of a pid that was reused meanwhile the newest one counts as parent, the older stay members. */
class Family {
  readonly #members: { readonly info: ProcessInfo; readonly depth: number }[] = []
  readonly #parents = new Map<number, { readonly identity: ProcessIdentity; readonly depth: number }>()

  constructor(root: ProcessIdentity) {
    this.#parents.set(root.pid, { identity: root, depth: 0 })
  }

  get size(): number {
    return this.#parents.size
  }

  pids(): number[] {
    return [...this.#parents.keys()]
  }

  /** Adds those of the rows that are new children of members, and returns their pids. */
  adopt(rows: readonly ProcessInfo[]): number[] {
    const born: number[] = []
    for (const info of rows) {
      const parent = this.#parents.get(info.ppid)
      const known = this.#parents.get(info.pid)
      if (parent === undefined || !isChild(info, parent.identity)) continue
      if (known !== undefined && compareIdentities(known.identity, info.identity) !== 'different') continue
      const depth = parent.depth + 1
      this.#members.push({ info, depth })
      this.#parents.set(info.pid, { identity: info.identity, depth })
      born.push(info.pid)
    }
    return born
  }

  /** The nearest first. */
  inOrder(): ProcessInfo[] {
    return [...this.#members].sort((a, b) => a.depth - b.depth).map(({ info }) => info)
  }
}

function isChild(info: ProcessInfo, parent: ProcessIdentity): boolean {
  if (info.parent === undefined || isOlder(info.identity, parent)) return false
  return compareIdentities(info.parent, parent) !== 'different'
}

/**
 * Its parent as it is now. When the parent dies between the two reads the child gets another one, so it is asked again.
 */
async function parentOf(
  child: ProcessInfo,
  fields: readonly Field[],
  binding: NativeBinding,
): Promise<ProcessInfo | undefined> {
  let asked = child
  for (let attempt = 0; attempt < parentReads && asked.parent !== undefined; attempt += 1) {
    const parent = await unlessGone(readChecked(asked.parent, fields, binding))
    if (parent !== undefined) return isOlder(child.identity, parent.identity) ? undefined : parent
    const again = await unlessGone(readChecked(child.identity, ['parent'], binding))
    if (again === undefined) return undefined
    asked = again
  }
  return undefined
}

async function unlessGone(read: Promise<ProcessInfo>): Promise<ProcessInfo | undefined> {
  try {
    return await read
  } catch (error) {
    const codes = ['ESRCH', 'ERR_PROCESS_REPLACED', 'EACCES', 'EPERM']
    if (isPidproofError(error) && codes.includes(error.code)) return undefined
    throw error
  }
}
