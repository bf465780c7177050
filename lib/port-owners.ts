import { type Address, addressesOverlap, bindConflict, checkAddress, resolveAddress } from './addresses'
import { unwrap } from './errors'
import type { ProcessIdentity } from './identity'
import { type NativeBinding, native } from './native'
import { checkAbortSignal, checkKeys, throwIfAborted } from './options'
import { decodeSockets, protocolMask, type SocketProtocol, type SocketRow, socketStates } from './socket-table'
import { findOwners, type SocketOwners } from './sockets'

/**
 * What a socket does with the port. `listener`: a TCP socket in LISTEN, or a UDP socket that receives from anybody.
 * `bound`: has the port and does nothing with it yet. `connection`: one end of a connection, outgoing ones included.
 * `lingering`: what a connection leaves behind, which nobody holds and which goes away by itself.
 */
export type SocketRole = 'listener' | 'bound' | 'connection' | 'lingering'

export interface PortSocket extends SocketRow {
  readonly role: SocketRole
  /** Everybody who has it open, as far as it can be seen: forks, passed descriptors and SO_REUSEPORT make it several. */
  readonly owners: readonly ProcessIdentity[]
}

export interface PortOwners {
  readonly port: number
  readonly listeners: readonly PortSocket[]
  /** Other sockets with this local port; they can keep it from being bound as well. */
  readonly others: readonly PortSocket[]
  /** `partial`: some processes could not be looked at; then no owners does not mean that there is none. */
  readonly visibility: 'complete' | 'partial'
  /** Whether `others` can show sockets that are bound only. False: the port may be held by one that is not listed. */
  readonly boundVisible: boolean
}

export interface PortOwnersOptions {
  readonly signal?: AbortSignal | undefined
}

const mostPasses = 3
const anyState = 0
const listening = 1 << socketStates.indexOf('listen')

const protocolsOf: Readonly<Record<'tcp' | 'udp', readonly SocketProtocol[]>> = {
  tcp: ['tcp', 'tcp6'],
  udp: ['udp', 'udp6'],
}
const lingeringStates = ['time-wait', 'fin-wait-1', 'fin-wait-2', 'last-ack', 'closing']

/**
 * Finds the sockets that have a local port, and everybody who holds them.
 *
 * @param target - The port, or an address; with a host only sockets that share one of its IP addresses, or would keep
 *   it from being bound. A name is looked up as Node does it, and all its addresses count. Protocol `tcp` by default.
 * @returns Every socket with all its owners, read once more after the owners were found: one that was closed meanwhile,
 *   or whose number went to another one, is not among them.
 * @throws {NotSupportedError} `ENOTSUP`: sockets cannot be listed here.
 * @throws {OsError} `EMFILE` and its like; `ENOTFOUND` for a name that has no address.
 * @remarks Source — linux: NETLINK_SOCK_DIAG with the port as a filter in the kernel, else /proc/self/net; owners by
 *   the links in /proc/<pid>/fd. Where no socket has the port, no process is looked at.
 */
export async function portOwners(
  target: number | Address,
  options: PortOwnersOptions = {},
  binding: NativeBinding = native(),
): Promise<PortOwners> {
  const address = checkAddress(typeof target === 'number' ? 'port' : 'address', target)
  const signal = checkAbortSignal('signal', checkKeys('options', options, ['signal'], '').signal)
  throwIfAborted(signal)
  const wanted = await resolveAddress(address)
  const isWanted = (row: SocketRow) =>
    address.host === undefined || wanted.some((one) => addressesOverlap(one, row) || bindConflict(one, row))
  const search = new PortSearch(address, isWanted, signal, binding)
  return search.run()
}

class PortSearch {
  readonly #address: Address
  readonly #isWanted: (row: SocketRow) => boolean
  readonly #signal: AbortSignal | undefined
  readonly #binding: NativeBinding
  #boundVisible = false

  constructor(
    address: Address,
    isWanted: (row: SocketRow) => boolean,
    signal: AbortSignal | undefined,
    binding: NativeBinding,
  ) {
    this.#address = address
    this.#isWanted = isWanted
    this.#signal = signal
    this.#binding = binding
  }

  /** Looks at the sockets before and after the search for owners, again while new ones turn up. */
  async run(): Promise<PortOwners> {
    let before = await this.#list(anyState)
    for (let pass = 1; ; pass += 1) {
      const owners = await findOwners(before, this.#binding)
      const searched = new Set(before.map(keyOf))
      if (![...before].some((row) => row.inode !== '0')) return this.#answer(before, searched, owners)
      const after = await this.#listAgain(before)
      const isComplete = after.every((row) => row.inode === '0' || searched.has(keyOf(row)))
      if (isComplete || pass === mostPasses) return this.#answer(after, searched, owners)
      before = after
    }
  }

  /** Listeners alone are listed twenty times faster (10 against 200 µs): that spares the walk through all connections. */
  async #listAgain(before: readonly SocketRow[]): Promise<readonly SocketRow[]> {
    if (before.every(({ state }) => state === 'listen')) {
      const after = await this.#list(listening)
      const found = new Set(after.map(keyOf))
      if (before.every((row) => found.has(keyOf(row)))) return after
    }
    return this.#list(anyState)
  }

  async #list(states: number): Promise<readonly SocketRow[]> {
    const { port, protocol = 'tcp' } = this.#address
    const answer = await this.#binding.listSockets(protocolMask(protocolsOf[protocol]), states, port)
    throwIfAborted(this.#signal)
    const table = unwrap(answer, `port ${port}`)
    // A UDP socket is bound from the start, and always listed.
    this.#boundVisible ||= table.boundVisible || protocol === 'udp'
    return decodeSockets(table).filter(this.#isWanted)
  }

  #answer(rows: readonly SocketRow[], searched: ReadonlySet<string>, owners: SocketOwners): PortOwners {
    throwIfAborted(this.#signal)
    const sockets = rows.map((row): PortSocket => {
      const isKnown = searched.has(keyOf(row))
      return { ...row, role: roleOf(row), owners: isKnown ? owners.ownersOf(row) : [] }
    })
    const isPartial = rows.some((row) => {
      return row.inode !== '0' && (!searched.has(keyOf(row)) || owners.visibilityOf(row) === 'partial')
    })
    return {
      port: this.#address.port,
      listeners: sockets.filter((socket) => socket.role === 'listener'),
      others: sockets.filter((socket) => socket.role !== 'listener'),
      visibility: isPartial ? 'partial' : 'complete',
      boundVisible: this.#boundVisible,
    }
  }
}

/** Inode numbers come around again; together with the addresses they are the same socket. */
function keyOf(row: SocketRow): string {
  return [row.inode, row.protocol, row.localAddress, row.localPort, row.remoteAddress, row.remotePort].join(' ')
}

function roleOf({ protocol, state, inode }: SocketRow): SocketRole {
  if (state === 'listen' || (state === 'bound' && protocol.startsWith('udp'))) return 'listener'
  if (state === 'bound') return 'bound'
  return inode === '0' && lingeringStates.includes(state) ? 'lingering' : 'connection'
}
