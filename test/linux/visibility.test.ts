import { allFields } from '../../lib/fields'
import { identify, verify } from '../../lib/identity'
import { readProcess } from '../../lib/process'
import type { HiddenReport } from '../fixtures/scenarios/hidden'
import type { HidepidInput } from '../fixtures/scenarios/hidepid'
import type { ReadReport } from '../fixtures/scenarios/read-processes'
import { compareOne } from '../helpers/contract'
import { spawnFixture } from '../helpers/fixture'
import { describeWhere, linux, linuxAtLeast, otherUser, pidNamespaces, root, testWhere } from '../helpers/guards'
import { livesByHand } from '../helpers/proc-by-hand'
import { asUser, inPidNamespace } from '../helpers/scenario'

const nobody = 65534
const secret = { exe: 'denied', env: 'denied', cwd: 'denied' }

describeWhere([linux], 'what cannot be seen', () => {
  testWhere([root], 'fields that another user may not read are denied, the others are there', async () => {
    const others = await spawnFixture('forever secret')
    const own = await spawnFixture(`+gid=${nobody} +uid=${nobody} forever`)
    const otherGroup = await spawnFixture(`+gid=12345 +uid=${nobody} forever`)
    const undumpable = await spawnFixture(`+gid=${nobody} +uid=${nobody} +undumpable forever`)
    const input = [others, own, otherGroup, undumpable].map(({ pid }) => pid)
    const { mismatches, processes, listed } = await asUser<ReadReport>(nobody, nobody, 'read-processes', { input })
    expect(mismatches).toEqual([])
    expect(listed).toEqual(expect.arrayContaining(input))
    expect(processes).toMatchObject([
      { unreadable: secret, uid: 0, state: 'sleeping', argv: expect.arrayContaining(['secret']), user: 'root' },
      { unreadable: {}, uid: nobody },
      { unreadable: secret, uid: nobody },
      { unreadable: secret, uid: nobody },
    ])
  })

  testWhere([root], 'a process whose environment cannot be read is undecided, not a match and not a miss', async () => {
    const marker = { PIDPROOF_MARK: 'visibility' }
    const own = await spawnFixture(`+gid=${nobody} +uid=${nobody} forever`, { env: marker })
    const undumpable = await spawnFixture(`+gid=${nobody} +uid=${nobody} +undumpable forever`, { env: marker })
    const input = { uid: nobody, env: marker }
    const found = await asUser<{ listed: number[]; undecided: number[] }>(nobody, nobody, 'scan', { input })
    expect(found.listed).toEqual([own.pid])
    expect(found.undecided).toContain(undumpable.pid)
  })

  test('what an unreadable process of our own shows is what /proc shows', async () => {
    const fixture = await spawnFixture('+undumpable forever')
    expect(compareOne(await readProcess(fixture.pid, { fields: allFields }))).toEqual([])
  })

  testWhere([otherUser], 'what a process of another user shows is what /proc shows', async () => {
    expect(compareOne(await readProcess(1, { fields: allFields })).filter((text) => !/cpu|Bytes/.test(text))).toEqual(
      [],
    )
  })

  const hidepid: readonly (readonly [string, string[]])[] = [
    ['all that the kernel has', []],
    ['no pidfds', ['pidfd_open', 'pidfd_send_signal']],
    ['no pidfs inodes', ['pidfs']],
  ]
  for (const [title, without] of hidepid) {
    testWhere([root, pidNamespaces], `hidden processes are denied, never gone, with ${title}`, async () => {
      const modes = ['hidepid=0', 'hidepid=1', 'hidepid=2', ...(linuxAtLeast(5, 8).isMet ? ['hidepid=4'] : [])]
      const input: HidepidInput = { modes, without }
      const reports = await inPidNamespace<Record<string, HiddenReport>>('hidepid', { input })
      const open = { own: 'running', nobodys: 'ESRCH', owners: 0, visibility: 'partial' }
      expect(reports['hidepid=0']).toEqual({
        ...open,
        listsOthers: true,
        partial: false,
        identify: 'found',
        read: 'found',
        verify: 'running',
        signal: 'EPERM',
        ownUndumpable: 'running',
      })
      for (const mode of modes.slice(1)) {
        expect(reports[mode]).toMatchObject({
          ...open,
          listsOthers: false,
          partial: true,
          identify: 'EACCES',
          read: 'EACCES',
          ownUndumpable: 'EACCES',
        })
        // The unique id needs no /proc; without one it cannot be told who that is, and nobody is signalled.
        const isKnown = without.length === 0 && linuxAtLeast(6, 9).isMet
        expect(reports[mode]).toMatchObject({
          verify: isKnown ? 'running' : 'unknown',
          signal: isKnown ? 'EPERM' : 'unknown',
        })
      }
    })
  }

  testWhere(
    [pidNamespaces],
    'where /proc is that of another namespace, nothing is read and nobody signalled',
    async () => {
      const fixture = await spawnFixture('forever')
      const input = await identify(fixture.pid)
      const codes = await inPidNamespace<Record<string, string>>('foreign-proc', { proc: 'outer', input })
      const { processTable, ...rest } = codes
      expect(processTable).toBe('false')
      expect(rest).toEqual(Object.fromEntries(Object.keys(rest).map((name) => [name, 'ENOTSUP'])))
      expect(livesByHand(fixture.pid)).toBe(true)
      expect(await verify(input)).toBe('running')
    },
  )
})
