import { exclusionOf, isProtectedSession, type Observer, observe, protectedGroup } from '../lib/exclusions'
import { scan, scanSync } from '../lib/process'
import { memberFields } from '../lib/terminate/context'
import { perform, runAsync, runSync } from '../lib/terminate/steps'
import { FakeBinding, type FakeOptions, type FakeProcessInit } from './helpers/fake-binding'

const look = (fake: FakeBinding) =>
  function* (options: Parameters<typeof scan>[0]) {
    return yield* perform({ later: () => scan(options, fake), now: () => scanSync(options, fake) })
  }
const observed = (fake: FakeBinding): Promise<Observer> => runAsync(observe(fake, look(fake)))

interface Case {
  readonly init?: FakeProcessInit
  readonly pid?: number
  readonly users?: 'self' | 'any'
  readonly options?: FakeOptions
}

async function reasonFor({ init, pid, users = 'self', options }: Case) {
  const fake = new FakeBinding(options)
  const observer = await observed(fake)
  const wanted = pid ?? fake.add(init).pid
  const { processes, nested } = await scan({ fields: memberFields, where: { pid: wanted }, nested: true }, fake)
  const [row] = processes
  if (row === undefined) throw new Error('not listed')
  return exclusionOf(row, observer, { users, isNested: nested.has(wanted) })?.reason
}

describe('exclusionOf()', () => {
  test('lets a process of our own be', async () => {
    expect(await reasonFor({ init: {} })).toBeUndefined()
  })

  test.each<[string, string, Case]>([
    ['self', 'the caller', { pid: 500 }],
    ['ancestor', 'the parent', { pid: 400 }],
    ['ancestor', 'init as an ancestor', { pid: 1 }],
    ['kernel-thread', 'a kernel thread', { pid: 2 }],
    ['kernel-thread', 'a kernel thread although users are any', { pid: 2, users: 'any', options: { uid: 0 } }],
    ['other-user', 'another user', { init: { uid: 1001 } }],
    ['other-user', 'another user, seen by root', { init: { uid: 1001 }, options: { uid: 0 } }],
    ['other-user', 'a set-id program of ours', { init: { uid: 1000, euid: 0 } }],
    ['other-user', 'a set-id program that runs as us', { init: { uid: 1001, euid: 1000 } }],
    ['other-namespace', 'a process of a namespace below', { init: { nested: true } }],
    ['other-namespace', 'the same although users are any', { init: { nested: true }, users: 'any' }],
    ['unknown', 'a process whose user cannot be read', { init: { missing: { uid: 'denied' } } }],
  ])('%s: %s', async (reason, _who, init) => {
    expect(await reasonFor(init)).toBe(reason)
  })

  test.each<[string, Case]>([
    ['another user', { init: { uid: 1001 }, users: 'any' }],
    ['a set-id program', { init: { uid: 1000, euid: 0 }, users: 'any' }],
  ])('users any lifts the rule about %s', async (_who, init) => {
    expect(await reasonFor(init)).toBeUndefined()
  })

  test('users any lifts nothing for self and ancestors', async () => {
    expect(await reasonFor({ pid: 500, users: 'any' })).toBe('self')
    expect(await reasonFor({ pid: 400, users: 'any' })).toBe('ancestor')
    expect(await reasonFor({ pid: 1, users: 'any' })).toBe('ancestor')
  })

  test('pid 1 is init also where it is no ancestor', async () => {
    const fake = new FakeBinding({ bare: true })
    fake.add({ pid: 500, ppid: 0 })
    const observer = await observed(fake)
    fake.add({ pid: 1, ppid: 0 })
    const { processes } = await scan({ fields: memberFields, where: { pid: 1 } }, fake)
    expect(exclusionOf(processes[0] as never, observer, { users: 'any', isNested: false })?.reason).toBe('init')
  })

  test('a set-id caller is matched by both of its users', async () => {
    const options = { uid: 1000, euid: 0 }
    expect(await reasonFor({ init: { uid: 1000, euid: 1000 }, options })).toBe('other-user')
    expect(await reasonFor({ init: { uid: 1000, euid: 0 }, options })).toBeUndefined()
  })

  test('a successor of an ancestor’s pid is no ancestor', async () => {
    const fake = new FakeBinding()
    const observer = await observed(fake)
    fake.reuse(400)
    const { processes } = await scan({ fields: memberFields, where: { pid: 400 } }, fake)
    expect(exclusionOf(processes[0] as never, observer, { users: 'self', isNested: false })).toBeUndefined()
  })
})

describe('observe()', () => {
  const pids = ({ ancestors }: Observer) => ancestors.map(({ pid }) => pid)

  test('reads the caller and the whole chain above it, with or without promises', async () => {
    const fake = new FakeBinding()
    expect(pids(await observed(fake))).toEqual([400, 1])
    const observer = runSync(observe(fake, look(fake)))
    expect(pids(observer)).toEqual([400, 1])
    expect(observer).toMatchObject({ isWhole: true, self: { pid: 500 } })
  })

  test('walks again when a parent dies on the way', async () => {
    const fake = new FakeBinding()
    fake.add({ pid: 300, ppid: 1 })
    fake.get(400).ppid = 300
    let reads = 0
    fake.before(
      'scan',
      () => {
        reads += 1
        // After the shell has been read, and before its parent is.
        if (reads === 3) fake.exit(300)
      },
      { times: 10 },
    )
    expect(await observed(fake)).toMatchObject({ isWhole: true })
    expect(pids(await observed(fake))).toEqual([400, 1])
  })

  test('a parent younger than its child is somebody else', async () => {
    const fake = new FakeBinding()
    fake.get(400).startToken = 10_000_000n
    const observer = await observed(fake)
    expect(pids(observer)).toEqual([])
    expect(observer.isWhole).toBe(false)
  })

  test('above a hidden parent the leaders of our session and group are ancestors as a precaution', async () => {
    const fake = new FakeBinding()
    fake.add({ pid: 300, ppid: 1 })
    Object.assign(fake.get(400), { ppid: 300, hidden: true })
    Object.assign(fake.get(500), { sid: 300 })
    const observer = await observed(fake)
    expect(observer.isWhole).toBe(false)
    const { processes } = await scan({ fields: memberFields, where: { pid: 300 } }, fake)
    expect(exclusionOf(processes[0] as never, observer, { users: 'self', isNested: false })?.reason).toBe('ancestor')
  })

  test('init that cannot be seen does not matter', async () => {
    const fake = new FakeBinding()
    fake.get(1).hidden = true
    expect(await observed(fake)).toMatchObject({ isWhole: true })
  })
})

describe('protected groups and sessions', () => {
  test('are those of the caller and of its ancestors', async () => {
    const fake = new FakeBinding()
    const observer = await observed(fake)
    expect([500, 400, 1, 1001].map((pgid) => protectedGroup(pgid, observer))).toEqual([
      'own-group',
      'ancestor',
      'ancestor',
      undefined,
    ])
    expect([400, 1, 500].map((sid) => isProtectedSession(sid, observer))).toEqual([true, true, false])
  })
})
