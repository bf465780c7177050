import { lookup } from 'node:dns/promises'
import { invalidRange, invalidType, OsError } from './errors'
import { formatIp, type IpBytes, isWildcard, parseIp, sameIp } from './ip'
import { checkBoolean, checkKeys, checkOneOf, checkPort, checkText } from './options'
import type { SocketRow } from './socket-table'

/** Where something listens, or wants to. */
export interface Address {
  readonly port: number
  /**
   * An IP address, or a name where names are resolved. Left out: every address of both families, which is what
   * `server.listen(port)` binds.
   */
  readonly host?: string | undefined
  /** Default `tcp`. */
  readonly protocol?: 'tcp' | 'udp' | undefined
  /** Whether `::` leaves IPv4 alone, as `ipv6Only` of `server.listen()`. Default false; only `::` knows the difference. */
  readonly v6Only?: boolean | undefined
}

/** A wildcard or one address, of one family; `dual` is `::` without v6-only, which takes IPv4 as well. */
type Kind = 'v4-any' | 'v4' | 'dual' | 'v6-any' | 'v6'

/** `equal`: only if both are the very same address. */
type Verdict = boolean | 'equal'

/**
 * Which sockets stand in each other's way on one kind of system: for an existing socket (outer key) whether a new one
 * (inner key) fails to bind the same port.
 */
export interface BindRules {
  readonly name: string
  readonly table: Readonly<Record<Kind, Readonly<Record<Kind, Verdict>>>>
  /** Whether a socket that is connected, or lingers after its connection, holds its port as a listener does. */
  readonly connectionsHold: boolean
}

/** A Linux socket stands in the way where the sets of addresses meet; connected and lingering ones count. */
export const linuxBindRules: BindRules = {
  name: 'linux',
  connectionsHold: true,
  table: {
    'v4-any': { 'v4-any': true, v4: true, dual: true, 'v6-any': false, v6: false },
    v4: { 'v4-any': true, v4: 'equal', dual: true, 'v6-any': false, v6: false },
    dual: { 'v4-any': true, v4: true, dual: true, 'v6-any': true, v6: true },
    'v6-any': { 'v4-any': false, v4: false, dual: true, 'v6-any': true, v6: true },
    v6: { 'v4-any': false, v4: false, dual: true, 'v6-any': true, v6: 'equal' },
  },
}

/** Sets of addresses that meet: the same on every system, whatever its kernel allows to be bound. */
const overlaps = linuxBindRules.table

/**
 * Tells whether binding `wanted` would fail because of `existing`, as far as addresses decide it.
 *
 * @param wanted - Where to bind. A host must be an IP address or `localhost`, which counts as 127.0.0.1 and ::1.
 * @param existing - A row of `listSockets`, or another address that is to be bound.
 * @param rules - What the system allows. There is one table so far: {@link linuxBindRules}.
 * @returns True where it would fail unless both sides set the same sharing option (SO_REUSEPORT, or SO_REUSEADDR
 *   beside a socket that does not listen): options of other sockets cannot be seen. `::` whose v6-only option is not
 *   known counts as taking IPv4. Only `bind()` itself is a proof: see `waitForPortFree`.
 * @throws {RangeError} `ERR_INVALID_ARG`: a host that is a name.
 */
export function bindConflict(
  wanted: Address,
  existing: Address | SocketRow,
  rules: BindRules = linuxBindRules,
): boolean {
  if (!rules.connectionsHold && isConnected(existing)) return false
  return meets(endpoints('wanted', wanted), endpoints('existing', existing), rules.table)
}

/**
 * Tells whether somebody who connects to one of these could have meant the other: whether their sets of addresses
 * have one in common, on the same port of the same protocol.
 *
 * @throws {RangeError} `ERR_INVALID_ARG`: a host that is a name other than `localhost`.
 */
export function addressesOverlap(a: Address | SocketRow, b: Address | SocketRow): boolean {
  return meets(endpoints('a', a), endpoints('b', b), overlaps)
}

// ---- for the other files of this library

/** A checked copy of a port number or an address; a host may be a name. */
export function checkAddress(option: string, value: unknown): Address {
  if (typeof value !== 'object' || value === null) return { port: checkPort(option, value) }
  const { port, host, protocol, v6Only } = checkKeys(option, value, ['port', 'host', 'protocol', 'v6Only'])
  return {
    port: checkPort(`${option}.port`, port),
    ...(host !== undefined && { host: checkText(`${option}.host`, host) }),
    ...(protocol !== undefined && { protocol: checkOneOf(`${option}.protocol`, protocol, ['tcp', 'udp'] as const) }),
    ...(v6Only !== undefined && { v6Only: checkBoolean(`${option}.v6Only`, v6Only) }),
  }
}

/**
 * The address with its name resolved, as all the IP addresses that the name has here.
 *
 * @throws {OsError} The resolver's own code, such as `ENOTFOUND`.
 */
export async function resolveAddress(address: Address): Promise<readonly Address[]> {
  const { host } = address
  if (host === undefined || parseIp(host) !== undefined) return [address]
  try {
    const found = await lookup(host, { all: true })
    return found.map((entry) => ({ ...address, host: entry.address }))
  } catch (cause) {
    const { code = 'EUNKNOWN', syscall, errno } = cause as NodeJS.ErrnoException
    throw new OsError(`${host}: ${code} (${syscall})`, { code, syscall, osError: errno, cause })
  }
}

/** The address in one spelling, for comparing and showing: `::FFFF:127.0.0.1` is `127.0.0.1`. */
export function normalizeHost(host: string): string {
  const bytes = parseIp(host)
  return bytes === undefined ? host : formatIp(bytes)
}

interface Endpoint {
  readonly port: number
  readonly protocol: string
  readonly kind: Kind
  readonly bytes: IpBytes
}

const anyV6 = new Uint8Array(16)

function isRow(socket: Address | SocketRow): socket is SocketRow {
  return 'localPort' in socket
}

function isConnected(socket: Address | SocketRow): boolean {
  return isRow(socket) && socket.state !== 'listen' && socket.state !== 'bound'
}

function endpoints(option: string, socket: Address | SocketRow): readonly Endpoint[] {
  if (typeof socket !== 'object' || socket === null) throw invalidType(option, socket, 'an address or a socket')
  if (isRow(socket)) {
    if (socket.protocol === 'unix') return []
    const { localPort: port, localAddress, v6Only } = socket
    const protocol = socket.protocol.startsWith('udp') ? 'udp' : 'tcp'
    return [endpoint(port, protocol, parseIp(localAddress) ?? anyV6, v6Only)]
  }
  const { port, host, protocol = 'tcp', v6Only } = checkAddress(option, socket)
  return hostBytes(`${option}.host`, host).map((bytes) => endpoint(port, protocol, bytes, v6Only))
}

function hostBytes(option: string, host: string | undefined): readonly IpBytes[] {
  if (host === undefined) return [anyV6]
  const texts = host === 'localhost' ? ['127.0.0.1', '::1'] : [host]
  return texts.map((text) => {
    const bytes = parseIp(text)
    if (bytes === undefined)
      throw invalidRange(option, host, "an IP address or 'localhost'; names are not resolved here")
    return bytes
  })
}

function endpoint(port: number, protocol: string, bytes: IpBytes, v6Only: boolean | undefined): Endpoint {
  const wildcard = isWildcard(bytes)
  if (bytes.length === 4) return { port, protocol, bytes, kind: wildcard ? 'v4-any' : 'v4' }
  const any: Kind = v6Only === true ? 'v6-any' : 'dual'
  return { port, protocol, bytes, kind: wildcard ? any : 'v6' }
}

function meets(wanted: readonly Endpoint[], existing: readonly Endpoint[], table: BindRules['table']): boolean {
  return wanted.some((one) => existing.some((other) => meetsOne(one, other, table)))
}

function meetsOne(wanted: Endpoint, existing: Endpoint, table: BindRules['table']): boolean {
  if (wanted.port !== existing.port || wanted.protocol !== existing.protocol) return false
  const verdict = table[existing.kind][wanted.kind]
  return verdict === 'equal' ? sameIp(wanted.bytes, existing.bytes) : verdict
}
