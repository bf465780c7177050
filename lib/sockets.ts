import { unwrap } from './errors'
import { host, makeIdentity, type ProcessIdentity } from './identity'
import { type NativeBinding, type NativeHolders, native } from './native'
import {
  checkAbortSignal,
  checkBoolean,
  checkKeys,
  checkOneOf,
  checkPid,
  checkPort,
  checkSome,
  throwIfAborted,
} from './options'
import {
  decodeSockets,
  protocolMask,
  type SocketProtocol,
  type SocketRow,
  type SocketState,
  socketProtocols,
  socketStates,
  stateMask,
} from './socket-table'

export type { SocketProtocol, SocketRow, SocketState } from './socket-table'

export interface SocketOptions {
  /** Default: all. */
  readonly protocol?: SocketProtocol | readonly SocketProtocol[] | undefined
  readonly state?: SocketState | readonly SocketState[] | undefined
  /** Local port; unix sockets have none. */
  readonly port?: number | undefined
  /** Only what this process has open. */
  readonly pid?: number | undefined
  /** Find everybody who has each of them open. Costs a look at the descriptors of every process that may be looked at. */
  readonly owners?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Lists the sockets of our network namespace.
 *
 * @param options - What to list; an empty array lists nothing.
 * @returns One row a socket. With `owners` each has `owners` and `visibility`.
 * @throws {NoSuchProcessError} `ESRCH`: `pid` is nobody's.
 * @throws {AccessDeniedError} `EACCES`: the descriptors of `pid` are not for us to see.
 * @throws {NotSupportedError} `ENOTSUP`: sockets cannot be listed here.
 * @remarks Source — linux: NETLINK_SOCK_DIAG, which filters port and state in the kernel, else /proc/self/net; owners by
 *   the links in /proc/<pid>/fd.
 */
export async function listSockets(
  options: SocketOptions = {},
  binding: NativeBinding = native(),
): Promise<SocketRow[]> {
  const { protocols, states, port, pid, owners, signal } = checkOptions(options)
  throwIfAborted(signal)
  if (protocols.length === 0 || states?.length === 0) return []
  const held = pid === undefined ? undefined : await heldBy(pid, binding)
  const answer = await binding.listSockets(protocolMask(protocols), stateMask(states ?? []), port ?? 0)
  throwIfAborted(signal)
  const rows = decodeSockets(unwrap(answer, 'listing sockets')).filter(
    (row) => (states?.includes(row.state) ?? true) && (held?.has(row.inode) ?? true),
  )
  if (!owners) return rows
  const found = await findOwners(rows, binding)
  throwIfAborted(signal)
  return rows.map((row) => ({ ...row, owners: found.ownersOf(row), visibility: found.visibilityOf(row) }))
}

interface Checked {
  readonly protocols: readonly SocketProtocol[]
  readonly states: readonly SocketState[] | undefined
  readonly port: number | undefined
  readonly pid: number | undefined
  readonly owners: boolean
  readonly signal: AbortSignal | undefined
}

const optionNames = ['protocol', 'state', 'port', 'pid', 'owners', 'signal'] as const

function checkOptions(options: unknown): Checked {
  const { protocol, state, port, pid, owners, signal } = checkKeys('options', options, optionNames, '')
  const checkProtocol = (option: string, value: unknown) => checkOneOf(option, value, socketProtocols)
  const checkState = (option: string, value: unknown) => checkOneOf(option, value, socketStates)
  return {
    protocols: protocol === undefined ? socketProtocols : checkSome('protocol', protocol, checkProtocol),
    states: state === undefined ? undefined : checkSome('state', state, checkState),
    port: port === undefined ? undefined : checkPort('port', port),
    pid: pid === undefined ? undefined : checkPid('pid', pid),
    owners: owners === undefined ? false : checkBoolean('owners', owners),
    signal: checkAbortSignal('signal', signal),
  }
}

async function heldBy(pid: number, binding: NativeBinding): Promise<ReadonlySet<string>> {
  const inodes = unwrap(await binding.processSockets(pid), `pid ${pid}`, pid)
  return new Set(Array.from(inodes, String))
}

// ---- for the other files of this library

/** Who has the sockets open. */
export interface SocketOwners {
  ownersOf(row: SocketRow): readonly ProcessIdentity[]
  visibilityOf(row: SocketRow): 'complete' | 'partial'
}

/** Searches the holders of those rows that anybody can hold; without such rows no process is looked at. */
export async function findOwners(rows: readonly SocketRow[], binding: NativeBinding): Promise<SocketOwners> {
  const held = [...new Map(rows.filter((row) => row.inode !== '0').map((row) => [row.inode, row])).values()]
  if (held.length === 0) return new Owners(new Map(), 0)
  const answer = await binding.findSocketHolders(
    BigUint64Array.from(held, (row) => BigInt(row.inode)),
    Uint32Array.from(held, (row) => row.uid ?? 0),
    new BigUint64Array(held.length),
  )
  const holders = unwrap(answer, 'finding the owners of sockets')
  return new Owners(groupByInode(holders, binding), holders.unseen)
}

class Owners implements SocketOwners {
  readonly #byInode: ReadonlyMap<string, readonly ProcessIdentity[]>
  readonly #unseen: number

  constructor(byInode: ReadonlyMap<string, readonly ProcessIdentity[]>, unseen: number) {
    this.#byInode = byInode
    this.#unseen = unseen
  }

  ownersOf(row: SocketRow): readonly ProcessIdentity[] {
    return this.#byInode.get(row.inode) ?? []
  }

  visibilityOf(row: SocketRow): 'complete' | 'partial' {
    return row.inode === '0' || this.#unseen === 0 ? 'complete' : 'partial'
  }
}

function groupByInode(holders: NativeHolders, binding: NativeBinding): ReadonlyMap<string, readonly ProcessIdentity[]> {
  const here = host(binding)
  const byInode = new Map<string, ProcessIdentity[]>()
  for (let row = 0; row < holders.count; row += 1) {
    const inode = String(holders.inode[row])
    const owners = byInode.get(inode) ?? []
    byInode.set(inode, owners)
    const pid = holders.pid[row] as number
    if (owners.some((owner) => owner.pid === pid)) continue
    owners.push(makeIdentity(here, pid, String(holders.startToken[row]), holders.unique[row] ?? 0n))
  }
  return byInode
}
