import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type ListenOptions, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { identify } from '../lib/identity'
import { waitForPortFree } from '../lib/port-free'
import { portOwners } from '../lib/port-owners'
import { listSockets, type SocketState } from '../lib/sockets'
import { FakeBinding } from './helpers/fake-binding'

const pidsOf = (owners: readonly { readonly pid: number }[] | undefined) => owners?.map(({ pid }) => pid)

describe('listSockets()', () => {
  function world(): FakeBinding {
    const fake = new FakeBinding()
    const [a, b] = [fake.add({ pid: 1000 }), fake.add({ pid: 1001 })]
    fake.addSocket({ localPort: 80, holders: [a.pid] })
    fake.addSocket({ protocol: 'tcp6', localPort: 80, v6Only: true, holders: [a.pid, b.pid] })
    fake.addSocket({ protocol: 'udp', localPort: 53, localAddress: '127.0.0.53', holders: [b.pid] })
    fake.addSocket({ protocol: 'unix', path: '\0abstract', state: 7, holders: [b.pid] })
    fake.addSocket({ state: 6, localPort: 80, remoteAddress: '10.0.0.1', remotePort: 5555, inode: 0n })
    return fake
  }

  test('returns one row a socket, in plain words', async () => {
    const fake = world()
    const rows = await listSockets({}, fake)
    expect(rows).toHaveLength(5)
    expect(rows[1]).toEqual({
      protocol: 'tcp6',
      state: 'listen',
      localAddress: '::',
      localPort: 80,
      remoteAddress: '::',
      remotePort: 0,
      v6Only: true,
      uid: 1000,
      inode: expect.stringMatching(/^\d+$/),
    })
    expect(rows[3]).toMatchObject({ protocol: 'unix', localAddress: '', path: '\0abstract', state: 'closed' })
    expect(rows[4]).toMatchObject({ state: 'time-wait', remoteAddress: '10.0.0.1', remotePort: 5555, inode: '0' })
  })

  test('an unconnected UDP socket is bound', async () => {
    const rows = await listSockets({ protocol: 'udp' }, world())
    expect(rows).toEqual([expect.objectContaining({ state: 'bound', localAddress: '127.0.0.53' })])
    expect(await listSockets({ state: 'bound' }, world())).toEqual(rows)
    expect(await listSockets({ state: 'closed' }, world())).toEqual([expect.objectContaining({ protocol: 'unix' })])
  })

  test.each<[string, object, number]>([
    ['a protocol', { protocol: 'tcp' }, 2],
    ['protocols', { protocol: ['tcp', 'tcp6'] }, 3],
    ['a state', { state: 'listen' }, 2],
    ['states', { state: ['listen', 'time-wait'] }, 3],
    ['a port', { port: 80 }, 3],
    ['port and state', { port: 80, state: 'time-wait' }, 1],
    ['a process', { pid: 1001 }, 3],
    ['no protocol', { protocol: [] }, 0],
    ['no state', { state: [] }, 0],
  ])('filters by %s: %j', async (_what, options, count) => {
    expect(await listSockets(options, world())).toHaveLength(count)
  })

  test('has the index of the interface that a socket is bound to', async () => {
    const fake = new FakeBinding()
    fake.addSocket({ localPort: 80, scopeId: 3 })
    expect(await listSockets({}, fake)).toEqual([expect.objectContaining({ scopeId: 3 })])
  })

  test('finds all owners when asked to, and looks at nobody otherwise', async () => {
    const fake = world()
    expect((await listSockets({ port: 80 }, fake))[0]).not.toHaveProperty('owners')
    expect(fake.calls.findSocketHolders).toBe(0)
    const rows = await listSockets({ port: 80, owners: true }, fake)
    expect(rows.map(({ owners }) => pidsOf(owners))).toEqual([[1000], [1000, 1001], []])
    expect(rows[0]?.owners).toEqual([fake.identity(1000)])
    expect(rows.map(({ visibility }) => visibility)).toEqual(['complete', 'complete', 'complete'])
  })

  test('says that there may be more owners, except of what nobody can hold', async () => {
    const fake = world()
    fake.add({ socketsHidden: true })
    const rows = await listSockets({ port: 80, owners: true }, fake)
    expect(rows.map(({ visibility }) => visibility)).toEqual(['partial', 'partial', 'complete'])
  })

  test('a process that is gone or refuses is an error, not an empty list', async () => {
    const fake = world()
    const closed = fake.add({ socketsHidden: true })
    await expect(listSockets({ pid: 9999 }, fake)).rejects.toMatchObject({ code: 'ESRCH' })
    await expect(listSockets({ pid: closed.pid }, fake)).rejects.toMatchObject({ code: 'EACCES' })
    fake.fail('listSockets', 'EMFILE')
    await expect(listSockets({}, fake)).rejects.toMatchObject({ code: 'EMFILE' })
    fake.fail('findSocketHolders', 'EMFILE')
    await expect(listSockets({ owners: true }, fake)).rejects.toMatchObject({ code: 'EMFILE' })
  })

  test('an abort meanwhile rejects with its reason', async () => {
    const fake = world()
    const controller = new AbortController()
    fake.before('listSockets', () => controller.abort('enough'))
    await expect(listSockets({ signal: controller.signal }, fake)).rejects.toBe('enough')
  })
})

describe('portOwners()', () => {
  test('of a free port looks at no process', async () => {
    const fake = new FakeBinding()
    expect(await portOwners(3000, {}, fake)).toEqual({
      port: 3000,
      listeners: [],
      others: [],
      visibility: 'complete',
      boundVisible: true,
    })
    expect(fake.calls).toMatchObject({ listSockets: 1, findSocketHolders: 0, scan: 0, readProcess: 0 })
  })

  test('tells listeners from what is bound, connected or left behind', async () => {
    const fake = new FakeBinding()
    const app = fake.add()
    const holders = [app.pid]
    const localAddress = '127.0.0.1'
    const localPort = 3000
    fake.addSocket({ localPort, holders })
    fake.addSocket({ localAddress, localPort, state: 12, holders })
    fake.addSocket({ localAddress, localPort, state: 1, remoteAddress: '127.0.0.1', remotePort: 4444, holders })
    fake.addSocket({ localAddress, localPort, state: 1, remoteAddress: '127.0.0.1', remotePort: 4445, inode: 0n })
    fake.addSocket({ localAddress, localPort, state: 5, remoteAddress: '127.0.0.1', remotePort: 4446, holders })
    fake.addSocket({ localAddress, localPort, state: 6, remoteAddress: '127.0.0.1', remotePort: 4447, inode: 0n })
    const found = await portOwners(3000, {}, fake)
    expect(found.listeners.map(({ role }) => role)).toEqual(['listener'])
    expect(found.others.map(({ role }) => role)).toEqual([
      'bound',
      'connection',
      'connection',
      'connection',
      'lingering',
    ])
    expect(found.listeners[0]?.owners).toEqual([fake.identity(app.pid)])
  })

  test('a UDP socket that receives from anybody is a listener, a connected one is not', async () => {
    const fake = new FakeBinding()
    const holders = [fake.add().pid]
    fake.addSocket({ protocol: 'udp', localPort: 3000, holders })
    fake.addSocket({ protocol: 'udp6', localPort: 3000, state: 1, remoteAddress: '::1', remotePort: 9, holders })
    fake.addSocket({ localPort: 3000, holders })
    const found = await portOwners({ port: 3000, protocol: 'udp' }, {}, fake)
    expect(found.listeners.map(({ protocol }) => protocol)).toEqual(['udp'])
    expect(found.others.map(({ role }) => role)).toEqual(['connection'])
  })

  test('finds every owner of a shared socket, each once', async () => {
    const fake = new FakeBinding()
    const parent = fake.add()
    const child = fake.fork(parent.pid)
    fake.addSocket({ localPort: 3000, holders: [parent.pid, child.pid, child.pid] })
    const { listeners, visibility } = await portOwners(3000, {}, fake)
    expect(listeners.map(({ owners }) => pidsOf(owners))).toEqual([[parent.pid, child.pid]])
    expect(visibility).toBe('complete')
  })

  test('an owner that cannot be seen makes it partial, never free', async () => {
    const fake = new FakeBinding()
    const closed = fake.add({ uid: 1001, socketsHidden: true })
    fake.addSocket({ localPort: 3000, holders: [closed.pid] })
    const found = await portOwners(3000, {}, fake)
    expect(found).toMatchObject({ visibility: 'partial', listeners: [{ owners: [] }] })
    expect((await portOwners(3001, {}, fake)).visibility).toBe('complete')
  })

  test('what nobody can hold leaves it complete', async () => {
    const fake = new FakeBinding()
    fake.add({ socketsHidden: true })
    fake.addSocket({ localPort: 3000, state: 6, inode: 0n })
    expect(await portOwners(3000, {}, fake)).toMatchObject({ visibility: 'complete', others: [{ role: 'lingering' }] })
    expect(fake.calls.findSocketHolders).toBe(0)
  })

  test.each<[string, string[]]>([
    ['127.0.0.1', ['0.0.0.0', '127.0.0.1', '::']],
    ['127.0.0.9', ['0.0.0.0', '::']],
    ['::1', ['::', '::1']],
    ['0.0.0.0', ['0.0.0.0', '127.0.0.1', '10.1.2.3', '::']],
    ['::', ['0.0.0.0', '127.0.0.1', '10.1.2.3', '::', '::1']],
  ])('with the host %s keeps the sockets that concern it', async (host, addresses) => {
    const fake = new FakeBinding()
    const holders = [fake.add().pid]
    for (const localAddress of ['0.0.0.0', '127.0.0.1', '10.1.2.3']) {
      fake.addSocket({ localAddress, localPort: 3000, holders })
    }
    for (const localAddress of ['::', '::1']) {
      fake.addSocket({ protocol: 'tcp6', localAddress, localPort: 3000, holders })
    }
    const { listeners } = await portOwners({ port: 3000, host }, {}, fake)
    expect(listeners.map(({ localAddress }) => localAddress)).toEqual(addresses)
  })

  test('a v6-only listener does not concern an IPv4 host', async () => {
    const fake = new FakeBinding()
    fake.addSocket({ protocol: 'tcp6', localPort: 3000, v6Only: true, holders: [fake.add().pid] })
    expect((await portOwners({ port: 3000, host: '127.0.0.1' }, {}, fake)).listeners).toEqual([])
  })

  test('a name is looked up, and all its addresses count', async () => {
    const fake = new FakeBinding()
    fake.addSocket({ localAddress: '127.0.0.1', localPort: 3000, holders: [fake.add().pid] })
    expect((await portOwners({ port: 3000, host: 'localhost' }, {}, fake)).listeners).toHaveLength(1)
    await expect(portOwners({ port: 3000, host: 'nobody.invalid' }, {}, fake)).rejects.toMatchObject({
      name: 'OsError',
    })
  })

  test('a socket that is closed during the search is not among them', async () => {
    const fake = new FakeBinding()
    const socket = fake.addSocket({ localPort: 3000, holders: [fake.add().pid] })
    fake.before('findSocketHolders', () => fake.closeSocket(socket))
    expect(await portOwners(3000, {}, fake)).toMatchObject({ listeners: [], visibility: 'complete' })
  })

  test('an inode number that went to another socket is not taken for the first', async () => {
    const fake = new FakeBinding()
    const [mine, other] = [fake.add(), fake.add()]
    const socket = fake.addSocket({ localAddress: '127.0.0.1', localPort: 3000, inode: 77n, holders: [mine.pid] })
    fake.before('findSocketHolders', () => {
      fake.closeSocket(socket)
      fake.addSocket({ localAddress: '127.0.0.2', localPort: 3000, inode: 77n, holders: [other.pid] })
    })
    const { listeners } = await portOwners(3000, {}, fake)
    expect(listeners).toEqual([
      expect.objectContaining({ localAddress: '127.0.0.2', owners: [fake.identity(other.pid)] }),
    ])
    expect(fake.calls.findSocketHolders).toBe(2)
  })

  test('sockets that keep turning up are listed without owners, and it is partial', async () => {
    const fake = new FakeBinding()
    const app = fake.add()
    fake.addSocket({ localAddress: '127.0.0.1', localPort: 3000, holders: [app.pid] })
    let last = 1
    fake.before(
      'findSocketHolders',
      () => {
        last += 1
        fake.addSocket({ localAddress: `127.0.0.${last}`, localPort: 3000, holders: [app.pid] })
      },
      { times: 100 },
    )
    const { listeners, visibility } = await portOwners(3000, {}, fake)
    expect(fake.calls.findSocketHolders).toBe(3)
    expect(listeners.map(({ owners }) => owners.length)).toEqual([1, 1, 1, 0])
    expect(visibility).toBe('partial')
  })

  test('tells whether bound sockets can be seen at all', async () => {
    const fake = new FakeBinding({ boundVisible: false })
    expect((await portOwners(3000, {}, fake)).boundVisible).toBe(false)
    expect((await portOwners({ port: 3000, protocol: 'udp' }, {}, fake)).boundVisible).toBe(true)
  })

  test.each(['listSockets', 'findSocketHolders'] as const)(
    '%s() that fails is an error, never "free"',
    async (method) => {
      const fake = new FakeBinding()
      fake.addSocket({ localPort: 3000, holders: [fake.add().pid] })
      fake.fail(method, 'EMFILE')
      await expect(portOwners(3000, {}, fake)).rejects.toMatchObject({ name: 'OsError', code: 'EMFILE' })
    },
  )

  test('an abort meanwhile rejects with its reason', async () => {
    const fake = new FakeBinding()
    const controller = new AbortController()
    fake.before('listSockets', () => controller.abort('enough'))
    await expect(portOwners(3000, { signal: controller.signal }, fake)).rejects.toBe('enough')
  })
})

describe('on this machine', () => {
  const servers: Server[] = []

  async function listen(options: ListenOptions): Promise<number> {
    const server = createServer()
    servers.push(server)
    server.listen({ ...options, port: options.port ?? 0 })
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }

  async function close(server: Server | undefined): Promise<void> {
    if (server === undefined) return
    server.close()
    await once(server, 'close')
  }

  afterEach(async () => {
    await Promise.all(servers.splice(0).map(close))
  })

  test.each<[string, ListenOptions, string, string]>([
    ['without host', {}, 'tcp6', '::'],
    ['on 127.0.0.1', { host: '127.0.0.1' }, 'tcp', '127.0.0.1'],
    ['on 0.0.0.0', { host: '0.0.0.0' }, 'tcp', '0.0.0.0'],
    ['on :: alone', { host: '::', ipv6Only: true }, 'tcp6', '::'],
  ])('a server %s is found with its owner', async (_what, options, protocol, localAddress) => {
    const port = await listen(options)
    const { listeners } = await portOwners(port)
    expect(listeners).toEqual([
      expect.objectContaining({ protocol, localAddress, localPort: port, state: 'listen', role: 'listener' }),
    ])
    expect(listeners[0]?.owners).toEqual([await identify(process.pid)])
    const isV6 = protocol === 'tcp6'
    expect(listeners[0]?.v6Only).toBe(isV6 ? options.ipv6Only === true : undefined)
  })

  test('both ends of a connection are told from the listener', async () => {
    const port = await listen({ host: '127.0.0.1' })
    const client = connect(port, '127.0.0.1')
    await once(client, 'connect')
    const { listeners, others } = await portOwners(port)
    expect(listeners).toHaveLength(1)
    expect(others).toEqual([expect.objectContaining({ role: 'connection', state: 'established' })])
    const ephemeral = await portOwners(client.localPort as number)
    expect(ephemeral.listeners).toEqual([])
    expect(ephemeral.others).toEqual([
      expect.objectContaining({ role: 'connection', remotePort: port, owners: [await identify(process.pid)] }),
    ])
    client.destroy()
    await once(client, 'close')
  })

  test('a UDP socket is found by its protocol', async () => {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    const { port } = socket.address()
    const { listeners } = await portOwners({ port, protocol: 'udp' })
    expect(listeners).toEqual([expect.objectContaining({ protocol: 'udp', localAddress: '127.0.0.1' })])
    expect(pidsOf(listeners[0]?.owners)).toEqual([process.pid])
    expect((await portOwners(port)).listeners).toEqual([])
    socket.close()
    await once(socket, 'close')
  })

  test('a unix socket is listed with its path', async () => {
    const path = join(tmpdir(), `pidproof-${process.pid}.sock`)
    const server = createServer()
    server.listen(path)
    await once(server, 'listening')
    const rows = await listSockets({ protocol: 'unix', pid: process.pid, state: 'listen' })
    expect(rows.map((row) => row.path)).toContain(path)
    await close(server)
  })

  test('a state asked for is the state that comes back', async () => {
    await listen({ host: '127.0.0.1' })
    const states: SocketState[] = ['listen']
    const rows = await listSockets({ state: states })
    expect(rows.length).toBeGreaterThan(0)
    expect(rows.every(({ state }) => state === 'listen')).toBe(true)
  })

  describe('waitForPortFree()', () => {
    test('of a free port resolves, and leaves it free', async () => {
      const port = await listen({})
      await close(servers.pop())
      await waitForPortFree(port, { timeoutMs: 0 })
      await waitForPortFree({ port, protocol: 'udp' }, { timeoutMs: 0 })
      await waitForPortFree({ port, host: 'localhost' }, { timeoutMs: 0 })
      expect((await portOwners(port)).listeners).toEqual([])
    })

    test('waits for an occupied one, and resolves soon after it is free', async () => {
      const port = await listen({ host: '127.0.0.1' })
      const waiting = waitForPortFree({ port, host: '127.0.0.1' }, { timeoutMs: 10_000 })
      const first = await Promise.race([waiting.then(() => 'free'), identify(process.pid).then(() => 'occupied')])
      expect(first).toBe('occupied')
      await close(servers.pop())
      await waiting
    })

    test('times out on one that stays occupied, without having connected to it', async () => {
      const port = await listen({ host: '127.0.0.1' })
      const connected = jest.fn()
      servers.at(-1)?.on('connection', connected)
      await expect(waitForPortFree({ port, host: '127.0.0.1' }, { timeoutMs: 60 })).rejects.toMatchObject({
        name: 'TimedOutError',
        code: 'ETIMEDOUT',
        survivors: [],
      })
      expect(connected).not.toHaveBeenCalled()
    })

    test('looks at the very address: another one of the same port is free', async () => {
      const port = await listen({ host: '127.0.0.1' })
      await waitForPortFree({ port, host: '127.0.0.2' }, { timeoutMs: 0 })
      await expect(waitForPortFree(port, { timeoutMs: 0 })).rejects.toMatchObject({ code: 'ETIMEDOUT' })
      await expect(waitForPortFree({ port, host: '0.0.0.0' }, { timeoutMs: 0 })).rejects.toMatchObject({
        code: 'ETIMEDOUT',
      })
      await waitForPortFree({ port, host: '::', v6Only: true }, { timeoutMs: 0 })
    })

    test('of UDP binds UDP', async () => {
      const socket = createSocket('udp4')
      socket.bind(0, '127.0.0.1')
      await once(socket, 'listening')
      const { port } = socket.address()
      await expect(waitForPortFree({ port, protocol: 'udp' }, { timeoutMs: 0 })).rejects.toMatchObject({
        code: 'ETIMEDOUT',
      })
      await waitForPortFree(port, { timeoutMs: 0 })
      socket.close()
      await once(socket, 'close')
      await waitForPortFree({ port, host: '127.0.0.1', protocol: 'udp' }, { timeoutMs: 0 })
    })

    test('does not wait for an address that is not of this machine', async () => {
      for (const protocol of ['tcp', 'udp'] as const) {
        const elsewhere = waitForPortFree({ port: 3999, host: '203.0.113.9', protocol })
        await expect(elsewhere).rejects.toMatchObject({ name: 'OsError', code: 'EADDRNOTAVAIL' })
      }
    })

    test('an abort ends the wait at once, with its reason', async () => {
      const port = await listen({ host: '127.0.0.1' })
      const controller = new AbortController()
      const waiting = waitForPortFree({ port, host: '127.0.0.1' }, { signal: controller.signal })
      await identify(process.pid)
      const began = performance.now()
      controller.abort('enough')
      await expect(waiting).rejects.toBe('enough')
      expect(performance.now() - began).toBeLessThan(1000)
    })
  })
})
