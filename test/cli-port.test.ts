import { createServer } from 'node:net'
import { formatIdentity, identify } from '../lib/identity'
import { cli, cliJson } from './helpers/cli'
import { spawnFixture } from './helpers/fixture'
import { linuxAtLeast, root, testWhere } from './helpers/guards'

interface PortJson {
  readonly port: number
  readonly answer: string
  readonly visibility: string
  readonly listeners: readonly {
    readonly owners: readonly { readonly id: string; readonly argv?: readonly string[] }[]
  }[]
  readonly others: readonly { readonly role: string; readonly owners: readonly { readonly id: string }[] }[]
}

const nobody = { uid: 65534, gid: 65534 }

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

async function ask(port: number, options: object = {}, ...args: string[]): Promise<PortJson> {
  const { code, document } = await cliJson<{ ports: PortJson[] }>(['port', String(port), ...args], options)
  expect(code).toBe(0)
  expect(document).toMatchObject({ command: 'port', ok: true })
  const [answer] = document.ports
  if (answer === undefined) throw new Error('no answer')
  return answer
}

describe('port', () => {
  test('nobody has is free', async () => {
    const port = await freePort()
    expect(await ask(port)).toMatchObject({ port, protocol: 'tcp', answer: 'free', listeners: [], others: [] })
    expect((await cli(['port', String(port)])).stdout).toBe(`${port}  free: no socket has it\n`)
  })

  test('that a process listens on is held by it: which one, since when, and with which arguments', async () => {
    const fixture = await spawnFixture('listen 127.0.0.1')
    const id = formatIdentity(await identify(fixture.pid))
    const answer = await ask(fixture.port)
    expect(answer.answer).toBe('held')
    expect(answer.listeners.flatMap(({ owners }) => owners.map((owner) => owner.id))).toEqual([id])
    expect(answer.listeners[0]?.owners[0]?.argv?.slice(1)).toEqual(['listen', '127.0.0.1'])
    const { stdout } = await cli(['port', String(fixture.port)])
    expect(stdout).toContain(`${fixture.port}  held: 1 process listens\n`)
    expect(stdout).toContain(`${fixture.pid} px  listens on tcp 127.0.0.1:${fixture.port}\n`)
    expect(stdout).toContain(`identity  ${id}\n`)
    expect(stdout).toMatch(/since {5}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(.+ ago\)/)
    expect(stdout).toMatch(/command {3}\S+px listen 127\.0\.0\.1\n/)
  })

  testWhere([root], 'that another user has is held by somebody who cannot be seen, which is not free', async () => {
    const fixture = await spawnFixture('listen 127.0.0.1')
    const answer = await ask(fixture.port, nobody)
    expect(answer).toMatchObject({ answer: 'invisible', visibility: 'partial' })
    expect(answer.listeners.map(({ owners }) => owners)).toEqual([[]])
    const { stdout } = await cli(['port', String(fixture.port)], nobody)
    expect(stdout).toMatch(/^\d+ {2}held by somebody this user cannot see/)
    expect(stdout).toContain('made by user id 0')
    expect(stdout).toContain('ask as that user or as root')
    expect(stdout).not.toMatch(/\bfree: /)
  })

  testWhere([linuxAtLeast(6, 8)], 'that is bound without listening is not free', async () => {
    const fixture = await spawnFixture('bound 127.0.0.1')
    const answer = await ask(fixture.port)
    expect(answer.answer).toBe('bound')
    expect(answer.others.map(({ role }) => role)).toEqual(['bound'])
    expect((await cli(['port', String(fixture.port)])).stdout).toContain('has bound tcp')
  })

  test('that is the local end of a connection is told apart from one that is listened on', async () => {
    const server = await spawnFixture('listen 127.0.0.1')
    const client = await spawnFixture(`client ${server.port}`)
    expect((await ask(client.port)).answer).toBe('connection')
    const { stdout } = await cli(['port', String(client.port)])
    expect(stdout).toContain('it is the local end of a connection')
    expect(stdout).toContain(`to 127.0.0.1:${server.port}`)
  })

  test('that a past connection still has is held by nobody', async () => {
    const fixture = await spawnFixture('lingering')
    const answer = await ask(fixture.port)
    expect(answer.answer).toBe('lingering')
    expect((await cli(['port', String(fixture.port)])).stdout).toContain('not held by anybody')
  })

  test('has all its owners listed', async () => {
    const fixture = await spawnFixture('reuseport-pair 127.0.0.1')
    const ids = await Promise.all(
      [fixture.pid, fixture.pidOf('child')].map(async (pid) => formatIdentity(await identify(pid))),
    )
    const { listeners } = await ask(fixture.port)
    expect(listeners.flatMap(({ owners }) => owners.map(({ id }) => id)).sort()).toEqual(ids.sort())
    expect((await cli(['port', String(fixture.port)])).stdout).toContain('held: 2 processes listen')
  })

  test('of UDP is another one than that of TCP', async () => {
    const fixture = await spawnFixture('udp 127.0.0.1')
    expect((await ask(fixture.port, {}, '--udp')).answer).toBe('held')
    expect((await ask(fixture.port)).answer).toBe('free')
  })

  test('with --free ends with 1 unless all are free', async () => {
    const fixture = await spawnFixture('listen 127.0.0.1')
    const port = await freePort()
    expect((await cli(['port', '--free', String(port)])).code).toBe(0)
    expect((await cli(['port', '--free', String(port), String(fixture.port)])).code).toBe(1)
    expect((await cliJson(['port', '--free', `127.0.0.1:${fixture.port}`])).document.ok).toBe(false)
    expect((await cli(['port', '--free', `[::1]:${fixture.port}`])).code).toBe(0)
  })
})
