import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { waitForPortFree } from '../../lib/port-free'
import { type PortOwners, type PortSocket, portOwners } from '../../lib/port-owners'
import { listSockets } from '../../lib/sockets'
import type { Case } from './cases'
import { type Fixture, spawnFixture } from './fixture'
import { linuxAtLeast } from './guards'
import { socketsByHand, visibilityByHand } from './proc-by-hand'

const pidsOf = (sockets: readonly Pick<PortSocket, 'owners'>[]) =>
  sockets.map(({ owners }) => owners.map(({ pid }) => pid).sort((a, b) => a - b))

/** The one listener of a port and its owners. */
function theListener(found: PortOwners): PortSocket {
  assert.equal(found.listeners.length, 1)
  assert.equal(found.visibility, visibilityByHand())
  const [listener] = found.listeners
  assert.ok(listener)
  return listener
}

async function assertOwners(fixture: Fixture, pids: readonly number[], target = 'tcp'): Promise<PortSocket> {
  const found = await portOwners({ port: fixture.port, protocol: target === 'udp' ? 'udp' : 'tcp' })
  const listener = theListener(found)
  assert.deepEqual(pidsOf([listener]), [[...pids].sort((a, b) => a - b)])
  return listener
}

/** A server of this process. */
async function listenOn(host: string): Promise<{ server: Server; port: number }> {
  const server = createServer().listen(0, host)
  await once(server, 'listening')
  const address = server.address()
  return { server, port: typeof address === 'object' && address !== null ? address.port : 0 }
}

interface Listening {
  readonly address: string
  readonly protocol: string
  readonly localAddress: string
  readonly v6Only: boolean | undefined
}

const addresses: readonly Listening[] = [
  { address: 'any', protocol: 'tcp6', localAddress: '::', v6Only: false },
  { address: 'v6only', protocol: 'tcp6', localAddress: '::', v6Only: true },
  { address: '::1', protocol: 'tcp6', localAddress: '::1', v6Only: true },
  { address: '127.0.0.1', protocol: 'tcp', localAddress: '127.0.0.1', v6Only: undefined },
  { address: '0.0.0.0', protocol: 'tcp', localAddress: '0.0.0.0', v6Only: undefined },
]

export const socketCases: readonly Case[] = [
  ...addresses.map(({ address, protocol, localAddress, v6Only }) => ({
    title: `a listener on ${address} is found with its owner`,
    run: async ({ netlink }: { netlink: boolean }) => {
      const fixture = await spawnFixture(`listen ${address}`)
      const listener = await assertOwners(fixture, [fixture.pid])
      assert.deepEqual(
        { protocol: listener.protocol, localAddress: listener.localAddress, state: listener.state },
        { protocol, localAddress, state: 'listen' },
      )
      if (netlink) assert.equal(listener.v6Only, v6Only)
      assert.equal(socketsByHand(fixture.pid).has(listener.inode), true)
    },
  })),
  {
    title: 'two listeners that share a port are two rows with an owner each',
    run: async () => {
      const fixture = await spawnFixture('reuseport-pair 127.0.0.1')
      const { listeners } = await portOwners(fixture.port)
      const expected = [[fixture.pid], [fixture.pidOf('child')]]
      assert.deepEqual(pidsOf(listeners).sort(), expected.sort())
    },
  },
  {
    title: 'an inherited listener belongs to who inherited it, when its parent is dead',
    run: async () => {
      const fixture = await spawnFixture('inherit-listener any')
      await assertOwners(fixture, [fixture.pid])
    },
  },
  {
    title: 'a listener that was passed on belongs to who received it, and to the sender as long as it keeps it',
    run: async () => {
      const passed = await spawnFixture('pass-listener 127.0.0.1')
      await assertOwners(passed, [passed.pidOf('holder')])
      const kept = await spawnFixture('pass-listener 127.0.0.1 keep')
      await assertOwners(kept, [kept.pid, kept.pidOf('holder')])
    },
  },
  {
    title: 'a listener that only one thread has open is found',
    run: async () => {
      const fixture = await spawnFixture('thread-listener 127.0.0.1')
      await assertOwners(fixture, [fixture.pid])
    },
  },
  {
    title: 'a thread with descriptors of its own is a holder beside an ordinary one',
    run: async () => {
      const fixture = await spawnFixture('thread-listener 127.0.0.1 shared')
      await assertOwners(fixture, [fixture.pid, fixture.pidOf('child')])
    },
  },
  {
    title: 'a listener of a process whose first thread has ended is found',
    run: async () => {
      const shared = await spawnFixture('leader-exit listen')
      await assertOwners(shared, [shared.pid])
      const own = await spawnFixture('thread-listener 127.0.0.1 leader-exit')
      await assertOwners(own, [own.pid])
    },
  },
  {
    title: 'a stopped owner is an owner',
    run: async () => {
      const fixture = await spawnFixture('tree top(s:listen+stopped)')
      const found = await portOwners(Number(fixture.value('s-port')))
      assert.deepEqual(pidsOf(found.listeners), [[fixture.pidOf('s')]])
    },
  },
  {
    title: 'a UDP socket is found under its own protocol only',
    run: async () => {
      for (const address of ['127.0.0.1', 'any']) {
        const fixture = await spawnFixture(`udp ${address}`)
        const listener = await assertOwners(fixture, [fixture.pid], 'udp')
        assert.equal(listener.state, 'bound')
        assert.deepEqual((await portOwners(fixture.port)).listeners, [])
      }
    },
  },
  {
    title: 'a connected UDP socket is a connection',
    run: async () => {
      const server = await spawnFixture('udp 127.0.0.1')
      const client = await spawnFixture(`udp 127.0.0.1 connect=${server.port}`)
      const found = await portOwners({ port: client.port, protocol: 'udp' })
      assert.deepEqual(found.listeners, [])
      assert.deepEqual(
        found.others.map(({ role }) => role),
        ['connection'],
      )
      assert.deepEqual(pidsOf(found.others), [[client.pid]])
    },
  },
  {
    title: 'unix sockets are found by path and by abstract name',
    run: async () => {
      const name = `pidproof-${randomBytes(6).toString('hex')}`
      const path = join(tmpdir(), name)
      for (const [word, shown] of [
        [path, path],
        [`@${name}`, `\0${name}`],
      ] as const) {
        const fixture = await spawnFixture(['unix', word])
        const rows = await listSockets({ protocol: 'unix', owners: true })
        const listening = rows.filter((row) => row.path === shown && row.state === 'listen')
        assert.deepEqual(pidsOf(listening.map(({ owners = [] }) => ({ owners }))), [[fixture.pid]])
      }
      rmSync(path)
    },
  },
  {
    title: 'both ends of a connection are told from the listener',
    run: async () => {
      const server = await spawnFixture('listen 127.0.0.1 0 accept')
      const client = await spawnFixture(`client ${server.port}`)
      const away = await portOwners(client.port)
      assert.deepEqual(away.listeners, [])
      assert.deepEqual(
        away.others.map(({ role, state }) => [role, state]),
        [['connection', 'established']],
      )
      assert.deepEqual(pidsOf(away.others), [[client.pid]])
      const home = await portOwners(server.port)
      assert.deepEqual(pidsOf(home.listeners), [[server.pid]])
      assert.deepEqual(
        home.others.map(({ role, remotePort }) => [role, remotePort]),
        [['connection', client.port]],
      )
    },
  },
  {
    title: 'a connection that nobody accepted yet has no owner',
    run: async () => {
      const server = await spawnFixture('listen 127.0.0.1')
      await spawnFixture(`client ${server.port}`)
      const found = await portOwners(server.port)
      assert.deepEqual(pidsOf(found.listeners), [[server.pid]])
      assert.deepEqual(
        found.others.map(({ role, inode, owners }) => [role, inode, owners]),
        [['connection', '0', []]],
      )
    },
  },
  {
    title: 'a port that is only bound is held, and is no listener',
    run: async ({ netlink }) => {
      const fixture = await spawnFixture('bound 127.0.0.1 noreuse')
      const found = await portOwners(fixture.port)
      assert.deepEqual(found.listeners, [])
      assert.equal(found.boundVisible, netlink && linuxAtLeast(6, 8).isMet)
      if (found.boundVisible) {
        assert.deepEqual(
          found.others.map(({ role }) => role),
          ['bound'],
        )
        assert.deepEqual(pidsOf(found.others), [[fixture.pid]])
      }
      await assert.rejects(waitForPortFree({ port: fixture.port, host: '127.0.0.1' }, { timeoutMs: 0 }), {
        code: 'ETIMEDOUT',
      })
    },
  },
  {
    title: 'what a connection leaves behind is lingering and belongs to nobody',
    run: async () => {
      const fixture = await spawnFixture('lingering')
      const found = await portOwners(fixture.port)
      assert.deepEqual(found.listeners, [])
      assert.deepEqual(
        found.others.map(({ role, state, owners }) => [role, state, owners]),
        [['lingering', 'time-wait', []]],
      )
      assert.equal(found.visibility, 'complete')
    },
  },
  {
    title: 'an accepted connection belongs to the child that holds it',
    run: async () => {
      const fixture = await spawnFixture('accepted-child')
      const found = await portOwners(fixture.port)
      assert.deepEqual(found.listeners, [])
      const held = found.others.filter(({ inode }) => inode !== '0')
      assert.deepEqual(pidsOf(held), [[fixture.pidOf('child')]])
    },
  },
  {
    title: 'a host leaves out what cannot conflict with it',
    run: async () => {
      const fixture = await spawnFixture('listen 127.0.0.1')
      const countAt = async (host: string) => (await portOwners({ port: fixture.port, host })).listeners.length
      assert.deepEqual(
        await Promise.all(['127.0.0.1', '0.0.0.0', '::', '127.0.0.2', '::1'].map(countAt)),
        [1, 1, 1, 0, 0],
      )
    },
  },
  {
    title: 'the sockets of one process are those among its descriptors',
    run: async () => {
      const fixture = await spawnFixture('pass-listener 127.0.0.1 keep')
      const listed = await listSockets({ pid: fixture.pid })
      const byHand = socketsByHand(fixture.pid)
      assert.ok(listed.some(({ localPort, state }) => localPort === fixture.port && state === 'listen'))
      for (const { inode } of listed) assert.ok(byHand.has(inode))
      assert.deepEqual(new Set(listed.map(({ inode }) => inode)), byHand)
    },
  },
  {
    title: 'a port is free once its last owner has gone',
    run: async () => {
      const fixture = await spawnFixture('pass-listener 127.0.0.1 keep')
      const free = waitForPortFree({ port: fixture.port, host: '127.0.0.1' }, { timeoutMs: 10_000 })
      await fixture.end()
      await free
      assert.deepEqual((await portOwners(fixture.port)).listeners, [])
    },
  },
  {
    title: 'hundreds of listeners are listed, all of them',
    run: async () => {
      const servers = await Promise.all(Array.from({ length: 300 }, () => listenOn('127.0.0.1')))
      const listed = new Set(
        (await listSockets({ state: 'listen', pid: process.pid })).map(({ localPort }) => localPort),
      )
      const missing = servers.filter(({ port }) => !listed.has(port))
      for (const { server } of servers) server.close()
      assert.equal(missing.length, 0)
    },
  },
]
