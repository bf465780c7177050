import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  fieldBits,
  livenessNames,
  missingReasons,
  type NativeBinding,
  type NativeResult,
  type NativeTargets,
  native,
} from '../lib/native'
import { FakeBinding } from './helpers/fake-binding'

// What the tests of the policies rest on: that the fake keeps the contract that the addon keeps.

function unwrapped<T>(result: NativeResult<T>): T {
  if (!result.ok) throw new Error(`${result.code} ${result.syscall}`)
  return result.value
}

/** Kinds of the columns, by name: `pid: Int32Array(3)` for a table of three. */
function shapeOf(table: object): Record<string, string> {
  const kind = (value: unknown) => (value as { constructor: { name: string } }).constructor.name
  return Object.fromEntries(Object.entries(table).map(([name, value]) => [name, kind(value)]))
}

interface Stage {
  readonly binding: NativeBinding
  /** A running child of ours. */
  readonly pid: number
  end(): Promise<void>
}

const stages: Record<string, () => Promise<Stage>> = {
  fake: async () => {
    const binding = new FakeBinding({ uid: process.getuid?.() ?? 0 })
    const { pid } = binding.fork(500)
    return {
      binding,
      pid,
      end: async () => {
        if (binding.alive().includes(pid)) binding.exit(pid)
      },
    }
  },
  addon: async () => {
    const child: ChildProcess = spawn(process.execPath, ['-e', 'process.stdin.resume()'], {
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    const exited = once(child, 'exit')
    await once(child, 'spawn')
    return {
      binding: native(),
      pid: child.pid as number,
      end: async () => {
        child.kill('SIGKILL')
        await exited
      },
    }
  },
}

describe.each(Object.keys(stages))('the contract of the addon, kept by the %s', (name) => {
  let stage: Stage
  beforeEach(async () => {
    stage = await (stages[name] as () => Promise<Stage>)()
  })
  afterEach(() => stage.end())

  function target(): NativeTargets {
    const row = unwrapped(stage.binding.readProcessSync(stage.pid, fieldBits.unique))
    return { pid: row.pid, startToken: row.startToken, unique: row.unique ?? new BigUint64Array(1) }
  }

  test('host() names boot, namespace, pid and user', () => {
    expect(unwrapped(stage.binding.host())).toEqual({
      boot: expect.stringMatching(/^[0-9a-f-]{36}$/),
      namespace: expect.stringMatching(/^\d+$/),
      pid: expect.any(Number),
      uid: process.getuid?.(),
      euid: process.getuid?.(),
    })
  })

  test.each(Object.entries(fieldBits))('field %s brings its own columns and no others', async (field, bit) => {
    const base = ['count', 'kernel', 'missing', 'partial', 'pid', 'ppid', 'startToken', 'undecided', 'unique']
    const columns: Record<string, string[]> = {
      exe: ['exe', 'exeDeleted'],
      uid: ['uid', 'euid'],
      parent: ['parentStartToken', 'parentUnique'],
      group: ['pgid', 'sid'],
      startedAt: ['startedAtMs'],
      cpu: ['cpuUserMs', 'cpuSystemMs'],
      memory: ['residentBytes', 'virtualBytes'],
    }
    const table = unwrapped(await stage.binding.readProcess(stage.pid, bit))
    expect(Object.keys(table).sort()).toEqual([...new Set([...base, ...(columns[field] ?? [field])])].sort())
  })

  test('columns are of the kinds that the decoder takes', async () => {
    const all = Object.values(fieldBits).reduce((mask, bit) => mask | bit, 0)
    const table = unwrapped(await stage.binding.scan(all, { pids: Int32Array.of(stage.pid) }))
    expect(shapeOf(table)).toEqual({
      count: 'Number',
      pid: 'Int32Array',
      ppid: 'Int32Array',
      startToken: 'BigUint64Array',
      kernel: 'Uint8Array',
      unique: 'BigUint64Array',
      name: 'Array',
      exe: 'Array',
      exeDeleted: 'Uint8Array',
      argv: 'Array',
      env: 'Array',
      cwd: 'Array',
      uid: 'Uint32Array',
      euid: 'Uint32Array',
      user: 'Array',
      state: 'Uint8Array',
      parentStartToken: 'BigUint64Array',
      parentUnique: 'BigUint64Array',
      pgid: 'Int32Array',
      sid: 'Int32Array',
      startedAtMs: 'Float64Array',
      cpuUserMs: 'Float64Array',
      cpuSystemMs: 'Float64Array',
      residentBytes: 'Float64Array',
      virtualBytes: 'Float64Array',
      title: 'Array',
      nested: 'Uint8Array',
      missing: 'Uint8Array',
      undecided: 'Int32Array',
      partial: 'Boolean',
    })
    expect(table.count).toBe(1)
    expect(table.missing).toHaveLength(16)
    expect([...table.missing].every((reason) => reason < missingReasons.length)).toBe(true)
    expect(table.argv?.[0]).toMatch(/\0$/)
  })

  test('rows come in ascending order, and a filter of nobody finds nobody', async () => {
    const { pid } = unwrapped(await stage.binding.scan(0, {}))
    expect([...pid]).toEqual([...pid].sort((a, b) => a - b))
    expect(unwrapped(await stage.binding.scan(0, { pids: new Int32Array(0) })).count).toBe(0)
    expect(unwrapped(stage.binding.scanSync(0, { ppids: new Int32Array(0) })).count).toBe(0)
  })

  test('nobody is ESRCH when read and gone when verified', async () => {
    const { pid, startToken, unique } = target()
    await stage.end()
    const nobody = pid[0] as number
    expect(await stage.binding.readProcess(nobody, 0)).toMatchObject({ ok: false, code: 'ESRCH' })
    expect(await stage.binding.verify(nobody, startToken[0] as bigint, unique[0] as bigint)).toEqual({
      ok: true,
      value: 2,
    })
    const opened = await stage.binding.openPins({ pid, startToken, unique })
    expect(opened).toEqual([{ ok: true, liveness: livenessNames.indexOf('gone') }])
  })

  test('another start token or unique id is replaced, and gets no pin', async () => {
    const { pid, startToken, unique } = target()
    const other = BigUint64Array.of((startToken[0] as bigint) + 1n)
    const replaced = [{ ok: true, liveness: livenessNames.indexOf('replaced') }]
    expect(await stage.binding.openPins({ pid, startToken: other, unique: new BigUint64Array(1) })).toEqual(replaced)
    expect(
      stage.binding.openPinsSync({ pid, startToken, unique: BigUint64Array.of((unique[0] as bigint) + 1n) }),
    ).toEqual(replaced)
  })

  test('a pin takes signal 0, then SIGKILL, and tells the exit once', async () => {
    const { binding } = stage
    const [opened] = await binding.openPins(target())
    if (!opened?.ok || opened.pin === undefined) throw new Error('no pin')
    const { pin } = opened
    expect(binding.pinState(pin)).toEqual({ ok: true, value: 0 })
    const asked = await binding.signalPins([pin], 0, 0)
    expect(asked).toEqual([expect.objectContaining({ code: 'OK', liveness: 0, atomic: expect.any(Boolean) })])
    const exit = new Promise((resolve) => {
      binding.refExits(true)
      expect(binding.watchExit(pin, resolve)).toEqual({ ok: true, value: expect.any(Number) })
    })
    expect(binding.waitPinsSync([pin], 0)).toEqual({ ok: true, value: [false] })
    binding.signalPinsSync([pin], 9, 0)
    expect(await exit).toEqual(expect.objectContaining({ signal: 9 }))
    binding.refExits(false)
    expect(binding.waitPinsSync([pin], 1000)).toEqual({ ok: true, value: [true] })
    await stage.end()
    expect(binding.signalPinsSync([pin], 15, 0)).toEqual([expect.objectContaining({ code: 'ESRCH', liveness: 2 })])
    binding.closePins([pin])
    expect(() => binding.pinState(pin)).toThrow(expect.objectContaining({ name: 'TypeError' }))
  })

  test('sockets are columns of the same length', async () => {
    const sockets = unwrapped(await stage.binding.listSockets(31, 0, 0))
    expect(shapeOf(sockets)).toEqual({
      count: 'Number',
      protocol: 'Uint8Array',
      state: 'Uint8Array',
      localAddress: 'Uint8Array',
      remoteAddress: 'Uint8Array',
      localPort: 'Uint16Array',
      remotePort: 'Uint16Array',
      scopeId: 'Uint32Array',
      v6Only: 'Uint8Array',
      uid: 'Uint32Array',
      inode: 'BigUint64Array',
      cgroup: 'BigUint64Array',
      path: 'Array',
      boundVisible: 'Boolean',
    })
    expect(sockets.localAddress).toHaveLength(sockets.count * 16)
    const holders = await stage.binding.findSocketHolders(
      BigUint64Array.of(2n ** 62n),
      new Uint32Array(1),
      new BigUint64Array(1),
    )
    expect(shapeOf(unwrapped(holders))).toEqual({
      count: 'Number',
      inode: 'BigUint64Array',
      pid: 'Int32Array',
      ppid: 'Int32Array',
      startToken: 'BigUint64Array',
      unique: 'BigUint64Array',
      unseen: 'Number',
    })
    const held = unwrapped(await stage.binding.processSockets(stage.pid))
    expect(Object.prototype.toString.call(held)).toBe('[object BigUint64Array]')
  })
})
