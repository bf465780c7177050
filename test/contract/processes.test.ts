import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { allFields } from '../../lib/fields'
import { identify } from '../../lib/identity'
import { listProcesses, readProcess } from '../../lib/process'
import { ancestors, descendants } from '../../lib/relatives'
import type { ChurnReport } from '../fixtures/scenarios/churn'
import { compareOne, compareWithProc } from '../helpers/contract'
import { type Fixture, spawnFixture } from '../helpers/fixture'
import { describeWhere, linux, pidNamespaces, testWhere, tool } from '../helpers/guards'
import { statByHand, textOf } from '../helpers/proc-by-hand'
import { inPidNamespace } from '../helpers/scenario'

const hex = (text: string | Buffer) => Buffer.from(text).toString('hex')

/** Starts px with these bytes after `forever`, in this environment. */
function spawnRaw(extra: readonly (string | Buffer)[], env?: readonly (string | Buffer)[], cwd?: Buffer) {
  const list = (values: readonly (string | Buffer)[]) => values.map(hex).join(',')
  const words = ['px', 'forever', ...extra]
  return spawnFixture(['raw', cwd ? hex(cwd) : '-', env ? list(env) : '-', list(words)])
}

describeWhere([linux], 'processes, against /proc read by hand', () => {
  let folder: string

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'pidproof-'))
  })

  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('every field of every live process is what /proc says', async () => {
    await spawnFixture('tree top:deaf(leader:pgrp+exit(member),z:zombie,d:double(dd:setsid),s:stopped,l:listen)')
    await spawnFixture('leader-exit')
    const report = await compareWithProc()
    expect(report.mismatches).toEqual([])
    expect(report.compared).toBeGreaterThan(10)
    expect(report.seen).toMatchObject({ state: { value: report.compared }, group: { value: report.compared } })
  })

  test('every field is the same when processes are filtered', async () => {
    const uid = process.getuid?.() ?? 0
    const fixture = await spawnFixture('forever filtered')
    const report = await compareWithProc({ uid, argv: 'forever' })
    expect(report).toMatchObject({ mismatches: [] })
    expect(report.compared).toBeGreaterThan(0)
    const found = await listProcesses({ where: { argv: ['forever', ['forever', 'filtered']] } })
    expect(found.map(({ pid }) => pid)).toEqual([fixture.pid])
  })

  test('a thread is never taken for a process', async () => {
    const [thread] = readdirSync('/proc/self/task')
      .map(Number)
      .filter((id) => id !== process.pid)
    expect(thread).toBeDefined()
    await expect(identify(thread ?? 0)).rejects.toMatchObject({ code: 'ESRCH' })
    expect((await listProcesses()).map(({ pid }) => pid)).not.toContain(thread)
  })

  testWhere([tool('ps')], 'the figures are those of ps', async () => {
    const fixture = await spawnFixture('tree top(z:zombie,s:stopped,g:pgrp(gg:setsid))')
    const pids = Object.values(['z', 's', 'g', 'gg'].map((name) => fixture.pidOf(name)))
    const listed = await listProcesses({ fields: ['uid', 'state', 'group', 'name', 'title'], where: { pid: pids } })
    const format = 'pid=,ppid=,pgid=,sid=,ruid=,euid=,stat=,args='
    const shown = execFileSync('ps', ['-ww', '-o', format, '-p', pids.join(',')], { encoding: 'utf8' })
    const letters: Record<string, string> = { sleeping: 'S', stopped: 'T', zombie: 'Z' }
    const expected = listed.map(({ pid, ppid, pgid, sid, uid, euid, state = '', title, name }) =>
      [pid, ppid, pgid, sid, uid, euid, letters[state], title ?? `[${name}] <defunct>`].join(' '),
    )
    const rows = shown
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
    expect(rows.map((row) => [...row.slice(0, 6), row[6]?.[0], ...row.slice(7)].join(' '))).toEqual(expected)
  })

  test('the unique id is the inode of the pidfd', async () => {
    const fixture = await spawnFixture('forever')
    const inode = (await spawnFixture(`inode ${fixture.pid}`)).value('inode')
    const { unique } = await identify(fixture.pid)
    expect(unique ?? '0').toBe(inode)
    const [listed] = await listProcesses({ fields: ['unique'], where: { pid: fixture.pid } })
    expect(listed?.identity.unique).toBe(unique)
  })

  describe('odd processes', () => {
    test.each([
      ['what looks like the fields of stat', 'a) R 1\n('],
      ['a closing bracket at its end', 'x)'],
      ['nothing', ''],
      ['bytes that are not UTF-8', Buffer.from([0xff, 0x41, 0xc3, 0x28, 0xed, 0xa0, 0x80])],
    ])('a name of %s is read as it is', async (_, name) => {
      const fixture = await spawnFixture(`+name=${hex(name)} forever`)
      const info = await readProcess(fixture.pid, { fields: allFields })
      expect(info.name).toBe(textOf(Buffer.from(name)))
      expect(compareOne(info)).toEqual([])
    })

    test('empty arguments and newlines in arguments are kept', async () => {
      const fixture = await spawnRaw(['', 'a\nb', '', ' ', '\t'])
      expect((await readProcess(fixture.pid)).argv).toEqual(['px', 'forever', '', 'a\nb', '', ' ', '\t'])
      const { argv } = await readProcess((await spawnRaw([''])).pid)
      expect(argv).toEqual(['px', 'forever', ''])
    })

    test('bytes that are not UTF-8 are kept apart, as lone surrogates', async () => {
      const odd = Buffer.from([0x61, 0xff, 0xfe, 0xc3, 0xa4, 0xc0, 0x80, 0xf0, 0x9f, 0x98])
      const fixture = await spawnRaw(
        [odd],
        [Buffer.concat([Buffer.from('ODD='), odd]), Buffer.from([0xff, 0x3d, 0x31])],
      )
      const info = await readProcess(fixture.pid, { fields: ['argv', 'env', 'exe', 'cwd'] })
      const text = 'a\udcff\udcfe\u00e4\udcc0\udc80\udcf0\udc9f\udc98'
      expect(info.argv?.[2]).toBe(text)
      expect({ ...info.env }).toEqual({ ODD: text, '\udcff': '1' })
      expect(compareOne(await readProcess(fixture.pid, { fields: allFields }))).toEqual([])
      const where = { argv: text, env: { ODD: text, '\udcff': true } } as const
      expect((await listProcesses({ where })).map(({ pid }) => pid)).toEqual([fixture.pid])
    })

    test('a working directory and a program whose names are not UTF-8 are read as they are', async () => {
      const odd = join(folder, 'odd-\udcff')
      const bytes = Buffer.concat([Buffer.from(join(folder, 'odd-')), Buffer.from([0xff])])
      execFileSync('sh', ['-c', 'mkdir "$0/$(printf "odd-\\377")"', folder])
      const elsewhere = await spawnRaw([], undefined, bytes)
      expect((await readProcess(elsewhere.pid)).cwd).toBe(odd)
    })

    test('1.5 MB of environment and 300 arguments of a kilobyte are read whole', async () => {
      const env = Object.fromEntries(Array.from({ length: 15 }, (_, index) => [`BIG${index}`, 'x'.repeat(100_000)]))
      const fixture = await spawnFixture('forever', { env: { ...env, LAST: 'marker' } })
      const info = await readProcess(fixture.pid, { fields: ['env'] })
      expect({ ...info.env }).toEqual({ ...env, LAST: 'marker' })
      expect((await listProcesses({ where: { env: { LAST: 'marker' } } })).map(({ pid }) => pid)).toEqual([fixture.pid])
      const many = Array.from({ length: 300 }, (_, index) => `${index}`.padEnd(1024, '.'))
      const { argv } = await readProcess((await spawnFixture(['forever', ...many], { env: {} })).pid)
      expect(argv?.slice(2)).toEqual(many)
    })

    test('equal keys give the first value, entries without a key none, and __proto__ is a key', async () => {
      const fixture = await spawnRaw([], ['K=first', 'K=second', 'debris', '=x', 'EMPTY=', '__proto__=own', 'EQ=a=b'])
      const { env } = await readProcess(fixture.pid, { fields: ['env'] })
      expect(Object.getPrototypeOf(env)).toBeNull()
      expect(Object.entries(env ?? {})).toEqual([
        ['K', 'first'],
        ['EMPTY', ''],
        ['__proto__', 'own'],
        ['EQ', 'a=b'],
      ])
    })

    test('a process without arguments and environment has empty ones', async () => {
      const { env } = await readProcess((await spawnRaw([], [''])).pid, { fields: ['env'] })
      expect(Object.keys(env ?? { missing: true })).toEqual([])
    })

    test('rewritten arguments are read as the kernel shows them', async () => {
      for (const modifier of ['+title-keep=short', '+title-spill=a-title']) {
        const fixture = await spawnFixture([modifier, 'forever', 'and', 'more'], { env: { SPILL: 'x'.repeat(64) } })
        const info = await readProcess(fixture.pid, { fields: allFields })
        expect(info.title).toMatch(/^(short|a-title)/)
        expect(compareOne(info)).toEqual([])
      }
    })

    test('a deleted program is told from one that is called so', async () => {
      const path = join(folder, 'program')
      const deleted = await spawnFixture(['copy', path, '+unlink', 'forever'])
      expect(await readProcess(deleted.pid)).toMatchObject({ exe: path, exeDeleted: true })
      const named = join(folder, 'named (deleted)')
      const kept = await spawnFixture(['copy', named, 'forever'])
      expect(await readProcess(kept.pid)).toMatchObject({ exe: named, exeDeleted: false })
      const both = join(folder, 'both (deleted)')
      const gone = await spawnFixture(['copy', both, '+unlink', 'forever'])
      expect(await readProcess(gone.pid)).toMatchObject({ exe: both, exeDeleted: true })
      const found = await listProcesses({ where: { exe: ['program', 'both (deleted)'] }, fields: ['exe'] })
      expect(found.map(({ pid }) => pid).sort()).toEqual([deleted.pid, gone.pid].sort())
    })

    test('a program that is not a file has the name of its memory', async () => {
      const fixture = await spawnFixture('memfd volatile forever')
      expect(await readProcess(fixture.pid)).toMatchObject({ exe: '/memfd:volatile', exeDeleted: true })
    })

    test('a zombie has a state, a parent and a name, and nothing that needs memory', async () => {
      const fixture = await spawnFixture('tree top(z:zombie)')
      const info = await readProcess(fixture.pidOf('z'), { fields: allFields })
      expect(info).toMatchObject({ state: 'zombie', ppid: fixture.pid, name: 'z', argv: [], unreadable: {} })
      expect(info).toMatchObject({ exe: undefined, cwd: undefined, env: undefined, parent: { pid: fixture.pid } })
    })

    test('a process whose first thread has ended is alive and shows what it runs', async () => {
      const fixture = await spawnFixture('leader-exit')
      expect(statByHand(fixture.pid)).toMatchObject({ state: 'Z' })
      const info = await readProcess(fixture.pid, { fields: allFields })
      expect(info.state).not.toBe('zombie')
      expect(info.argv).toEqual([fixture.child.spawnargs[0], 'leader-exit'])
      expect(compareOne(info)).toEqual([])
      expect((await listProcesses({ where: { argv: 'leader-exit' } })).map(({ pid }) => pid)).toEqual([fixture.pid])
    })

    test('a deleted program is known as deleted when the first thread has ended', async () => {
      const path = join(folder, 'leaderless')
      const fixture = await spawnFixture(['copy', path, '+unlink', 'leader-exit'])
      expect(await readProcess(fixture.pid)).toMatchObject({ exe: path, exeDeleted: true })
    })

    test('a process that became another program keeps its identity', async () => {
      for (const verb of ['exec-on-stdin', 'exec-from-thread']) {
        const fixture: Fixture = await spawnFixture(`${verb} forever transformed`)
        const before = await identify(fixture.pid)
        fixture.tell('now')
        const second = await fixture.next()
        expect(second.pid).toBe(fixture.pid)
        const info = await readProcess(before)
        expect(info.identity).toEqual(before)
        expect(info.argv).toEqual(['px', 'forever', 'transformed'])
      }
    })
  })

  test('arguments and environment are of one program, however often it changes', async () => {
    const { pid } = await spawnFixture('flip')
    const seen = new Set<string>()
    for (let look = 0; look < 400; look += 1) {
      const info = await readProcess(pid, { fields: ['argv', 'env'] })
      const [argument = '', variable] = [info.argv?.[2], info.env?.FLIP]
      if (variable !== undefined) {
        expect([look, argument]).toEqual([look, variable])
        seen.add(argument)
      }
    }
    expect([...seen].sort()).toEqual(['heads', 'tails'])
  })

  testWhere(
    [pidNamespaces],
    'who lives throughout is listed in every scan exactly once, whatever forks meanwhile',
    async () => {
      const report = await inPidNamespace<ChurnReport>('churn', { pidMax: 4000 })
      expect(report).toMatchObject({ scans: 1000, missed: 0, repeated: 0 })
      expect(report.strangers).toBeGreaterThan(100)
    },
  )

  describe('relatives', () => {
    test('descendants are found through sessions and groups, and no longer once they belong to somebody else', async () => {
      const fixture = await spawnFixture('tree top(a(aa:setsid(aaa),ab:pgrp),b:double(bb),c:exit(cc))')
      const found = (await descendants(fixture.pid)).map(({ pid }) => pid)
      const named = (names: readonly string[]) => names.map((name) => fixture.pidOf(name))
      expect(found.sort()).toEqual(named(['a', 'aa', 'aaa', 'ab']).sort())
      expect((await descendants(fixture.pidOf('b'))).map(({ pid }) => pid)).toEqual(named(['bb']))
    })

    test('children of a second thread are descendants', async () => {
      const fixture = await spawnFixture('thread-child')
      expect((await descendants(fixture.pid)).map(({ pid }) => pid)).toEqual([fixture.pidOf('child')])
    })

    test('ancestors are the chain that stat tells', async () => {
      const fixture = await spawnFixture('tree top(a(aa))')
      const chain: number[] = []
      for (let pid = fixture.pidOf('aa'); ; pid = chain.at(-1) ?? 0) {
        const parent = statByHand(pid)?.ppid ?? 0
        if (parent === 0) break
        chain.push(parent)
      }
      expect((await ancestors(fixture.pidOf('aa'))).map(({ pid }) => pid)).toEqual(chain)
      expect(chain.slice(0, 3)).toEqual([fixture.pidOf('a'), fixture.pid, process.pid])
    })
  })
})
