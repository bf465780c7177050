import * as api from '../lib/index'
import { FakeBinding, type FakeOptions } from './helpers/fake-binding'

// Wrong arguments are answered before anything is read or signalled: `touched()` counts every call of the addon that
// does either.

interface World {
  readonly fake: FakeBinding
  readonly identity: api.ProcessIdentity
  readonly ref: api.ProcessRef
}

type Call = (world: World, value: never) => unknown
type Calls = Readonly<Record<string, Call>>
interface Answer {
  readonly error?: unknown
  readonly value?: unknown
  readonly touched: number
  readonly world: World
}

const ours = { name: 'app' }

async function makeWorld(options: FakeOptions = {}): Promise<World> {
  const fake = new FakeBinding(options)
  const identity = fake.identity(fake.add({ name: 'app' }).pid)
  return { fake, identity, ref: await api.openProcess(identity, fake) }
}

/** What a call answered, and how often it reached for the system before. */
async function answerOf(call: Call, value: unknown): Promise<Answer> {
  const world = await makeWorld()
  const before = world.fake.touched()
  const done = (rest: object): Answer => ({ ...rest, touched: world.fake.touched() - before, world })
  try {
    return done({ value: await call(world, value as never) })
  } catch (error) {
    return done({ error })
  }
}

async function expectRefusal(
  call: Call,
  value: unknown,
  name: 'TypeError' | 'RangeError',
  message = '',
): Promise<void> {
  const { error, touched } = await answerOf(call, value)
  const expected = { name, code: 'ERR_INVALID_ARG', message: expect.stringContaining(message) }
  expect(error).toEqual(expect.objectContaining(expected))
  expect(touched).toBe(0)
}

/** Every function with every value: one test each. */
function each(calls: Calls, values: readonly unknown[]): [string, unknown, Call][] {
  return Object.entries(calls).flatMap(([name, call]) =>
    values.map((value): [string, unknown, Call] => [name, value, call]),
  )
}

const takingPid: Calls = {
  identify: ({ fake }, pid) => api.identify(pid, fake),
  readProcess: ({ fake }, pid) => api.readProcess(pid, {}, fake),
  listProcesses: ({ fake }, pid) => api.listProcesses({ where: { pid } }, fake),
  listProcessesSync: ({ fake }, pid) => api.listProcessesSync({ where: { pid: [1, pid] } }, fake),
  descendants: ({ fake }, pid) => api.descendants(pid, {}, fake),
  ancestors: ({ fake }, pid) => api.ancestors(pid, {}, fake),
  listSockets: ({ fake }, pid) => api.listSockets({ pid }, fake),
  capabilities: ({ fake }, pid) => api.capabilities(pid, fake),
}

const takingIdentityOnly: Calls = {
  verify: ({ fake }, identity) => api.verify(identity, fake),
  verifySync: ({ fake }, identity) => api.verifySync(identity, fake),
  formatIdentity: (_world, identity) => api.formatIdentity(identity),
  sameProcess: ({ identity: other }, identity) => api.sameProcess(other, identity),
  openProcess: ({ fake }, identity) => api.openProcess(identity, fake),
  signalProcess: ({ fake }, identity) => api.signalProcess(identity, 'SIGTERM', fake),
  signalProcessSync: ({ fake }, identity) => api.signalProcessSync(identity, 'SIGTERM', fake),
  waitForExit: ({ fake }, identity) => api.waitForExit(identity, {}, fake),
  'waitForExit of several': ({ fake, identity: other }, identity) => api.waitForExit([other, identity], {}, fake),
  terminate: ({ fake }, identity) => api.terminate(identity, {}, fake),
  'terminate of several': ({ fake, identity: other }, identity) => api.terminate([other, identity], {}, fake),
  terminateSync: ({ fake }, identity) => api.terminateSync(identity, {}, fake),
  'sweep except': ({ fake }, identity) => api.sweep({ ours, except: [identity] }, fake),
}

const takingIdentity: Calls = {
  ...takingIdentityOnly,
  readProcess: ({ fake }, identity) => api.readProcess(identity, {}, fake),
  descendants: ({ fake }, identity) => api.descendants(identity, {}, fake),
  ancestors: ({ fake }, identity) => api.ancestors(identity, {}, fake),
  capabilities: ({ fake }, identity) => api.capabilities(identity, fake),
}

const takingPort: Calls = {
  portOwners: ({ fake }, port) => api.portOwners(port, {}, fake),
  'portOwners of an address': ({ fake }, port) => api.portOwners({ port, host: '127.0.0.1' }, {}, fake),
  listSockets: ({ fake }, port) => api.listSockets({ port }, fake),
  waitForPortFree: (_world, port) => api.waitForPortFree(port, { timeoutMs: 0 }),
  'waitForPortFree of an address': (_world, port) => api.waitForPortFree({ port }, { timeoutMs: 0 }),
  bindConflict: (_world, port) => api.bindConflict({ port }, { port: 80 }),
  addressesOverlap: (_world, port) => api.addressesOverlap({ port: 80 }, { port }),
  takeOverPorts: ({ fake }, port) => api.takeOverPorts({ ports: [port], ours }, fake),
  'takeOverPorts among good ones': ({ fake }, port) => api.takeOverPorts({ ports: [80, { port }], ours }, fake),
}

const takingFields: Calls = {
  listProcesses: ({ fake }, field) => api.listProcesses({ fields: [field] }, fake),
  listProcessesSync: ({ fake }, field) => api.listProcessesSync({ fields: ['name', field] }, fake),
  readProcess: ({ fake, identity }, field) => api.readProcess(identity, { fields: [field] }, fake),
  descendants: ({ fake }, field) => api.descendants(1, { fields: [field] }, fake),
  ancestors: ({ fake }, field) => api.ancestors(500, { fields: [field] }, fake),
}

const takingSignalName: Calls = {
  signalProcess: ({ fake, identity }, name) => api.signalProcess(identity, name, fake),
  signalProcessSync: ({ fake, identity }, name) => api.signalProcessSync(identity, name, fake),
  'ProcessRef.signal': ({ ref }, name) => ref.signal(name),
  terminate: ({ fake, identity }, signal) => api.terminate(identity, { signal }, fake),
  terminateSync: ({ fake, identity }, signal) => api.terminateSync(identity, { signal }, fake),
  sweep: ({ fake }, signal) => api.sweep({ ours, signal }, fake),
  takeOverPorts: ({ fake }, signal) => api.takeOverPorts({ ports: [80], ours, signal }, fake),
}

const takingMs: Calls = {
  'terminate graceMs': ({ fake, identity }, graceMs) => api.terminate(identity, { graceMs }, fake),
  'terminate killWaitMs': ({ fake, identity }, killWaitMs) => api.terminate(identity, { killWaitMs }, fake),
  'terminate minAgeMs': ({ fake, identity }, minAgeMs) => api.terminate(identity, { minAgeMs }, fake),
  'terminateSync budgetMs': ({ fake, identity }, budgetMs) => api.terminateSync(identity, { budgetMs }, fake),
  'sweep graceMs': ({ fake }, graceMs) => api.sweep({ ours, graceMs }, fake),
  'takeOverPorts graceMs': ({ fake }, graceMs) => api.takeOverPorts({ ports: [80], ours, graceMs }, fake),
  'waitForExit timeoutMs': ({ fake, identity }, timeoutMs) => api.waitForExit(identity, { timeoutMs }, fake),
  'ProcessRef.exited timeoutMs': ({ ref }, timeoutMs) => ref.exited({ timeoutMs }),
  'waitForPortFree timeoutMs': (_world, timeoutMs) => api.waitForPortFree(80, { timeoutMs }),
}

const takingSignature: Calls = {
  signature: (_world, parts) => api.signature(parts),
  judge: async (_world, parts) => {
    const [self] = await api.listProcesses({}, new FakeBinding({ bare: false }))
    return api.judge(self as api.ProcessInfo, parts)
  },
  sweep: ({ fake }, parts) => api.sweep({ ours: parts }, fake),
  takeOverPorts: ({ fake }, parts) => api.takeOverPorts({ ports: [80], ours: parts }, fake),
}

const takingAbort: Calls = {
  listProcesses: ({ fake }, signal) => api.listProcesses({ signal }, fake),
  descendants: ({ fake }, signal) => api.descendants(1, { signal }, fake),
  ancestors: ({ fake }, signal) => api.ancestors(500, { signal }, fake),
  listSockets: ({ fake }, signal) => api.listSockets({ signal }, fake),
  portOwners: ({ fake }, signal) => api.portOwners(80, { signal }, fake),
  waitForPortFree: (_world, signal) => api.waitForPortFree(80, { signal }),
  waitForExit: ({ fake, identity }, signal) => api.waitForExit(identity, { signal }, fake),
  'ProcessRef.exited': ({ ref }, signal) => ref.exited({ signal }),
  terminate: ({ fake, identity }, abort) => api.terminate(identity, { abort }, fake),
  sweep: ({ fake }, abort) => api.sweep({ ours, abort }, fake),
  takeOverPorts: ({ fake }, abort) => api.takeOverPorts({ ports: [80], ours, abort }, fake),
}

const takingOptions: Calls = {
  listProcesses: ({ fake }, options) => api.listProcesses(options, fake),
  listProcessesSync: ({ fake }, options) => api.listProcessesSync(options, fake),
  readProcess: ({ fake }, options) => api.readProcess(1, options, fake),
  descendants: ({ fake }, options) => api.descendants(1, options, fake),
  ancestors: ({ fake }, options) => api.ancestors(1, options, fake),
  listSockets: ({ fake }, options) => api.listSockets(options, fake),
  portOwners: ({ fake }, options) => api.portOwners(80, options, fake),
  waitForPortFree: (_world, options) => api.waitForPortFree(80, options),
  waitForExit: ({ fake, identity }, options) => api.waitForExit(identity, options, fake),
  terminate: ({ fake, identity }, options) => api.terminate(identity, options, fake),
  terminateSync: ({ fake, identity }, options) => api.terminateSync(identity, options, fake),
  sweep: ({ fake }, options) => api.sweep(options, fake),
  takeOverPorts: ({ fake }, options) => api.takeOverPorts(options, fake),
}

describe('a pid that cannot be one', () => {
  test.each(each(takingPid, [0, -1, 1.5, Number.NaN, 2 ** 31]))('%s: %p is a RangeError', async (_name, pid, call) => {
    await expectRefusal(call, pid, 'RangeError', 'a pid: an integer from 1 to 2147483647')
  })

  const notNumbers = ['7', null, true, 7n]
  test.each(each(takingPid, notNumbers))('%s: %p is a TypeError', async (_name, pid, call) => {
    await expectRefusal(call, pid, 'TypeError')
  })
})

describe('a pid where an identity is needed', () => {
  test.each(each(takingIdentityOnly, [7, 0, -1, '7']))('%s: %p is a TypeError', async (_name, pid, call) => {
    await expectRefusal(call, pid, 'TypeError')
  })

  test('terminate() says what to do instead', async () => {
    const { error } = await answerOf(takingIdentityOnly.terminate as Call, 7)
    expect(error).toEqual(expect.objectContaining({ message: expect.stringContaining('identify(pid)') }))
  })
})

describe('a pid never used', () => {
  const never = 4_194_303
  const lookups = ['identify', 'readProcess', 'descendants', 'ancestors', 'listSockets', 'capabilities']

  test.each(lookups)('%s() answers with a NoSuchProcessError', async (name) => {
    const { error } = await answerOf(takingPid[name] as Call, never)
    expect(error).toEqual(expect.objectContaining({ name: 'NoSuchProcessError', code: 'ESRCH', pid: never }))
  })

  test('a list of it is empty', async () => {
    expect((await answerOf(takingPid.listProcesses as Call, never)).value).toEqual([])
  })

  const answers: [string, unknown][] = [
    ['verify', 'gone'],
    ['verifySync', 'gone'],
    ['signalProcess', expect.objectContaining({ delivered: false, outcome: 'already-gone' })],
    ['signalProcessSync', expect.objectContaining({ delivered: false, outcome: 'already-gone' })],
    ['waitForExit', { exitCode: null, signal: null, alreadyGone: true }],
    [
      'terminate',
      expect.objectContaining({ ok: true, outcomes: [expect.objectContaining({ outcome: 'already-gone' })] }),
    ],
    ['terminateSync', expect.objectContaining({ outcomes: [expect.objectContaining({ outcome: 'already-gone' })] })],
  ]
  test.each(answers)('an identity with it is an answer of %s()', async (name, answer) => {
    const { identity } = await makeWorld()
    const found = await answerOf(takingIdentity[name] as Call, { ...identity, pid: never })
    expect(found.error).toBeUndefined()
    expect(found.value).toEqual(answer)
    expect(found.world.fake.delivered).toEqual([])
  })

  test('openProcess() of such an identity is a NoSuchProcessError', async () => {
    const { identity } = await makeWorld()
    const { error } = await answerOf(takingIdentity.openProcess as Call, { ...identity, pid: never })
    expect(error).toEqual(expect.objectContaining({ name: 'NoSuchProcessError', code: 'ESRCH' }))
  })
})

describe('a port that cannot be one', () => {
  test.each(each(takingPort, [0, 65_536, Number.NaN, -1, 80.5]))(
    '%s: %p is a RangeError',
    async (_name, port, call) => {
      await expectRefusal(call, port, 'RangeError', 'a port: an integer from 1 to 65535')
    },
  )

  test.each(each(takingPort, ['x', '80', null]))('%s: %p is a TypeError', async (_name, port, call) => {
    await expectRefusal(call, port, 'TypeError')
  })

  test.each<[string, unknown]>([
    ['no ports at all', { ports: [], ours }],
    ['ports that are no array', { ports: 'x', ours }],
    ['no list of ports', { ours }],
  ])('takeOverPorts() refuses %s', async (_what, options) => {
    const { error, touched } = await answerOf(takingOptions.takeOverPorts as Call, options)
    expect(error).toEqual(
      expect.objectContaining({ code: 'ERR_INVALID_ARG', message: expect.stringContaining('ports') }),
    )
    expect(touched).toBe(0)
  })
})

describe('an unknown field', () => {
  test.each(each(takingFields, ['xyz', 'nested', '__proto__', '']))(
    '%s: %p is a RangeError that lists the known',
    async (_name, field, call) => {
      await expectRefusal(call, field, 'RangeError', "one of 'name', 'exe', 'argv', 'env', 'cwd', 'uid'")
    },
  )

  test.each(each(takingFields, [5, null, undefined]))('%s: %p is a TypeError', async (_name, field, call) => {
    await expectRefusal(call, field, 'TypeError')
  })
})

describe('an unknown signal', () => {
  const unknown = ['SIGNOPE', 'TERM', 'sigterm', '', 'toString']
  test.each(each(takingSignalName, unknown))('%s: %p is a RangeError', async (_name, signal, call) => {
    await expectRefusal(call, signal, 'RangeError')
  })

  test.each(each(takingSignalName, [15, null]))('%s: %p is a TypeError', async (_name, signal, call) => {
    await expectRefusal(call, signal, 'TypeError')
  })
})

describe('a time that cannot be one', () => {
  test.each(each(takingMs, [-1, Number.NaN, 2 ** 31]))('%s: %p is a RangeError', async (_name, ms, call) => {
    await expectRefusal(call, ms, 'RangeError', 'milliseconds')
  })

  test.each(each(takingMs, ['100', null]))('%s: %p is a TypeError', async (_name, ms, call) => {
    await expectRefusal(call, ms, 'TypeError', 'milliseconds')
  })
})

describe('a signature that would match everything', () => {
  const empty = [
    {},
    { argv: [] },
    { env: {} },
    { exe: [] },
    { name: [] },
    { uid: [] },
    { olderThanMs: 5 },
    { argv: undefined },
  ]
  test.each(each(takingSignature, empty))('%s: %j is a TypeError', async (_name, parts, call) => {
    await expectRefusal(call, parts, 'TypeError')
  })

  test.each(each(takingSignature, [undefined, null, 'app', [], { xyz: 1 }]))(
    '%s: %j is a TypeError',
    async (_name, parts, call) => {
      await expectRefusal(call, parts, 'TypeError')
    },
  )
})

describe('an identity with a missing or garbled part', () => {
  const parts: [string, unknown, 'TypeError' | 'RangeError'][] = [
    ['pid', undefined, 'TypeError'],
    ['pid', 0, 'RangeError'],
    ['pid', -1, 'RangeError'],
    ['startToken', undefined, 'TypeError'],
    ['startToken', 258_875, 'TypeError'],
    ['startToken', '12x', 'RangeError'],
    ['startToken', '18446744073709551616', 'RangeError'],
    ['boot', undefined, 'TypeError'],
    ['boot', 'not a boot', 'RangeError'],
    ['namespace', undefined, 'TypeError'],
    ['namespace', 'pid:[4026531836]', 'RangeError'],
    ['unique', undefined, 'TypeError'],
    ['unique', '-1', 'RangeError'],
  ]
  const cases = Object.entries(takingIdentity).flatMap(([name, call]) =>
    parts.map(([part, value, error]): [string, string, unknown, string, Call] => [name, part, value, error, call]),
  )
  test.each(cases)('%s: %s of %p is a %s', async (_name, part, value, error, call) => {
    const { identity } = await makeWorld()
    await expectRefusal(call, { ...identity, [part]: value }, error as 'TypeError', `.${part} must be`)
  })

  test.each(each(takingIdentityOnly, [undefined, null, [[]], {}]))(
    '%s: %p is a TypeError',
    async (_name, value, call) => {
      await expectRefusal(call, value, 'TypeError')
    },
  )

  test.each(['', 'x', 'v1:7:8', 'v2:7:8:-:-:-', 'v1:0:8:-:-:-'])('parseIdentity: %p is a RangeError', (text) => {
    expect(() => api.parseIdentity(text)).toThrow(
      expect.objectContaining({ name: 'RangeError', code: 'ERR_INVALID_ARG' }),
    )
  })
})

describe.each([
  ['another boot', { boot: 'ffffffff-0000-4000-8000-000000000000' }, 'other-boot', 'elsewhere'],
  ['another pid namespace', { namespace: '4026532999' }, 'other-namespace', 'elsewhere'],
  ['an unknown boot', { boot: '' }, 'unknown-identity', 'unknown'],
] as const)('an identity of %s', (what, part, reason, place) => {
  const refused = expect.objectContaining({ outcome: 'refused', reason, signals: [] })
  const report = expect.objectContaining({ ok: false, outcomes: [refused] })
  const unsent = { delivered: false, outcome: place, atomic: null }
  const notSupported = expect.objectContaining({ name: 'NotSupportedError', code: 'ENOTSUP' })
  const isOfOtherBoot = what === 'another boot'
  const gone = expect.objectContaining({ name: 'NoSuchProcessError', code: 'ESRCH' })
  const noProcess = { error: isOfOtherBoot ? gone : notSupported }

  const answers: [string, { readonly value: unknown } | { readonly error: unknown }][] = [
    ['verify', { value: place }],
    ['verifySync', { value: place }],
    ['sameProcess', { value: 'different' }],
    ['readProcess', noProcess],
    ['descendants', noProcess],
    ['ancestors', noProcess],
    ['capabilities', noProcess],
    ['openProcess', { error: notSupported }],
    ['signalProcess', { value: unsent }],
    ['signalProcessSync', { value: unsent }],
    [
      'waitForExit',
      isOfOtherBoot ? { value: expect.objectContaining({ alreadyGone: true }) } : { error: notSupported },
    ],
  ]
  test.each(answers)('%s() answers without a look at its pid', async (name, answer) => {
    const other = await makeWorld()
    other.fake.add()
    const { identity } = other
    const { touched, value, error } = await answerOf(takingIdentity[name] as Call, {
      ...identity,
      pid: name === 'sameProcess' ? identity.pid + 1 : identity.pid,
      ...part,
    })
    expect({ value, error }).toEqual({ value: undefined, error: undefined, ...answer })
    expect(touched).toBe(0)
  })

  test.each(['terminate', 'terminateSync'])('%s() refuses it and signals nobody', async (name) => {
    const { identity } = await makeWorld()
    const { value, world } = await answerOf(takingIdentity[name] as Call, { ...identity, ...part })
    expect(value).toEqual(report)
    expect(world.fake.delivered).toEqual([])
    expect(world.fake.alive()).toContain(identity.pid)
  })
})

describe('an aborted signal', () => {
  test.each(Object.entries(takingAbort))('%s() rejects with its reason', async (_name, call) => {
    const reason = { why: 'enough' }
    const { error, touched } = await answerOf(call, AbortSignal.abort(reason))
    expect(error).toBe(reason)
    expect(touched).toBe(0)
  })

  test.each(each(takingAbort, ['abort', {}, null]))(
    '%s: %p in its place is a TypeError',
    async (_name, signal, call) => {
      await expectRefusal(call, signal, 'TypeError', 'AbortSignal')
    },
  )
})

describe('options that are none', () => {
  test.each(each(takingOptions, [null, 5, [], { xyz: 1 }]))('%s: %j is a TypeError', async (_name, options, call) => {
    await expectRefusal(call, options, 'TypeError')
  })
})

test('every function of the library that takes input is in one of these tables', () => {
  const tables = [
    takingPid,
    takingIdentity,
    takingPort,
    takingFields,
    takingSignalName,
    takingMs,
    takingSignature,
    takingAbort,
  ]
  const named = new Set(tables.flatMap((table) => Object.keys(table).map((name) => name.split(' ')[0])))
  const functions = Object.entries(api).filter(([name, value]) => typeof value === 'function' && /^[a-z]/.test(name))
  const missing = functions.map(([name]) => name).filter((name) => !named.has(name))
  expect(missing.sort()).toEqual(['isPidproofError', 'parseIdentity'])
})
