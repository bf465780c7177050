import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { networkInterfaces } from 'node:os'
import {
  type Address,
  addressesOverlap,
  type BindRules,
  bindConflict,
  checkAddress,
  linuxBindRules,
  normalizeHost,
  resolveAddress,
} from '../lib/addresses'
import { formatIp, parseIp } from '../lib/ip'
import type { SocketRow } from '../lib/socket-table'
import { describeWhere, linux } from './helpers/guards'

const hasIpv6 = {
  isMet: Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1')),
  reason: 'needs IPv6',
}

const row = (part: Partial<SocketRow>): SocketRow => ({
  protocol: 'tcp',
  state: 'listen',
  localAddress: '0.0.0.0',
  localPort: 3000,
  remoteAddress: '0.0.0.0',
  remotePort: 0,
  inode: '1',
  ...part,
})

describe('IP addresses', () => {
  test.each([
    ['0.0.0.0', '0.0.0.0'],
    ['127.0.0.1', '127.0.0.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0db8:0000:0000:0001:0000:0000:0000', '2001:db8:0:0:1::'],
    ['fe80::1%eth0', 'fe80::1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:C000:201', '192.0.2.1'],
  ])('%s is written %s', (text, canonical) => {
    expect(normalizeHost(text)).toBe(canonical)
  })

  test('16 bytes of a mapped address are shown as such', () => {
    const bytes = new Uint8Array(16)
    bytes.set([0xff, 0xff, 127, 0, 0, 1], 10)
    expect(formatIp(bytes)).toBe('::ffff:127.0.0.1')
  })

  test.each(['', 'localhost', '256.0.0.1', '1.2.3', ':::', '1::2::3', '127.0.0.1:80', '[::1]'])(
    '%j is none',
    (text) => {
      expect(parseIp(text)).toBeUndefined()
      expect(normalizeHost(text)).toBe(text)
    },
  )
})

const spots = {
  '0.0.0.0': { host: '0.0.0.0' },
  '127.0.0.1': { host: '127.0.0.1' },
  dual: { host: '::' },
  v6only: { host: '::', v6Only: true },
  '::1': { host: '::1' },
} as const satisfies Record<string, Partial<Address>>
type Spot = keyof typeof spots

/** os-reference D4, Linux TCP: rows are what listens, columns what is to be bound. */
const conflicts: Record<Spot, readonly Spot[]> = {
  '0.0.0.0': ['0.0.0.0', '127.0.0.1', 'dual'],
  '127.0.0.1': ['0.0.0.0', '127.0.0.1', 'dual'],
  dual: ['0.0.0.0', '127.0.0.1', 'dual', 'v6only', '::1'],
  v6only: ['dual', 'v6only', '::1'],
  '::1': ['dual', 'v6only', '::1'],
}
const names = Object.keys(spots) as Spot[]
const pairs = names.flatMap((existing) => names.map((wanted): [Spot, Spot] => [existing, wanted]))

describe('bindConflict() on Linux', () => {
  test.each(pairs)('existing %s, wanted %s', (existing, wanted) => {
    const conflict = conflicts[existing].includes(wanted)
    const held = { port: 3000, ...spots[existing] }
    const asked = { port: 3000, ...spots[wanted] }
    expect(bindConflict(asked, held)).toBe(conflict)
    expect(addressesOverlap(asked, held)).toBe(conflict)
    expect(addressesOverlap(held, asked)).toBe(conflict)
  })

  test('two addresses of one family do not meet', () => {
    expect(bindConflict({ port: 1, host: '127.0.0.1' }, { port: 1, host: '127.0.0.2' })).toBe(false)
    expect(bindConflict({ port: 1, host: '::1' }, { port: 1, host: '::2' })).toBe(false)
  })

  test('another port or another protocol is never in the way', () => {
    expect(bindConflict({ port: 1 }, { port: 2 })).toBe(false)
    expect(bindConflict({ port: 1 }, { port: 1, protocol: 'udp' })).toBe(false)
    expect(bindConflict({ port: 1, protocol: 'udp' }, { port: 1, protocol: 'udp' })).toBe(true)
  })

  test('no host is what server.listen(port) binds: both families', () => {
    for (const { host } of Object.values(spots)) expect(bindConflict({ port: 3000 }, { port: 3000, host })).toBe(true)
  })

  test('a mapped address is the IPv4 address it stands for', () => {
    expect(bindConflict({ port: 1, host: '::ffff:127.0.0.1' }, { port: 1, host: '127.0.0.1' })).toBe(true)
    expect(bindConflict({ port: 1, host: '::ffff:127.0.0.1' }, { port: 1, host: '::', v6Only: true })).toBe(false)
  })

  test('localhost is both loopback addresses', () => {
    expect(bindConflict({ port: 1, host: 'localhost' }, { port: 1, host: '127.0.0.1' })).toBe(true)
    expect(bindConflict({ port: 1, host: 'localhost' }, { port: 1, host: '::1' })).toBe(true)
    expect(bindConflict({ port: 1, host: 'localhost' }, { port: 1, host: '127.0.0.2' })).toBe(false)
  })

  test('rows of listSockets are taken as they are', () => {
    expect(bindConflict({ port: 3000 }, row({}))).toBe(true)
    expect(bindConflict({ port: 3000, host: '127.0.0.1' }, row({ localAddress: '127.0.0.2' }))).toBe(false)
    const v6 = row({ protocol: 'tcp6', localAddress: '::', v6Only: true })
    expect(bindConflict({ port: 3000, host: '127.0.0.1' }, v6)).toBe(false)
    expect(bindConflict({ port: 3000 }, row({ protocol: 'unix', localPort: 0, localAddress: '' }))).toBe(false)
    expect(bindConflict({ port: 3000, protocol: 'udp' }, row({ protocol: 'udp6', localAddress: '::' }))).toBe(true)
  })

  test('"::" of which v6-only is not known counts as taking IPv4', () => {
    const unknown = row({ protocol: 'tcp6', localAddress: '::', v6Only: undefined })
    expect(bindConflict({ port: 3000, host: '127.0.0.1' }, unknown)).toBe(true)
  })

  test.each(['established', 'time-wait', 'bound', 'close-wait'] as const)(
    'a socket in %s holds its port too',
    (state) => {
      const socket = row({ state, localAddress: '127.0.0.1', remoteAddress: '127.0.0.1', remotePort: 9 })
      expect(bindConflict({ port: 3000 }, socket)).toBe(true)
    },
  )

  test('an IPv4 connection of a dual-stack server is in the way of IPv4', () => {
    const connection = row({ protocol: 'tcp6', state: 'established', localAddress: '::ffff:127.0.0.1' })
    expect(bindConflict({ port: 3000, host: '127.0.0.1' }, connection)).toBe(true)
    expect(bindConflict({ port: 3000, host: '::1' }, connection)).toBe(false)
  })

  test('other rules can be handed in', () => {
    const tolerant: BindRules = {
      name: 'tolerant',
      connectionsHold: false,
      table: { ...linuxBindRules.table, 'v4-any': { ...linuxBindRules.table['v4-any'], v4: false } },
    }
    const loopback = { port: 3000, host: '127.0.0.1' }
    expect(bindConflict(loopback, row({}), tolerant)).toBe(false)
    expect(addressesOverlap(loopback, row({}))).toBe(true)
    expect(bindConflict({ port: 3000 }, row({ state: 'established' }), tolerant)).toBe(false)
    expect(bindConflict({ port: 3000 }, row({}), tolerant)).toBe(true)
  })

  test.each(['example.com', 'local host', '127.0.0.1:80'])('%j is not resolved: a RangeError', (host) => {
    for (const compare of [bindConflict, addressesOverlap]) {
      expect(() => compare({ port: 1, host }, { port: 1 })).toThrow(
        expect.objectContaining({ name: 'RangeError', code: 'ERR_INVALID_ARG' }),
      )
    }
  })
})

describeWhere([linux, hasIpv6], 'the Linux table, against bind() itself', () => {
  const servers: Server[] = []
  afterEach(async () => {
    await Promise.all(
      servers.splice(0).map(async (server) => {
        if (!server.listening) return
        server.close()
        await once(server, 'close')
      }),
    )
  })

  async function listen(address: Address | { port: 0; host: string; v6Only?: boolean }): Promise<number | string> {
    const server = createServer()
    servers.push(server)
    const { port, host = '::', v6Only = false } = address
    server.listen({ port, host, ipv6Only: v6Only, exclusive: true })
    try {
      await once(server, 'listening')
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? 'failed'
    }
    const bound = server.address()
    return typeof bound === 'object' && bound !== null ? bound.port : 'failed'
  }

  test.each(pairs)('existing %s, wanted %s', async (existing, wanted) => {
    const port = await listen({ port: 0, ...spots[existing] })
    if (typeof port === 'string') throw new Error(port)
    const conflict = bindConflict({ port, ...spots[wanted] }, { port, ...spots[existing] })
    // A conflict with somebody else's socket on the same port would be a different question.
    expect(await listen({ port, ...spots[wanted] })).toBe(conflict ? 'EADDRINUSE' : port)
  })
})

describe('checkAddress()', () => {
  test('makes an address of a port', () => {
    expect(checkAddress('address', 3000)).toEqual({ port: 3000 })
    expect(checkAddress('address', { port: 3000, host: undefined })).toEqual({ port: 3000 })
    const full = { port: 3000, host: 'example.com', protocol: 'udp', v6Only: true }
    expect(checkAddress('address', full)).toEqual(full)
  })

  test.each<[string, unknown, string]>([
    ['RangeError', 0, 'address'],
    ['RangeError', 65_536, 'address'],
    ['RangeError', Number.NaN, 'address'],
    ['TypeError', 'x', 'address'],
    ['TypeError', undefined, 'address'],
    ['TypeError', null, 'address'],
    ['TypeError', [], 'address'],
    ['TypeError', {}, 'address.port'],
    ['RangeError', { port: -1 }, 'address.port'],
    ['RangeError', { port: 1, host: '' }, 'address.host'],
    ['TypeError', { port: 1, host: 5 }, 'address.host'],
    ['RangeError', { port: 1, protocol: 'tcp6' }, 'address.protocol'],
    ['TypeError', { port: 1, v6Only: 'yes' }, 'address.v6Only'],
    ['TypeError', { port: 1, hostname: 'a' }, 'address.hostname'],
  ])('%s for %j, naming %s', (name, value, part) => {
    expect(() => checkAddress('address', value)).toThrow(
      expect.objectContaining({ name, code: 'ERR_INVALID_ARG', message: expect.stringContaining(`${part} must be`) }),
    )
  })
})

describe('resolveAddress()', () => {
  test('leaves addresses alone and looks names up', async () => {
    expect(await resolveAddress({ port: 1 })).toEqual([{ port: 1 }])
    expect(await resolveAddress({ port: 1, host: '::1' })).toEqual([{ port: 1, host: '::1' }])
    const found = await resolveAddress({ port: 1, host: 'localhost', protocol: 'udp' })
    expect(found.length).toBeGreaterThan(0)
    for (const address of found) {
      expect(address).toEqual({ port: 1, host: expect.stringMatching(/^(127\.0\.0\.1|::1)$/), protocol: 'udp' })
    }
  })

  test('a name without an address is the error of the resolver', async () => {
    await expect(resolveAddress({ port: 1, host: 'nobody.invalid' })).rejects.toMatchObject({
      name: 'OsError',
      code: expect.stringMatching(/^E/),
      syscall: 'getaddrinfo',
    })
  })
})
