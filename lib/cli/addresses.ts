import type { Address } from '../addresses'
import { checkPort } from '../options'
import { UsageError } from './answer'

/** Returns what a `<port>` argument names: `3000`, `127.0.0.1:3000`, `localhost:3000` or `[::1]:3000`. */
export function parseAddress(text: string, protocol: 'tcp' | 'udp'): Address {
  const match = /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?(\d+)$/.exec(text)
  if (!match) {
    throw new UsageError(
      `a port is a number from 1 to 65535, or host:port, or [ipv6]:port; received ${JSON.stringify(text)}`,
    )
  }
  const port = checkPort('the argument', Number(match[3]))
  const host = match[1] ?? match[2]
  return host === undefined ? { port, protocol } : { port, host, protocol }
}

/** Returns an address as people write it. */
export function addressText({ port, host, protocol }: Address): string {
  const at = host === undefined ? `${port}` : host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
  return protocol === 'udp' ? `udp ${at}` : at
}
