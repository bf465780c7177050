import { arch, platform, release } from 'node:os'
import { capabilities } from '../lib/capabilities'
import { allFields } from '../lib/fields'
import { identify } from '../lib/identity'
import { FakeBinding } from './helpers/fake-binding'

const without = (...names: string[]) =>
  ['process-table', 'atomic-signal', 'unique-id', 'exit-status', 'all-processes-visible', 'sockets', 'socket-diag'].map(
    (name) => ({ name, available: !names.includes(name), detail: '' }),
  )

describe('capabilities()', () => {
  test('names the system, what can be done on it and what that means', async () => {
    expect(await capabilities(undefined, new FakeBinding({ capabilities: without() }))).toEqual({
      platform: platform(),
      arch: arch(),
      kernel: release(),
      backend: platform(),
      capabilities: without(),
      atomicSignals: true,
      uniqueIdentity: true,
      exitStatusOfOthers: true,
      socketSource: 'netlink',
      hiddenProcesses: false,
    })
  })

  test.each<[string[], object]>([
    [['atomic-signal'], { atomicSignals: false }],
    [['unique-id'], { uniqueIdentity: false }],
    [['exit-status'], { exitStatusOfOthers: false }],
    [['all-processes-visible'], { hiddenProcesses: true }],
    [['socket-diag'], { socketSource: 'procfs' }],
    [['socket-diag', 'sockets'], { socketSource: 'none' }],
  ])('without %j: %j', async (names, expected) => {
    const fake = new FakeBinding({ capabilities: without(...names) })
    expect(await capabilities(undefined, fake)).toMatchObject(expected)
  })

  test('a backend that can do nothing is an answer', async () => {
    const fake = new FakeBinding()
    fake.fail('capabilities', 'ENOTSUP')
    expect(await capabilities(undefined, fake)).toMatchObject({
      backend: 'unsupported',
      capabilities: [],
      atomicSignals: false,
      socketSource: 'none',
      hiddenProcesses: false,
    })
  })

  test('a question that failed is an error', async () => {
    const fake = new FakeBinding()
    fake.fail('capabilities', 'EMFILE')
    await expect(capabilities(undefined, fake)).rejects.toMatchObject({ code: 'EMFILE' })
  })
})

describe('capabilities(target)', () => {
  test('tells of each field whether it can be read, and of the signal whether it would arrive', async () => {
    const fake = new FakeBinding()
    const app = fake.add()
    const { target } = await capabilities(app.pid, fake)
    expect(target).toEqual({
      identity: fake.identity(app.pid),
      fields: Object.fromEntries(allFields.map((field) => [field, 'readable'])),
      signal: 'permitted',
      atomic: true,
    })
    expect(fake.delivered).toEqual([])
    expect(fake.openPinCount).toBe(0)
  })

  test('tells denied from what is not there', async () => {
    const fake = new FakeBinding({ uniqueIds: false, atomic: false })
    const theirs = fake.add({ uid: 1001 })
    const { target } = await capabilities(fake.identity(theirs.pid), fake)
    expect(target?.fields).toMatchObject({
      exe: 'denied',
      env: 'denied',
      cwd: 'denied',
      argv: 'readable',
      unique: 'unsupported',
    })
    expect(target).toMatchObject({ signal: 'denied', atomic: false })
    const thread = await capabilities(2, fake)
    expect(thread.target?.fields).toMatchObject({ exe: 'none', argv: 'none', env: 'none', parent: 'none' })
  })

  test('a target that ends meanwhile is gone, one that cannot be pinned says why', async () => {
    const fake = new FakeBinding()
    const app = fake.add()
    fake.before('openPins', () => fake.exit(app.pid))
    expect((await capabilities(app.pid, fake)).target).toMatchObject({ signal: 'gone', atomic: null })
    const other = fake.add()
    fake.fail('openPins', 'EMFILE')
    expect((await capabilities(other.pid, fake)).target).toMatchObject({ signal: 'EMFILE', atomic: null })
  })

  test('nobody is a NoSuchProcessError, a successor a ProcessReplacedError', async () => {
    const fake = new FakeBinding()
    const app = fake.add()
    const identity = fake.identity(app.pid)
    fake.reuse(app.pid)
    await expect(capabilities(9999, fake)).rejects.toMatchObject({ code: 'ESRCH' })
    await expect(capabilities(identity, fake)).rejects.toMatchObject({ code: 'ERR_PROCESS_REPLACED' })
  })

  test('of this process, live: everything is readable and the signal permitted', async () => {
    const { target, capabilities: list } = await capabilities(await identify(process.pid))
    expect(target).toMatchObject({ signal: 'permitted', fields: { exe: 'readable', env: 'readable' } })
    expect(list.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['process-table', 'pin', 'atomic-signal', 'unique-id', 'exit-status', 'sockets']),
    )
  })
})
