import { randomUUID } from 'node:crypto'
import { createServer } from 'node:net'
import { type TakeoverReport, takeOverPorts } from '../../lib/takeover'
import { always, fateOf, local, takeOverEveryWay } from '../helpers/acts'
import { pxPath } from '../helpers/build-fixtures'
import { type Fixture, spawnFixture, spawnProgram } from '../helpers/fixture'
import { describeWhere, linux, root, testWhere } from '../helpers/guards'
import { livesByHand, pidsByHand, statByHand, uidsByHand } from '../helpers/proc-by-hand'
import { until } from '../helpers/until'
import { accepts, harmTo, witness } from '../helpers/witness'

const nobody = 65534

/** Fixtures with a marker of this test, and some without. */
function makeOurs() {
  const mark = randomUUID()
  const env = { ...process.env, PIDPROOF_TEST_MARK: mark }
  return { env, ours: { env: { PIDPROOF_TEST_MARK: mark } } }
}

const pidsOf = (fixtures: readonly Fixture[]) => fixtures.map(({ pid }) => pid)
const portsOf = (fixtures: readonly Fixture[]) => fixtures.map(({ port }) => port)

const allHeldBack = (fixtures: readonly Fixture[]) =>
  Object.fromEntries(fixtures.map(({ pid }) => [pid, 'all-or-nothing']))

function reasonsIn({ termination }: TakeoverReport): Record<number, string | undefined> {
  return Object.fromEntries((termination?.outcomes ?? []).map(({ identity, reason }) => [identity.pid, reason]))
}

/** Its one child, once that is nobody's. */
async function childOf(pid: number): Promise<number> {
  let child: number | undefined
  await until(`a child of pid ${pid} of another user`, () => {
    child = pidsByHand().find((one) => statByHand(one)?.ppid === pid)
    const uids = child === undefined ? undefined : uidsByHand(child)
    return uids !== undefined && 'value' in uids && uids.value.real === nobody
  })
  return child ?? 0
}

async function expectUntouched(fixtures: readonly Fixture[], before: ReturnType<typeof witness>): Promise<void> {
  expect(harmTo(before)).toEqual([])
  const accepted = await Promise.all(portsOf(fixtures).map((port) => accepts(port)))
  expect(accepted).toEqual(fixtures.map(() => true))
}

describeWhere([linux], 'nobody is signalled and all go on listening when a takeover meets', () => {
  const { env, ours } = makeOurs()
  let own: Fixture[]

  beforeEach(async () => {
    own = await Promise.all([1, 2, 3, 4].map(() => spawnFixture('+pgrp listen 127.0.0.1', { env })))
  })

  async function expectAllSpared(spoiler: Fixture, reason: string): Promise<void> {
    const all = [...own.slice(0, 2), spoiler, ...own.slice(2)]
    const before = witness(...pidsOf(all))
    for (const dryRun of [false, true]) {
      const taken = await takeOverEveryWay(local(...portsOf(all)), ours, { dryRun })
      for (const { pid } of all) expect(fateOf(pid, taken)).toEqual(always(`refused ${reason}`, taken))
    }
    await expectUntouched(all, before)
  }

  test('one port of somebody foreign among many', async () => {
    await expectAllSpared(await spawnFixture('+pgrp listen 127.0.0.1'), 'foreign-owner')
  })

  testWhere([root], 'one port of another user among many', async () => {
    const words = `+pgrp +gid=${nobody} +uid=${nobody} listen 127.0.0.1`
    await expectAllSpared(await spawnFixture(words, { env }), 'excluded-owner')
  })

  test('one port of the caller among many', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const before = witness(...pidsOf(own))
    const anybody = { test: ({ pid }: { pid: number }) => pid === process.pid || pidsOf(own).includes(pid) }
    const taken = await takeOverEveryWay(local(...portsOf(own), port), anybody)
    for (const { pid } of own) expect(fateOf(pid, taken)).toEqual(always('refused excluded-owner', taken))
    await expectUntouched(own, before)
    expect(await accepts(port)).toBe(true)
    server.close()
  })

  test('one holder that is not ours beside one that is, on the same port', async () => {
    const shared = await spawnFixture('+pgrp listen 127.0.0.1 0 reuseport', { env })
    const stranger = await spawnFixture(`+pgrp listen 127.0.0.1 ${shared.port} reuseport`)
    const all = [...own, shared, stranger]
    const before = witness(...pidsOf(all))
    const taken = await takeOverEveryWay(local(...portsOf([...own, shared])), ours)
    for (const { pid } of all) expect(fateOf(pid, taken)).toEqual(always('refused foreign-owner', taken))
    await expectUntouched(all, before)
  })

  test('two wanted addresses that can never both be bound', async () => {
    const [first] = own
    const before = witness(...pidsOf(own))
    const port = first?.port ?? 0
    const taken = await takeOverEveryWay([{ port, host: '127.0.0.1' }, { port, host: '0.0.0.0' }, port], ours)
    expect(fateOf(first?.pid ?? 0, taken)).toEqual(always('refused conflicting-addresses', taken))
    await expectUntouched(own, before)
  })

  testWhere([root], 'one member of another user in the group or tree of a holder', async () => {
    const script = `"$0" +gid=${nobody} +uid=${nobody} forever >/dev/null & exec "$0" listen 127.0.0.1`
    const holder = await spawnProgram(['sh', '-c', script, pxPath()], { env, detached: true })
    const member = await childOf(holder.pid)
    const before = witness(holder.pid, member, ...pidsOf(own))
    for (const scope of ['group', 'tree'] as const) {
      const call = takeOverPorts({ ports: local(...portsOf([...own, holder])), ours, scope })
      await expect(call).rejects.toMatchObject({ code: 'ERR_TAKEOVER_REFUSED', reason: 'excluded-owner' })
      const reasons = await call.catch(({ report }) => reasonsIn(report))
      expect(reasons).toEqual({ [member]: 'other-user', [holder.pid]: 'all-or-nothing', ...allHeldBack(own) })
    }
    await expectUntouched([...own, holder], before)
    process.kill(member, 'SIGKILL')
  })

  test('a dry run, and all of them are ended by the same call without it', async () => {
    const before = witness(...pidsOf(own))
    const rehearsed = await takeOverEveryWay(local(...portsOf(own)), ours, { dryRun: true })
    for (const { pid } of own) expect(fateOf(pid, rehearsed)).toEqual(always('alive, alive dry-run', rehearsed))
    await expectUntouched(own, before)
    const report = await takeOverPorts({ ports: local(...portsOf(own)), ours })
    expect(report.outcome).toBe('taken-over')
    expect(pidsOf(own).map(livesByHand)).toEqual(own.map(() => false))
  })
})
