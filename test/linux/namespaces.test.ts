import { identify, sameProcess, verify, verifySync } from '../../lib/identity'
import { listProcesses, readProcess } from '../../lib/process'
import { openProcess, signalProcess, signalProcessSync } from '../../lib/ref'
import { waitForExit } from '../../lib/wait'
import type { Identified } from '../fixtures/scenarios/identify'
import { spawnFixture } from '../helpers/fixture'
import { describeWhere, linux, pidNamespaces, testWhere, timeNamespaces } from '../helpers/guards'
import { livesByHand } from '../helpers/proc-by-hand'
import { inPidNamespace, inTimeNamespace } from '../helpers/scenario'

describeWhere([linux], 'records of other places', () => {
  testWhere([timeNamespaces], 'an identity made in a shifted time namespace is the one made outside', async () => {
    const fixture = await spawnFixture('forever')
    const outside = await identify(fixture.pid)
    const { startedAt } = await readProcess(fixture.pid, { fields: ['startedAt'] })
    for (const offset of [100_000, 86_400 * 365]) {
      const inside = await inTimeNamespace<Identified>(offset, 'identify', { input: fixture.pid })
      expect(inside.identity).toEqual(outside)
      expect(Math.abs(Date.parse(inside.startedAt ?? '') - (startedAt?.getTime() ?? 0))).toBeLessThan(100)
    }
  })

  testWhere([timeNamespaces], 'all fields are those of /proc in a shifted time namespace', async () => {
    const { mismatches } = await inTimeNamespace<{ mismatches: string[] }>(100_000, 'read-processes', { input: [] })
    expect(mismatches).toEqual([])
  })

  testWhere([pidNamespaces], 'a record from another pid namespace is elsewhere, and nobody is signalled', async () => {
    const { identity } = await inPidNamespace<Identified>('identify')
    // Whoever has that number here.
    const namesake = { ...identity, pid: (await spawnFixture('forever')).pid }
    for (const record of [identity, namesake]) {
      expect(await verify(record)).toBe('elsewhere')
      expect(verifySync(record)).toBe('elsewhere')
      const unsent = { delivered: false, outcome: 'elsewhere', atomic: null }
      expect(await signalProcess(record, 'SIGKILL')).toEqual(unsent)
      expect(signalProcessSync(record, 'SIGKILL')).toEqual(unsent)
      await expect(openProcess(record)).rejects.toMatchObject({ code: 'ENOTSUP' })
      await expect(waitForExit(record, { timeoutMs: 1000 })).rejects.toMatchObject({ code: 'ENOTSUP' })
    }
    expect(livesByHand(namesake.pid)).toBe(true)
  })

  test('a record from another boot is elsewhere, one of an unknown boot unknown, and nobody is signalled', async () => {
    const fixture = await spawnFixture('forever')
    const identity = await identify(fixture.pid)
    const earlier = { ...identity, boot: '00000000-0000-4000-8000-000000000000' }
    const undated = { ...identity, boot: '' }
    expect([await verify(earlier), verifySync(earlier)]).toEqual(['elsewhere', 'elsewhere'])
    expect([await verify(undated), verifySync(undated)]).toEqual(['unknown', 'unknown'])
    expect(await signalProcess(earlier, 'SIGKILL')).toMatchObject({ delivered: false, outcome: 'elsewhere' })
    expect(await signalProcess(undated, 'SIGKILL')).toMatchObject({ delivered: false, outcome: 'unknown' })
    await expect(openProcess(earlier)).rejects.toMatchObject({ code: 'ENOTSUP' })
    expect((await waitForExit(earlier, { timeoutMs: 1000 })).alreadyGone).toBe(true)
    await expect(waitForExit(undated, { timeoutMs: 1000 })).rejects.toMatchObject({ code: 'ENOTSUP' })
    expect([sameProcess(identity, earlier), sameProcess(identity, undated)]).toEqual(['different', 'unknown'])
    expect(await verify(identity)).toBe('running')
  })

  testWhere(
    [pidNamespaces],
    'a process of a namespace below ours is seen from here with a number of ours',
    async () => {
      const under = process.getuid?.() === 0 ? ['unshare', '-p', '-f'] : ['unshare', '-U', '-r', '-p', '-f']
      const fixture = await spawnFixture('forever nested', { under: [...under, '--kill-child'] })
      expect(fixture.pid).toBe(1)
      const [found] = await listProcesses({ where: { argv: ['forever', 'nested'], ppid: fixture.child.pid ?? 0 } })
      expect(found?.pid).toBeGreaterThan(1)
      expect(found && (await verify(found.identity))).toBe('running')
    },
  )
})
