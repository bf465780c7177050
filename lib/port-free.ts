import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import { type Address, checkAddress, resolveAddress } from './addresses'
import { OsError, TimedOutError } from './errors'
import { checkAbortSignal, checkKeys, checkOptionalMs, throwIfAborted } from './options'

export interface PortFreeOptions {
  /** 0 tries once; left out there is no limit. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

const firstPauseMs = 10
const longestPauseMs = 100
/** Answers for one of several addresses of a name that this machine does not have. */
const notHere = ['EADDRNOTAVAIL', 'EAFNOSUPPORT']

/**
 * Waits until an address can be bound, by binding it: at once, then again after 10 to 100 ms. No connection is ever made
 * to it. The socket that proved it is closed before the promise resolves; somebody else may still be faster than you.
 *
 * @param target - The port, or an address. Every IP address of a name must be free.
 * @param options.timeoutMs - From the call on, by the monotonic clock.
 * @throws {TimedOutError} `ETIMEDOUT`: still occupied.
 * @throws {OsError} At once, with the code of bind(): `EACCES` for a privileged port, `EADDRNOTAVAIL` for a host that
 *   is not of this machine; or `ENOTFOUND` for a name without address.
 * @remarks Source — everywhere: bind() and listen() by node:net, bind() by node:dgram, sharing with no other worker.
 */
export async function waitForPortFree(target: number | Address, options: PortFreeOptions = {}): Promise<void> {
  const began = performance.now()
  const address = checkAddress(typeof target === 'number' ? 'port' : 'address', target)
  const given = checkKeys('options', options, ['timeoutMs', 'signal'], '')
  const timeoutMs = checkOptionalMs('timeoutMs', given.timeoutMs) ?? Number.POSITIVE_INFINITY
  const signal = checkAbortSignal('signal', given.signal)
  throwIfAborted(signal)
  const candidates = await resolveAddress(address)
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    throwIfAborted(signal)
    if (await canBindAll(candidates)) break
    const leftMs = timeoutMs - (performance.now() - began)
    if (leftMs <= 0) throw new TimedOutError(`port ${address.port}: still occupied after ${timeoutMs} ms`)
    await pause(Math.min(pauseMs, leftMs), signal)
  }
  throwIfAborted(signal)
}

/** Names may have addresses that this machine does not (::1 where IPv6 is off): those are nobody's to hold. */
async function canBindAll(candidates: readonly Address[]): Promise<boolean> {
  const absent: NodeJS.ErrnoException[] = []
  for (const candidate of candidates) {
    const error = await tryBind(candidate)
    if (error === undefined) continue
    if (error.code === 'EADDRINUSE') return false
    if (!notHere.includes(error.code ?? '')) throw bindError(candidate, error)
    absent.push(error)
  }
  const [first, candidate] = [absent[0], candidates[0]]
  if (first !== undefined && candidate !== undefined && absent.length === candidates.length) {
    throw bindError(candidate, first)
  }
  return true
}

function bindError({ port, host }: Address, cause: NodeJS.ErrnoException): OsError {
  const { code = 'EUNKNOWN', syscall, errno } = cause
  const at = host === undefined ? `port ${port}` : `${host} port ${port}`
  return new OsError(`${at}: ${code} (${syscall})`, { code, syscall, osError: errno, cause })
}

/** Binds and closes again; the error it met, if any. */
async function tryBind(address: Address): Promise<NodeJS.ErrnoException | undefined> {
  if (address.protocol !== 'udp') return tryListen(address)
  const { host, port, v6Only = false } = address
  if (host !== undefined) return tryDatagram(host.includes(':') ? 'udp6' : 'udp4', port, host, v6Only)
  const error = await tryDatagram('udp6', port, '::', v6Only)
  return notHere.includes(error?.code ?? '') ? tryDatagram('udp4', port, '0.0.0.0', false) : error
}

/** Without a host Node takes `::`, or 0.0.0.0 where there is no IPv6, as the server to come will. */
function tryListen({ port, host, v6Only = false }: Address): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', resolve)
    server.listen({ port, exclusive: true, ipv6Only: v6Only, ...(host !== undefined && { host }) }, () => {
      server.close(() => resolve(undefined))
    })
  })
}

function tryDatagram(
  type: 'udp4' | 'udp6',
  port: number,
  address: string,
  ipv6Only: boolean,
): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket({ type, ipv6Only })
    socket.once('error', (error) => socket.close(() => resolve(error)))
    socket.bind({ port, address, exclusive: true }, () => socket.close(() => resolve(undefined)))
  })
}

/** Ends early when aborted; the caller looks at the signal. */
function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal?.addEventListener('abort', done)
  })
}
