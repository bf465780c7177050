import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { identify, listProcesses, listProcessesSync, listSockets, portOwners, readProcess } from '../lib/index'
import { type NativeBinding, native } from '../lib/native'

// Where there is no backend the addon itself is the one under test. On Linux it is built beside the
// real one, under a name that the loader does not look for.
const besides = join(__dirname, '..', 'build', 'Release', 'pidproof-unsupported.addon')

function unsupportedBinding(): NativeBinding {
  if (process.platform !== 'linux') return native()
  const loaded = { exports: {} }
  process.dlopen(loaded, besides)
  return loaded.exports as NativeBinding
}

const binding = unsupportedBinding()
const nobody = {
  pid: new Int32Array([process.pid]),
  startToken: new BigUint64Array([1n]),
  unique: new BigUint64Array([0n]),
}

describe('the addon of a system without a backend', () => {
  test('is another file than the one that is loaded by default on Linux', () => {
    expect(process.platform !== 'linux' || existsSync(besides)).toBe(true)
    expect(process.platform === 'linux' ? binding === native() : false).toBe(false)
  })

  test('answers ENOTSUP to every call instead of throwing', async () => {
    const answers = await Promise.all([
      binding.host(),
      binding.capabilities(),
      binding.scan(0, {}),
      binding.scanSync(0, {}),
      binding.readProcess(process.pid, 0),
      binding.readProcessSync(process.pid, 0),
      binding.verify(process.pid, 1n, 0n),
      binding.verifySync(process.pid, 1n, 0n),
      binding.waitPinsSync([], 0),
      binding.listSockets(1, 0, 0),
      binding.findSocketHolders(new BigUint64Array([1n]), new Uint32Array([0]), new BigUint64Array([0n])),
      binding.processSockets(process.pid),
    ])
    for (const answer of answers) expect(answer).toMatchObject({ ok: false, code: 'ENOTSUP' })
  })

  test('makes no pin, of a process or of a group', async () => {
    const answers = [
      ...(await binding.openPins(nobody)),
      ...binding.openPinsSync(nobody),
      ...(await binding.openGroupPins(nobody)),
      ...binding.openGroupPinsSync(nobody),
    ]
    expect(answers).toHaveLength(4)
    for (const answer of answers) {
      expect(answer).toMatchObject({ ok: false, code: 'ENOTSUP' })
      expect(answer).not.toHaveProperty('pin')
    }
  })

  test('has every function that the real one has', () => {
    const names = Object.keys(native()).sort()
    expect(Object.keys(binding).sort()).toEqual(names)
    expect(names).toContain('signalPins')
  })

  test('still refuses arguments of the wrong kind with a TypeError', () => {
    const wrong = binding as unknown as Record<string, (...values: unknown[]) => unknown>
    expect(() => wrong.scanSync?.('all', {})).toThrow(expect.objectContaining({ name: 'TypeError' }))
    expect(() => wrong.verifySync?.(process.pid, 1, 0)).toThrow(expect.objectContaining({ name: 'TypeError' }))
  })

  test('loads and ends cleanly in a program of its own', () => {
    const load =
      process.platform === 'linux'
        ? `process.dlopen(m, ${JSON.stringify(besides)})`
        : 'm.exports = require("node-gyp-build")(".")'
    const script = `const m = { exports: {} }; ${load}; console.log(m.exports.host().code)`
    const result = spawnSync(process.execPath, ['-e', script], { cwd: join(__dirname, '..'), encoding: 'utf8' })
    expect(result).toMatchObject({ status: 0, stdout: 'ENOTSUP\n' })
  })
})

describe('the library on a system without a backend', () => {
  const notSupported = expect.objectContaining({ name: 'NotSupportedError', code: 'ENOTSUP' })

  test.each<[string, () => Promise<unknown>]>([
    ['identify', () => identify(process.pid, binding)],
    ['listProcesses', () => listProcesses({}, binding)],
    ['readProcess', () => readProcess(process.pid, {}, binding)],
    ['listSockets', () => listSockets({}, binding)],
    ['portOwners', () => portOwners(80, {}, binding)],
  ])('%s() rejects with a NotSupportedError', async (_name, call) => {
    await expect(call()).rejects.toEqual(notSupported)
  })

  test('listProcessesSync() throws a NotSupportedError', () => {
    expect(() => listProcessesSync({}, binding)).toThrow(notSupported)
  })

  test('bad arguments are the first thing to be refused, here as anywhere', async () => {
    await expect(identify(0, binding)).rejects.toMatchObject({ code: 'ERR_INVALID_ARG' })
    await expect(portOwners(65_536, {}, binding)).rejects.toMatchObject({ code: 'ERR_INVALID_ARG' })
  })
})
