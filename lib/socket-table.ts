import type { ProcessIdentity } from './identity'
import { formatIp } from './ip'
import type { NativeSockets } from './native'

export type SocketProtocol = 'tcp' | 'tcp6' | 'udp' | 'udp6' | 'unix'

/**
 * State of a socket. `bound`: it has its local port and neither listens nor is connected, which for UDP is what can
 * receive. `closed` is left to unix sockets that are not connected.
 */
export type SocketState =
  | 'unknown'
  | 'established'
  | 'syn-sent'
  | 'syn-received'
  | 'fin-wait-1'
  | 'fin-wait-2'
  | 'time-wait'
  | 'closed'
  | 'close-wait'
  | 'last-ack'
  | 'listen'
  | 'closing'
  | 'bound'

export interface SocketRow {
  /** By the socket's family: a dual-stack listener and the IPv4 connections it accepted are `tcp6`. */
  readonly protocol: SocketProtocol
  readonly state: SocketState
  /** RFC 5952 text; empty for unix sockets. */
  readonly localAddress: string
  readonly localPort: number
  readonly remoteAddress: string
  readonly remotePort: number
  /** Undefined where it is not known, and for all but listening or bound IPv6 sockets. */
  readonly v6Only?: boolean | undefined
  /** Index of the network interface it is bound to. */
  readonly scopeId?: number | undefined
  /** Who made the socket: a hint, not who holds it. */
  readonly uid?: number | undefined
  /** `'0'`: no process holds it, as after its end or before it was accepted. */
  readonly inode: string
  /** Unix sockets: their path; an abstract name begins with NUL. */
  readonly path?: string | undefined
  /** Everybody who has it open, as far as it can be seen; only when owners were asked for. */
  readonly owners?: readonly ProcessIdentity[] | undefined
  /** `partial`: some processes could not be looked at, so there may be owners more. Only beside `owners`. */
  readonly visibility?: 'complete' | 'partial' | undefined
}

export const protocolBits: Readonly<Record<SocketProtocol, number>> = { tcp: 1, tcp6: 2, udp: 4, udp6: 8, unix: 16 }
export const socketProtocols = Object.keys(protocolBits) as readonly SocketProtocol[]

/** Index is `SocketState` in native/platform.h. */
export const socketStates: readonly SocketState[] = [
  'unknown',
  'established',
  'syn-sent',
  'syn-received',
  'fin-wait-1',
  'fin-wait-2',
  'time-wait',
  'closed',
  'close-wait',
  'last-ack',
  'listen',
  'closing',
  'bound',
]

const closed = socketStates.indexOf('closed')
const bound = socketStates.indexOf('bound')
const unknownUid = 2 ** 32 - 1

/** Bits of the native states that may be shown under these names. */
export function stateMask(states: readonly SocketState[]): number {
  let mask = 0
  for (const state of states) {
    mask |= 1 << socketStates.indexOf(state)
    if (state === 'bound') mask |= 1 << closed
  }
  return mask
}

export function protocolMask(protocols: readonly SocketProtocol[]): number {
  return protocols.reduce((mask, protocol) => mask | protocolBits[protocol], 0)
}

/** Makes objects of the columns. */
export function decodeSockets(table: NativeSockets): SocketRow[] {
  const rows = new Array<SocketRow>(table.count)
  for (let row = 0; row < table.count; row += 1) rows[row] = decodeSocket(table, row)
  return rows
}

function decodeSocket(table: NativeSockets, row: number): SocketRow {
  const protocol = socketProtocols.find((name) => protocolBits[name] === table.protocol[row]) ?? 'unix'
  const isUnix = protocol === 'unix'
  const v6Only = table.v6Only[row]
  const uid = table.uid[row] as number
  const scopeId = table.scopeId[row]
  return {
    protocol,
    state: stateOf(table.state[row] as number, protocol),
    localAddress: isUnix ? '' : addressText(table.localAddress, row, protocol),
    localPort: table.localPort[row] as number,
    remoteAddress: isUnix ? '' : addressText(table.remoteAddress, row, protocol),
    remotePort: table.remotePort[row] as number,
    v6Only: v6Only === 2 || !protocol.endsWith('6') ? undefined : v6Only === 1,
    scopeId: scopeId === 0 ? undefined : scopeId,
    uid: uid === unknownUid ? undefined : uid,
    inode: String(table.inode[row]),
    path: isUnix ? table.path[row] : undefined,
  }
}

/** An unconnected UDP socket is what "bound" means elsewhere. */
function stateOf(state: number, protocol: SocketProtocol): SocketState {
  const isBoundUdp = protocol.startsWith('udp') && state === closed
  return socketStates[isBoundUdp ? bound : state] ?? 'unknown'
}

function addressText(column: Uint8Array, row: number, protocol: SocketProtocol): string {
  const at = row * 16
  return formatIp(column.subarray(at, at + (protocol.endsWith('6') ? 16 : 4)))
}
