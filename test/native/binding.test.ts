import { native } from '../../lib/native'
import type { LeaksInput, LeaksReport } from '../fixtures/scenarios/leaks'
import type { ExhaustedReport } from '../fixtures/scenarios/without-descriptors'
import type { WorkersReport } from '../fixtures/scenarios/workers'
import { spawnFixture } from '../helpers/fixture'
import { describeWhere, linux } from '../helpers/guards'
import { runScenario } from '../helpers/scenario'

describeWhere([linux], 'the addon', () => {
  test('has exactly the functions that its type says', () => {
    expect(Object.keys(native()).sort()).toEqual([
      'capabilities',
      'closePins',
      'findSocketHolders',
      'host',
      'listSockets',
      'openGroupPins',
      'openGroupPinsSync',
      'openPins',
      'openPinsSync',
      'pinState',
      'processSockets',
      'readProcess',
      'readProcessSync',
      'refExits',
      'scan',
      'scanSync',
      'signalPins',
      'signalPinsSync',
      'unwatchExit',
      'verify',
      'verifySync',
      'waitPinsSync',
      'watchExit',
    ])
  })

  test('answers wrong arguments with a TypeError, whatever they are, and goes on working', async () => {
    expect(await runScenario<string[]>('binding-misuse')).toEqual([])
  })

  test('answers with a code what only the system can refuse', async () => {
    const fixture = await spawnFixture('forever')
    const binding = native()
    for (const pid of [0, -1, -fixture.pid]) {
      expect(binding.readProcessSync(pid, 0)).toMatchObject({ ok: false, code: 'EINVAL' })
      expect(binding.verifySync(pid, 0n, 0n).ok).toBe(false)
    }
    const read = binding.readProcessSync(fixture.pid, 0)
    const table = read.ok ? read.value : undefined
    const targets = {
      pid: table?.pid ?? new Int32Array(),
      startToken: table?.startToken ?? new BigUint64Array(),
      unique: new BigUint64Array(1),
    }
    const [opened] = binding.openPinsSync(targets)
    const pins = opened?.ok && opened.pin !== undefined ? [opened.pin] : []
    expect(pins).toHaveLength(1)
    for (const signal of [-1, 65, 1000]) {
      expect(binding.signalPinsSync(pins, signal, 0)).toMatchObject([{ code: 'EINVAL' }])
    }
    expect(binding.signalPinsSync(pins, 0, 0)).toMatchObject([{ code: 'OK', liveness: 0 }])
    binding.closePins(pins)
  })

  test('serves several threads at once, and survives their end in the middle of a call', async () => {
    const { found, terminated, descriptors } = await runScenario<WorkersReport>('workers')
    // Once in the listing of all, once by its number, in each of 25 rounds of 4 threads.
    expect(found).toEqual(Array.from({ length: 100 }, () => 2))
    expect(terminated).toBe(16)
    expect(descriptors[1]).toBeLessThanOrEqual(descriptors[0])
  })

  test('fails a call for want of descriptors, and takes nobody for gone', async () => {
    const { answers, lives, afterwards } = await runScenario<ExhaustedReport>('without-descriptors', {
      descriptors: 100,
      input: 6,
    })
    for (const [name, given] of Object.entries(answers)) {
      expect([name, given[0]]).toEqual([name, 'EMFILE'])
      for (const answer of given) expect(`${name}: ${answer}`).not.toMatch(/gone|replaced|ESRCH|\[\]$/)
    }
    expect([lives, afterwards]).toEqual([true, 'running'])
  })

  test('leaves neither descriptors nor memory behind after 10,000 calls of each kind', async () => {
    const input: LeaksInput = { rounds: 10_000 }
    const nodeArguments = ['--expose-gc']
    const { before, after } = await runScenario<LeaksReport>('leaks', { input, nodeArguments, timeoutMs: 110_000 })
    expect(after.descriptors).toBe(before.descriptors)
    expect(after.heapBytes - before.heapBytes).toBeLessThan(2 << 20)
    expect(after.residentBytes - before.residentBytes).toBeLessThan(24 << 20)
  }, 120_000)
})
