import { allFields, type Field } from '../lib/fields'
import { fieldBits } from '../lib/native'
import { listProcesses, listProcessesSync, readProcess, scan, scanSync } from '../lib/process'
import { compileFilter } from '../lib/process-filter'
import { decodeTable } from '../lib/process-table'
import { ancestors, descendants } from '../lib/relatives'
import { FakeBinding } from './helpers/fake-binding'

const pidsOf = (processes: readonly { readonly pid: number }[]) => processes.map(({ pid }) => pid)

describe('listProcesses()', () => {
  test('returns name and argv by default, identity and parent always, in ascending order', async () => {
    const fake = new FakeBinding({ bare: true })
    fake.add({ pid: 30, ppid: 20, name: 'b', argv: ['b', '--x'] })
    fake.add({ pid: 20, ppid: 0, name: 'a' })
    expect(await listProcesses({}, fake)).toEqual([
      {
        pid: 20,
        identity: { ...fake.identity(20), unique: null },
        ppid: 0,
        isKernelThread: false,
        unreadable: {},
        name: 'a',
        argv: ['a'],
      },
      {
        pid: 30,
        identity: { ...fake.identity(30), unique: null },
        ppid: 20,
        isKernelThread: false,
        unreadable: {},
        name: 'b',
        argv: ['b', '--x'],
      },
    ])
  })

  test('rows have exactly the fields that were asked for', async () => {
    const fake = new FakeBinding()
    const base = ['pid', 'identity', 'ppid', 'isKernelThread', 'unreadable']
    const [bare] = await listProcesses({ fields: [] }, fake)
    expect(Object.keys(bare ?? {})).toEqual(base)
    const [some] = await listProcesses({ fields: ['group', 'state'] }, fake)
    expect(Object.keys(some ?? {}).sort()).toEqual([...base, 'pgid', 'sid', 'state'].sort())
  })

  test('a bare list carries no unique ids; asked for, or with a filter, they are there', async () => {
    const fake = new FakeBinding()
    const { unique } = fake.identity(400)
    const uniqueOf = async (options: Parameters<typeof listProcesses>[0]) =>
      (await listProcesses(options, fake)).find(({ pid }) => pid === 400)?.identity.unique
    expect(await uniqueOf({})).toBeNull()
    expect(await uniqueOf({ fields: ['unique'] })).toBe(unique)
    expect(await uniqueOf({ where: { pid: 400 } })).toBe(unique)
  })

  test('decodes every field', async () => {
    const fake = new FakeBinding({ bare: true })
    fake.add({ pid: 10, ppid: 0 })
    fake.add({
      pid: 11,
      ppid: 10,
      pgid: 7,
      sid: 8,
      name: 'app',
      exe: '/opt/app',
      exeDeleted: true,
      argv: ['app', '', 'a b\n'],
      env: { A: '1', B: 'x=y' },
      cwd: '/srv',
      uid: 1000,
      euid: 1000,
      user: 'ada',
      state: 'T',
      startedAtMs: 1_700_000_000_123,
      cpuUserMs: 12,
      cpuSystemMs: 34,
      residentBytes: 4096,
      virtualBytes: 2 ** 40,
      title: 'app  a b',
    })
    const [info] = await listProcesses({ fields: allFields, where: { pid: 11 } }, fake)
    expect(info).toEqual({
      pid: 11,
      identity: fake.identity(11),
      ppid: 10,
      isKernelThread: false,
      unreadable: {},
      name: 'app',
      exe: '/opt/app',
      exeDeleted: true,
      argv: ['app', '', 'a b\n'],
      env: { A: '1', B: 'x=y' },
      cwd: '/srv',
      uid: 1000,
      euid: 1000,
      user: 'ada',
      state: 'stopped',
      parent: fake.identity(10),
      pgid: 7,
      sid: 8,
      startedAt: new Date(1_700_000_000_123),
      cpu: { userMs: 12, systemMs: 34 },
      memory: { residentBytes: 4096, virtualBytes: 2 ** 40 },
      title: 'app  a b',
    })
  })

  test.each([
    ['R', 'running'],
    ['S', 'sleeping'],
    ['D', 'uninterruptible'],
    ['T', 'stopped'],
    ['t', 'traced'],
    ['Z', 'zombie'],
    ['I', 'idle'],
    ['X', 'dead'],
    ['?', 'unknown'],
  ] as const)('state letter %s is %s', async (state, name) => {
    const fake = new FakeBinding({ bare: true })
    fake.add({ state })
    expect(await listProcesses({ fields: ['state'] }, fake)).toEqual([expect.objectContaining({ state: name })])
  })

  test('the four ways to be without a value are four different answers', async () => {
    const fake = new FakeBinding({ bare: true })
    fake.add({
      missing: { exe: 'denied', cwd: 'gone', memory: 'unsupported', user: 'none', argv: 'none', env: 'none' },
    })
    const [info] = await listProcesses({ fields: allFields }, fake)
    expect(info).toMatchObject({ exe: undefined, cwd: undefined, memory: undefined, user: undefined, env: undefined })
    expect(info?.unreadable).toEqual({ exe: 'denied', cwd: 'gone', memory: 'unsupported' })
    expect(info?.argv).toEqual([])
  })

  test('arguments that are denied are not an empty list', async () => {
    const fake = new FakeBinding({ bare: true })
    fake.add({ missing: { argv: 'denied' } })
    const [info] = await listProcesses({}, fake)
    expect(info?.argv).toBeUndefined()
    expect(info?.unreadable).toEqual({ argv: 'denied' })
  })

  test('reasons are given for the fields asked for only', async () => {
    const fake = new FakeBinding({ bare: true })
    fake.add({ missing: { exe: 'denied', unique: 'unsupported' } })
    const [listed] = await listProcesses({ fields: ['name'] }, fake)
    const [filtered] = await listProcesses({ fields: ['name'], where: { uid: 1000 } }, fake)
    expect(listed?.unreadable).toEqual({})
    expect(filtered?.unreadable).toEqual({})
  })

  test('a kernel thread is marked and has neither arguments nor an executable', async () => {
    const fake = new FakeBinding()
    const [thread] = await listProcesses({ fields: ['exe', 'argv', 'env'], where: { pid: 2 } }, fake)
    expect(thread).toMatchObject({ isKernelThread: true, argv: [], exe: undefined, env: undefined, unreadable: {} })
  })

  test('other users keep their program, folder and environment to themselves, but not their arguments', async () => {
    const fake = new FakeBinding({ uid: 1000 })
    const theirs = fake.add({ uid: 1001, argv: ['secret'] })
    const [info] = await listProcesses({ fields: ['exe', 'argv', 'env', 'cwd'], where: { pid: theirs.pid } }, fake)
    expect(info).toMatchObject({ argv: ['secret'], unreadable: { exe: 'denied', env: 'denied', cwd: 'denied' } })
  })

  test('the environment has no prototype, the first of equal keys, and nothing without "="', async () => {
    const fake = new FakeBinding({ bare: true })
    fake.add({ env: ['A=1', 'A=2', 'debris', '=C:=x', '__proto__=y', 'EMPTY=', 'toString=z'] })
    const [info] = await listProcesses({ fields: ['env'] }, fake)
    expect(Object.getPrototypeOf(info?.env)).toBeNull()
    expect(Object.entries(info?.env ?? {})).toEqual([
      ['A', '1'],
      ['__proto__', 'y'],
      ['EMPTY', ''],
      ['toString', 'z'],
    ])
  })

  test('identities are frozen', async () => {
    const fake = new FakeBinding()
    const processes = await listProcesses({ fields: ['parent'] }, fake)
    expect(processes.every(({ identity }) => Object.isFrozen(identity))).toBe(true)
    expect(processes.every(({ parent }) => parent === undefined || Object.isFrozen(parent))).toBe(true)
  })

  test('a failed scan is an error and not a short list', async () => {
    const fake = new FakeBinding()
    fake.fail('scan', 'EMFILE')
    fake.fail('scanSync', 'ENFILE')
    await expect(listProcesses({}, fake)).rejects.toMatchObject({ name: 'OsError', code: 'EMFILE' })
    expect(() => listProcessesSync({}, fake)).toThrow(expect.objectContaining({ code: 'ENFILE' }))
  })

  test('an abort before the scan reads nothing, one meanwhile throws the rows away', async () => {
    const fake = new FakeBinding()
    const reason = new Error('enough')
    await expect(listProcesses({ signal: AbortSignal.abort(reason) }, fake)).rejects.toBe(reason)
    expect(fake.touched()).toBe(0)
    const controller = new AbortController()
    fake.before('scan', () => controller.abort(reason))
    await expect(listProcesses({ signal: controller.signal }, fake)).rejects.toBe(reason)
    expect(fake.calls.scan).toBe(1)
  })

  test('the synchronous twin returns the same', async () => {
    const fake = new FakeBinding()
    const options = { fields: allFields, where: { uid: 1000 } }
    expect(listProcessesSync(options, fake)).toEqual(await listProcesses(options, fake))
  })

  test('5,000 rows are decoded within a few milliseconds', () => {
    const fake = new FakeBinding()
    for (let count = 0; count < 5000; count += 1) fake.add({ argv: ['node', 'server.js', '--port', String(count)] })
    const answer = fake.scanSync(fieldBits.name | fieldBits.argv, {})
    if (!answer.ok) throw new Error(answer.code)
    const here = { boot: 'b', namespace: '1', pid: 1, uid: 0, euid: 0 }
    const times = Array.from({ length: 11 }, () => {
      const began = performance.now()
      decodeTable(answer.value, ['name', 'argv'], here)
      return performance.now() - began
    })
    const best = Math.min(...times)
    expect(best).toBeLessThan(20)
  })
})

describe('scan()', () => {
  test('tells whom it could not decide about, and that some are hidden', async () => {
    const fake = new FakeBinding({ uid: 1000 })
    const mine = fake.add({ env: { APP: 'x' } })
    const closed = fake.add({ missing: { env: 'denied' } })
    fake.add({ missing: { env: 'denied' }, hidden: true })
    const found = await scan({ where: { uid: 1000, env: { APP: 'x' } } }, fake)
    expect(pidsOf(found.processes)).toEqual([mine.pid])
    expect(found.undecided).toContain(closed.pid)
    expect(found.partial).toBe(true)
    expect(scanSync({ where: { uid: 1000, env: { APP: 'x' } } }, fake)).toEqual(found)
  })

  test('tells who lives in a namespace below ours, where that is asked', async () => {
    const fake = new FakeBinding()
    const inner = fake.add({ nested: true })
    expect((await scan({ nested: true }, fake)).nested).toEqual(new Set([inner.pid]))
    expect((await scan({}, fake)).nested.size).toBe(0)
  })
})

describe('where', () => {
  /** Four processes, seen by somebody who may read everything. */
  function world(): FakeBinding {
    const fake = new FakeBinding({ bare: true, uid: 0 })
    const uid = 1000
    const exe = '/opt/x/bin/node'
    fake.add({ pid: 1, ppid: 0, exe: '/sbin/init', name: 'init' })
    fake.add({ pid: 10, ppid: 1, uid, pgid: 10, sid: 10, exe, argv: ['node', '-m', 'app'], env: { A: '1' } })
    fake.add({ pid: 11, ppid: 10, uid, pgid: 10, sid: 10, exe, argv: ['node', 'app', '-m'], env: { A: '2' } })
    fake.add({ pid: 12, ppid: 10, uid, pgid: 12, sid: 12, exe: '/bin/xnode', argv: ['a b', ''], env: ['A=1', 'B='] })
    return fake
  }

  test.each<[string, object, number[]]>([
    ['one pid', { pid: 10 }, [10]],
    ['several pids', { pid: [10, 12, 99] }, [10, 12]],
    ['no pid at all', { pid: [] }, []],
    ['a parent', { ppid: 10 }, [11, 12]],
    ['no visible parent', { ppid: 0 }, [1]],
    ['a group', { pgid: 10 }, [10, 11]],
    ['sessions', { sid: [12, 13] }, [12]],
    ['a user', { uid: 0 }, [1]],
    ['the name of an executable', { exe: 'node' }, [10, 11]],
    ['the end of a path by whole components', { exe: 'bin/node' }, [10, 11]],
    ['a whole path, or another', { exe: ['/bin/xnode', '/bin/node'] }, [12]],
    ['no executable at all', { exe: [] }, []],
    ['one argument', { argv: '-m' }, [10, 11]],
    ['an argument with a blank', { argv: 'a b' }, [12]],
    ['an empty argument', { argv: '' }, [12]],
    ['several arguments in any order', { argv: ['app', '-m'] }, [10, 11]],
    ['a sequence of arguments', { argv: [['-m', 'app']] }, [10]],
    ['an argument and a sequence', { argv: ['node', ['app', '-m']] }, [11]],
    ['no argument at all', { argv: [] }, []],
    ['a variable', { env: { A: true } }, [10, 11, 12]],
    ['the value of a variable', { env: { A: '1' } }, [10, 12]],
    ['variables, one of them empty', { env: { A: '1', B: '' } }, [12]],
    ['several parts', { ppid: 10, exe: 'node', uid: 1000 }, [11]],
    ['a start in the past', { startedAfter: new Date(0) }, [1, 10, 11, 12]],
    ['a start before all of them', { startedBefore: new Date(0) }, []],
    ['a part that is undefined', { pid: undefined, ppid: 10 }, [11, 12]],
    ['nothing', {}, [1, 10, 11, 12]],
  ])('by %s: %j', async (_what, where, pids) => {
    expect(pidsOf(await listProcesses({ where }, world()))).toEqual(pids)
  })

  test.each<[string, unknown, string]>([
    ['TypeError', { xyz: 1 }, 'where.xyz must be left out'],
    ['TypeError', 5, 'where must be an object'],
    ['TypeError', [], 'where must be an object'],
    ['TypeError', null, 'where must be an object'],
    ['RangeError', { pid: 0 }, 'where.pid must be'],
    ['TypeError', { pid: '7' }, 'where.pid must be'],
    ['TypeError', { pid: null }, 'where.pid must be'],
    ['RangeError', { pid: [1, -1] }, 'where.pid[1] must be'],
    ['RangeError', { ppid: 1.5 }, 'where.ppid must be'],
    ['RangeError', { pgid: -1 }, 'where.pgid must be'],
    ['TypeError', { sid: {} }, 'where.sid must be'],
    ['RangeError', { uid: -1 }, 'where.uid must be'],
    ['RangeError', { exe: '' }, 'where.exe must be'],
    ['TypeError', { exe: [5] }, 'where.exe[0] must be'],
    ['RangeError', { exe: 'a\0b' }, 'where.exe must be'],
    ['TypeError', { argv: 5 }, 'where.argv must be'],
    ['TypeError', { argv: ['a', 5] }, 'where.argv[1] must be'],
    ['RangeError', { argv: [[]] }, 'where.argv[0] must be'],
    ['TypeError', { argv: [['a', null]] }, 'where.argv[0][1] must be'],
    ['RangeError', { argv: 'a\0b' }, 'where.argv must be'],
    ['TypeError', { env: 'A=1' }, 'where.env must be'],
    ['TypeError', { env: ['A'] }, 'where.env must be'],
    ['RangeError', { env: {} }, 'where.env must be'],
    ['RangeError', { env: { 'A=1': true } }, 'where.env must be'],
    ['RangeError', { env: { '': 'x' } }, 'where.env must be'],
    ['TypeError', { env: { A: 1 } }, 'where.env.A must be'],
    ['TypeError', { env: { A: false } }, 'where.env.A must be'],
    ['TypeError', { startedAfter: 5 }, 'where.startedAfter must be'],
    ['RangeError', { startedBefore: new Date(Number.NaN) }, 'where.startedBefore must be'],
  ])('%s for %j', (name, where, message) => {
    expect(() => compileFilter('where', where)).toThrow(
      expect.objectContaining({ name, code: 'ERR_INVALID_ARG', message: expect.stringContaining(message) }),
    )
  })

  test('the value of a variable never gets into a message', () => {
    expect(() => compileFilter('where', { env: { TOKEN: 'secret\0' } })).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('secret') }),
    )
  })
})

describe('readProcess()', () => {
  test('reads all fields but the environment, which is read when asked for', async () => {
    const fake = new FakeBinding()
    const app = fake.add({ env: { A: '1' } })
    const info = await readProcess(app.pid, {}, fake)
    expect(info).toMatchObject({ name: 'app', state: 'sleeping', uid: 1000, identity: fake.identity(app.pid) })
    expect(info).not.toHaveProperty('env')
    expect((await readProcess(app.pid, { fields: ['env'] }, fake)).env).toEqual({ A: '1' })
  })

  test('by an identity reads that process or nobody', async () => {
    const fake = new FakeBinding()
    const app = fake.add()
    const identity = fake.identity(app.pid)
    expect((await readProcess(identity, {}, fake)).identity).toEqual(identity)
    expect((await readProcess({ ...identity, unique: null }, {}, fake)).identity).toEqual(identity)
    fake.reuse(app.pid, { startToken: app.startToken })
    await expect(readProcess(identity, {}, fake)).rejects.toMatchObject({
      name: 'ProcessReplacedError',
      code: 'ERR_PROCESS_REPLACED',
      pid: app.pid,
    })
  })

  test('notices a successor who came between two calls', async () => {
    const fake = new FakeBinding()
    const app = fake.add()
    const identity = fake.identity(app.pid)
    fake.before('readProcess', () => fake.reuse(app.pid))
    await expect(readProcess(identity, {}, fake)).rejects.toMatchObject({ code: 'ERR_PROCESS_REPLACED' })
  })

  test('one that is gone is a NoSuchProcessError, one that is hidden an AccessDeniedError', async () => {
    const fake = new FakeBinding()
    const hidden = fake.add({ hidden: true })
    await expect(readProcess(9999, {}, fake)).rejects.toMatchObject({ name: 'NoSuchProcessError', code: 'ESRCH' })
    await expect(readProcess(hidden.pid, {}, fake)).rejects.toMatchObject({ name: 'AccessDeniedError', code: 'EACCES' })
  })

  test.each([
    ['of another boot', { boot: 'ffffffff-0000-4000-8000-000000000000' }, 'NoSuchProcessError', 'ESRCH'],
    ['of another namespace', { namespace: '4026532999' }, 'NotSupportedError', 'ENOTSUP'],
    ['of an unknown boot', { boot: '' }, 'NotSupportedError', 'ENOTSUP'],
  ])('an identity %s is not looked up', async (_what, part, name, code) => {
    const fake = new FakeBinding()
    const identity = { ...fake.identity(fake.add().pid), ...part }
    await expect(readProcess(identity, {}, fake)).rejects.toMatchObject({ name, code })
    expect(fake.touched()).toBe(0)
  })
})

describe('descendants()', () => {
  function family(): FakeBinding {
    const fake = new FakeBinding()
    fake.add({ pid: 1000, name: 'top' })
    fake.add({ pid: 900, ppid: 1000, name: 'left' })
    fake.add({ pid: 1100, ppid: 1000, name: 'right' })
    fake.add({ pid: 800, ppid: 1100, name: 'leaf' })
    fake.add({ pid: 1200, ppid: 900, name: 'other-leaf' })
    fake.add({ pid: 2000, name: 'stranger' })
    return fake
  }

  test('returns children before grandchildren, without the process itself and strangers', async () => {
    expect(pidsOf(await descendants(1000, {}, family()))).toEqual([900, 1100, 800, 1200])
    const fake = family()
    expect(pidsOf(await descendants(fake.identity(1100), {}, fake))).toEqual([800])
    expect(await descendants(2000, {}, fake)).toEqual([])
  })

  test('rows carry the fields asked for and full identities', async () => {
    const fake = family()
    const [plain] = await descendants(1100, {}, fake)
    expect(plain).toEqual({
      pid: 800,
      identity: fake.identity(800),
      ppid: 1100,
      isKernelThread: false,
      unreadable: {},
      name: 'leaf',
      argv: ['leaf'],
    })
    const [withParent] = await descendants(1100, { fields: ['parent'] }, fake)
    expect(withParent?.parent).toEqual(fake.identity(1100))
  })

  test('finds a child that is born while the tree is walked', async () => {
    const fake = family()
    fake.before('scan', () => fake.fork(1000, { pid: 3000 }), { times: 1 })
    let scans = 0
    fake.before(
      'scan',
      () => {
        scans += 1
        if (scans === 3) fake.fork(900, { pid: 3001 })
      },
      { times: 10 },
    )
    const pids = pidsOf(await descendants(1000, {}, fake))
    expect(pids).toEqual([900, 1100, 3000, 800, 1200, 3001])
  })

  test('does not take the children of a successor to a reused pid for relatives', async () => {
    const fake = family()
    let scans = 0
    fake.before(
      'scan',
      () => {
        scans += 1
        if (scans !== 2) return
        fake.reuse(1100)
        fake.fork(1100, { pid: 3000 })
      },
      { times: 2 },
    )
    const pids = pidsOf(await descendants(1000, {}, fake))
    expect(pids).toContain(1100)
    expect(pids).not.toContain(3000)
  })

  test('a "child" older than its parent is none', async () => {
    const fake = new FakeBinding()
    fake.add({ pid: 1000, startToken: 10_000n })
    fake.add({ pid: 999, ppid: 1000, startToken: 9_999n })
    fake.add({ pid: 1001, ppid: 1000, startToken: 10_000n })
    expect(pidsOf(await descendants(1000, {}, fake))).toEqual([1001])
  })

  test('start tokens are compared as numbers of any length', async () => {
    const fake = new FakeBinding()
    fake.add({ pid: 1000, startToken: 9n })
    fake.add({ pid: 1001, ppid: 1000, startToken: 10n })
    expect(pidsOf(await descendants(1000, {}, fake))).toEqual([1001])
  })

  test('ends, with what it has seen, on a tree that never stops growing', async () => {
    const fake = family()
    let pid = 5000
    fake.before('scan', () => fake.fork(1000, { pid: pid++ }), { times: 1000 })
    const found = await descendants(1000, {}, fake)
    expect(found.length).toBeGreaterThan(4)
    expect(fake.calls.scan).toBeLessThan(100)
  })

  test('of nobody is a NoSuchProcessError, of a successor a ProcessReplacedError', async () => {
    const fake = family()
    const identity = fake.identity(1100)
    fake.reuse(1100)
    await expect(descendants(9999, {}, fake)).rejects.toMatchObject({ code: 'ESRCH' })
    await expect(descendants(identity, {}, fake)).rejects.toMatchObject({ code: 'ERR_PROCESS_REPLACED' })
  })

  test('a scan that fails is an error and not a small family', async () => {
    const fake = family()
    fake.fail('scan', 'EMFILE')
    await expect(descendants(1000, {}, fake)).rejects.toMatchObject({ code: 'EMFILE' })
  })

  test('an abort between two levels ends it', async () => {
    const fake = family()
    const controller = new AbortController()
    const reason = new Error('enough')
    fake.before('scan', () => controller.abort(reason))
    await expect(descendants(1000, { signal: controller.signal }, fake)).rejects.toBe(reason)
    expect(fake.calls.scan).toBe(1)
  })
})

describe('ancestors()', () => {
  test('returns the nearest first, up to the one without a visible parent', async () => {
    const fake = new FakeBinding()
    expect(pidsOf(await ancestors(500, {}, fake))).toEqual([400, 1])
    expect(pidsOf(await ancestors(fake.identity(400), {}, fake))).toEqual([1])
    expect(await ancestors(1, {}, fake)).toEqual([])
  })

  test('rows carry the fields asked for', async () => {
    const fake = new FakeBinding()
    const [shell] = await ancestors(500, { fields: ['state'] }, fake)
    expect(shell).toEqual({
      pid: 400,
      identity: fake.identity(400),
      ppid: 1,
      isKernelThread: false,
      unreadable: {},
      state: 'sleeping',
    })
  })

  test('a parent that is younger than its child is none', async () => {
    const fake = new FakeBinding({ bare: true })
    fake.add({ pid: 7, ppid: 0, startToken: 900n })
    fake.add({ pid: 8, ppid: 7, startToken: 800n })
    expect(await ancestors(8, {}, fake)).toEqual([])
  })

  test('a parent that dies while it is looked for makes room for the next one', async () => {
    const fake = new FakeBinding()
    let reads = 0
    fake.before(
      'readProcess',
      () => {
        reads += 1
        if (reads === 2) fake.exit(400)
      },
      { times: 2 },
    )
    expect(pidsOf(await ancestors(500, {}, fake))).toEqual([1])
  })

  test('ends at a parent that is hidden from us', async () => {
    const fake = new FakeBinding()
    fake.get(1).hidden = true
    expect(pidsOf(await ancestors(500, {}, fake))).toEqual([400])
  })

  test('a failed read is an error and not a short chain', async () => {
    const fake = new FakeBinding()
    fake.before('readProcess', () => fake.fail('readProcess', 'EMFILE'), { times: 1 })
    await expect(ancestors(500, {}, fake)).rejects.toMatchObject({ code: 'EMFILE' })
  })
})

describe('on this machine', () => {
  test('this process is in the list, and reads as what Node says of it', async () => {
    const fields: Field[] = ['argv', 'exe', 'cwd', 'uid', 'parent', 'env', 'startedAt']
    const [info] = await listProcesses({ fields, where: { pid: process.pid } })
    expect(info).toMatchObject({ ppid: process.ppid, cwd: process.cwd(), uid: process.getuid?.(), unreadable: {} })
    expect(info?.exe).toBe(process.execPath)
    expect(info?.parent?.pid).toBe(process.ppid)
    expect(info?.env?.PATH).toBe(process.env.PATH)
    expect(Math.abs(Date.now() - process.uptime() * 1000 - Number(info?.startedAt))).toBeLessThan(2000)
  })

  test('the synchronous list has this process as well', () => {
    expect(pidsOf(listProcessesSync({ where: { pid: process.pid } }))).toEqual([process.pid])
  })

  test('ancestors start with the parent and end with somebody whose parent cannot be seen', async () => {
    const chain = await ancestors(process.pid)
    expect(chain[0]?.pid).toBe(process.ppid)
    expect(chain.at(-1)?.ppid).toBe(0)
  })

  test('this process is among the descendants of its parent', async () => {
    expect(pidsOf(await descendants(process.ppid))).toContain(process.pid)
  })
})
