import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { portOwners } from '../../lib/port-owners'
import { listSockets } from '../../lib/sockets'
import { canHere } from '../helpers/cases'
import { spawnFixture } from '../helpers/fixture'
import { describeWhere, linux, pidNamespaces, root, testWhere, tool } from '../helpers/guards'
import { asUser } from '../helpers/scenario'
import { socketCases } from '../helpers/socket-cases'

const nobody = 65534

/** Listening TCP sockets as `inode port`, from the kernel's own text. */
function listenersByHand(): string[] {
  return ['tcp', 'tcp6'].flatMap((name) => {
    const [, ...lines] = readFileSync(`/proc/net/${name}`, 'latin1').trim().split('\n')
    return lines
      .map((line) => line.trim().split(/\s+/))
      .filter((columns) => columns[3] === '0A')
      .map((columns) => `${columns[9]} ${Number.parseInt(columns[1]?.split(':').at(-1) ?? '', 16)}`)
  })
}

async function listenersListed(): Promise<string[]> {
  const rows = await listSockets({ protocol: ['tcp', 'tcp6'], state: 'listen' })
  return rows.map(({ inode, localPort }) => `${inode} ${localPort}`)
}

describeWhere([linux], 'sockets of live processes', () => {
  test.each(socketCases)('$title', async ({ run }) => {
    await run(canHere())
  })

  test('the listeners are those of /proc/net', async () => {
    await spawnFixture('reuseport-pair any')
    expect((await listenersListed()).sort()).toEqual(listenersByHand().sort())
  })

  testWhere([tool('ss')], 'the listeners are those of ss', async () => {
    await spawnFixture('reuseport-pair any')
    const lines = execFileSync('ss', ['-Htlne'], { encoding: 'utf8' }).trim().split('\n')
    const shown = lines.map(
      (line) => `${/ino:(\d+)/.exec(line)?.[1]} ${line.trim().split(/\s+/)[3]?.split(':').at(-1)}`,
    )
    expect((await listenersListed()).sort()).toEqual(shown.sort())
  })

  test('a server of this process on no address is dual-stack and ours', async () => {
    const server: Server = createServer().listen(0)
    await once(server, 'listening')
    const address = server.address()
    const found = await portOwners(typeof address === 'object' ? (address?.port ?? 0) : 0)
    server.close()
    expect(found.listeners).toMatchObject([
      { protocol: 'tcp6', localAddress: '::', v6Only: false, owners: [{ pid: process.pid }] },
    ])
  })

  testWhere([pidNamespaces], 'a listener in another network namespace does not have our port', async () => {
    const users = root.isMet ? [] : ['-U', '-r']
    const fixture = await spawnFixture('listen 0.0.0.0', { under: ['unshare', ...users, '-n'] })
    expect(await portOwners(fixture.port)).toMatchObject({ listeners: [], others: [] })
  })

  testWhere([root], 'the user of a socket does not hide an owner who is another user', async () => {
    const fixture = await spawnFixture(`listen 127.0.0.1 0 chown=${nobody}`)
    const { listeners } = await portOwners(fixture.port)
    expect(listeners).toMatchObject([{ uid: nobody, owners: [{ pid: fixture.pid }] }])
  })

  testWhere([root], 'an owner who cannot be looked at leaves the answer partial, not empty', async () => {
    const fixture = await spawnFixture('listen 127.0.0.1')
    const found = await asUser<unknown>(nobody, nobody, 'port-owners', { input: fixture.port })
    expect(found).toMatchObject({ listeners: [{ owners: [] }], visibility: 'partial' })
    const own = await spawnFixture(`+gid=${nobody} +uid=${nobody} listen 127.0.0.1`)
    const ours = await asUser<unknown>(nobody, nobody, 'port-owners', { input: own.port })
    expect(ours).toMatchObject({ listeners: [{ owners: [{ pid: own.pid }] }] })
  })
})
