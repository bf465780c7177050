import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  checkIdentity,
  formatIdentity,
  host,
  identify,
  type ProcessIdentity,
  parseIdentity,
  placeOf,
  sameProcess,
  toTargets,
  verify,
  verifySync,
} from '../lib/identity'
import { FakeBinding } from './helpers/fake-binding'

const sample: ProcessIdentity = {
  pid: 4711,
  startToken: '258875',
  boot: '31e8f296-629b-4a8d-82fc-c605e576fc72',
  namespace: '4026531836',
  unique: '194651',
}

describe('identify()', () => {
  test('returns a frozen record with all parts of the process that has the pid', async () => {
    const fake = new FakeBinding()
    const app = fake.add({ startToken: 77n, unique: 123_456_789_012n })
    const identity = await identify(app.pid, fake)
    expect(identity).toEqual({
      pid: app.pid,
      startToken: '77',
      boot: 'b0070000-1111-4222-8333-444455556666',
      namespace: '4026531836',
      unique: '123456789012',
    })
    expect(Object.isFrozen(identity)).toBe(true)
  })

  test('has no unique id where the kernel has none', async () => {
    const fake = new FakeBinding({ uniqueIds: false })
    expect((await identify(fake.add().pid, fake)).unique).toBeNull()
  })

  test('keeps all 64 bits of a start token', async () => {
    const fake = new FakeBinding()
    const app = fake.add({ startToken: 2n ** 64n - 1n })
    expect((await identify(app.pid, fake)).startToken).toBe('18446744073709551615')
  })

  test('a pid of nobody is a NoSuchProcessError', async () => {
    const fake = new FakeBinding()
    await expect(identify(9999, fake)).rejects.toMatchObject({ name: 'NoSuchProcessError', code: 'ESRCH', pid: 9999 })
  })

  test('a hidden process is refused, not gone', async () => {
    const fake = new FakeBinding()
    const app = fake.add({ hidden: true })
    await expect(identify(app.pid, fake)).rejects.toMatchObject({ name: 'AccessDeniedError', code: 'EACCES' })
  })

  test('a lack of descriptors is our failure, not an answer about the process', async () => {
    const fake = new FakeBinding()
    fake.fail('readProcess', 'EMFILE')
    await expect(identify(1, fake)).rejects.toMatchObject({ name: 'OsError', code: 'EMFILE' })
  })

  test('of this very process agrees with a second look, live', async () => {
    const [first, second] = await Promise.all([identify(process.pid), identify(process.pid)])
    expect(second).toEqual(first)
    expect(sameProcess(first, second)).toBe('same')
    expect(await verify(first)).toBe('running')
    expect(verifySync(first)).toBe('running')
  })
})

describe('verify()', () => {
  test('tells running, zombie, gone and replaced apart', async () => {
    const fake = new FakeBinding()
    const [running, zombie, gone, replaced] = [fake.add(), fake.add({ notReaped: true }), fake.add(), fake.add()]
    const identities = [running, zombie, gone, replaced].map(({ pid }) => fake.identity(pid))
    fake.exit(zombie.pid)
    fake.exit(gone.pid)
    fake.reuse(replaced.pid)
    const answers = await Promise.all(identities.map((identity) => verify(identity, fake)))
    expect(answers).toEqual(['running', 'zombie', 'gone', 'replaced'])
    expect(identities.map((identity) => verifySync(identity, fake))).toEqual(answers)
  })

  test('tells a successor in the same clock tick apart by its unique id', async () => {
    const fake = new FakeBinding()
    const victim = fake.add({ startToken: 500n })
    const identity = fake.identity(victim.pid)
    fake.reuse(victim.pid, { startToken: 500n })
    expect(await verify(identity, fake)).toBe('replaced')
  })

  test('a hidden process is unknown', async () => {
    const fake = new FakeBinding()
    const app = fake.add()
    const identity = fake.identity(app.pid)
    app.hidden = true
    expect(await verify(identity, fake)).toBe('unknown')
  })

  test.each([
    ['of another boot', { boot: 'ffffffff-0000-4000-8000-000000000000' }, 'elsewhere'],
    ['of another pid namespace', { namespace: '4026532999' }, 'elsewhere'],
    ['whose boot is not known', { boot: '' }, 'unknown'],
    ['whose namespace is not known', { namespace: '' }, 'unknown'],
  ])('answers for an identity %s without a look at the pid', async (_what, part, answer) => {
    const fake = new FakeBinding()
    const identity = { ...fake.identity(fake.add().pid), ...part }
    expect(await verify(identity, fake)).toBe(answer)
    expect(verifySync(identity, fake)).toBe(answer)
    expect(fake.touched()).toBe(0)
  })

  test('an observer who does not know its own boot knows nothing about any identity', async () => {
    const fake = new FakeBinding({ boot: '' })
    expect(await verify({ ...sample, pid: fake.add().pid }, fake)).toBe('unknown')
  })

  test('a failed question is an error, never "gone"', async () => {
    const fake = new FakeBinding()
    const identity = fake.identity(fake.add().pid)
    fake.fail('verify', 'EMFILE')
    fake.fail('verifySync', 'ENFILE')
    await expect(verify(identity, fake)).rejects.toMatchObject({ code: 'EMFILE' })
    expect(() => verifySync(identity, fake)).toThrow(expect.objectContaining({ code: 'ENFILE' }))
  })

  test('of a child follows it into its grave, live', async () => {
    const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], { stdio: ['pipe', 'ignore', 'ignore'] })
    const exited = once(child, 'exit')
    await once(child, 'spawn')
    const identity = await identify(child.pid as number)
    expect(await verify(identity)).toBe('running')
    child.stdin.end()
    await exited
    expect(await verify(identity)).toBe('gone')
  })

  test('of a forged start token is replaced, live', async () => {
    const mine = await identify(process.pid)
    const forged = { ...mine, startToken: String(BigInt(mine.startToken) + 1n), unique: null }
    expect(await verify(forged)).toBe('replaced')
    const { unique } = mine
    if (unique !== null) expect(await verify({ ...mine, unique: String(BigInt(unique) + 1n) })).toBe('replaced')
  })
})

describe('sameProcess()', () => {
  const cases: [string, Partial<ProcessIdentity>, string][] = [
    ['nothing', {}, 'same'],
    ['the unique id is missing', { unique: null }, 'same'],
    ['another unique id', { unique: '194652' }, 'different'],
    ['another pid', { pid: 4712 }, 'different'],
    ['another start token', { startToken: '258876' }, 'different'],
    ['another boot', { boot: 'ffffffff-629b-4a8d-82fc-c605e576fc72' }, 'different'],
    ['another namespace', { namespace: '4026532999' }, 'different'],
    ['an unknown boot', { boot: '' }, 'unknown'],
    ['an unknown namespace', { namespace: '' }, 'unknown'],
    ['an unknown boot and another unique id', { boot: '', unique: '1' }, 'different'],
    ['an unknown boot and another start token', { boot: '', startToken: '1' }, 'different'],
  ]
  test.each(cases)('with %s on one side: %j is %s, from either side', (_what, part, answer) => {
    const other = { ...sample, ...part }
    expect(sameProcess(sample, other)).toBe(answer)
    expect(sameProcess(other, sample)).toBe(answer)
  })

  test('is same where neither system has namespaces', () => {
    const without = { ...sample, namespace: '' }
    expect(sameProcess(without, { ...without })).toBe('same')
  })

  test('is unknown for two records without a boot', () => {
    const without = { ...sample, boot: '' }
    expect(sameProcess(without, { ...without })).toBe('unknown')
  })
})

describe('the text form', () => {
  test.each<[string, Partial<ProcessIdentity>]>([
    ['v1:4711:258875:194651:4026531836:31e8f296-629b-4a8d-82fc-c605e576fc72', {}],
    ['v1:4711:258875:-:4026531836:31e8f296-629b-4a8d-82fc-c605e576fc72', { unique: null }],
    ['v1:4711:258875:-:-:-', { unique: null, namespace: '', boot: '' }],
    [
      'v1:4711:18446744073709551615:1:0:12',
      { startToken: '18446744073709551615', unique: '1', namespace: '0', boot: '12' },
    ],
  ])('%s goes both ways', (text, part) => {
    const identity = { ...sample, ...part }
    expect(formatIdentity(identity)).toBe(text)
    expect(parseIdentity(text)).toEqual(identity)
    expect(Object.isFrozen(parseIdentity(text))).toBe(true)
    expect(text).not.toMatch(/[\s;=]/)
  })

  test('survives JSON as well', () => {
    expect(checkIdentity('identity', JSON.parse(JSON.stringify(sample)))).toEqual(sample)
  })

  const wrong = [
    '',
    'v1',
    'v2:4711:258875:-:-:-',
    '4711:258875:-:-:-',
    'v1:4711:258875:-:-',
    'v1:4711:258875:-:-:-:',
    'v1:4711:258875:-:-:-:x',
    'v1:4711:258875:-:-:-\n',
    ' v1:4711:258875:-:-:-',
    'v1:0:258875:-:-:-',
    'v1:-1:258875:-:-:-',
    'v1:04711:258875:-:-:-',
    'v1:4711.5:258875:-:-:-',
    'v1:0x12:258875:-:-:-',
    'v1:9999999999:258875:-:-:-',
    'v1::258875:-:-:-',
    'v1:4711::-:-:-',
    'v1:4711:-:-:-:-',
    'v1:4711:258875::-:-',
    'v1:4711:258875:-::-',
    'v1:4711:258875:-:-:',
    'v1:4711:0258875:-:-:-',
    'v1:4711:18446744073709551616:-:-:-',
    'v1:4711:258875:0:-:-',
    'v1:4711:258875:x:-:-',
    'v1:4711:258875:-:abc:-',
    'v1:4711:258875:-:-:-31e8',
    'v1:4711:258875:-:-:31e8;rm',
  ]
  test.each(wrong)('%j is not one', (text) => {
    expect(() => parseIdentity(text)).toThrow(expect.objectContaining({ name: 'RangeError', code: 'ERR_INVALID_ARG' }))
  })

  test('parseIdentity() takes nothing but text', () => {
    for (const value of [4711, null, undefined, sample]) {
      expect(() => parseIdentity(value as never)).toThrow(expect.objectContaining({ name: 'TypeError' }))
    }
  })
})

describe('checkIdentity()', () => {
  test('returns a frozen copy without anything else that was there', () => {
    const checked = checkIdentity('identity', { ...sample, extra: 1 })
    expect(checked).toEqual(sample)
    expect(Object.isFrozen(checked)).toBe(true)
  })

  test.each<[string, unknown, string]>([
    ['TypeError', { ...sample, startToken: undefined }, 'identity.startToken'],
    ['TypeError', { ...sample, startToken: 258875 }, 'identity.startToken'],
    ['TypeError', { ...sample, unique: undefined }, 'identity.unique'],
    ['TypeError', { ...sample, boot: null }, 'identity.boot'],
    ['TypeError', { ...sample, namespace: 4026531836 }, 'identity.namespace'],
    ['TypeError', { ...sample, pid: '4711' }, 'identity.pid'],
    ['RangeError', { ...sample, pid: 0 }, 'identity.pid'],
    ['RangeError', { ...sample, startToken: '-5' }, 'identity.startToken'],
    ['RangeError', { ...sample, startToken: '0x10' }, 'identity.startToken'],
    ['RangeError', { ...sample, startToken: '' }, 'identity.startToken'],
    ['RangeError', { ...sample, startToken: '18446744073709551616' }, 'identity.startToken'],
    ['RangeError', { ...sample, unique: '' }, 'identity.unique'],
    ['RangeError', { ...sample, unique: '0' }, 'identity.unique'],
    ['RangeError', { ...sample, boot: 'not a boot' }, 'identity.boot'],
    ['RangeError', { ...sample, namespace: 'pid:[1]' }, 'identity.namespace'],
  ])('answers with a %s where %j is wrong, naming %s', (name, value, part) => {
    expect(() => checkIdentity('identity', value)).toThrow(
      expect.objectContaining({ name, code: 'ERR_INVALID_ARG', message: expect.stringContaining(`${part} must be`) }),
    )
  })

  test('tells who hands in a pid how to get an identity', () => {
    expect(() => checkIdentity('identity', 4711)).toThrow(/identify\(pid\)/)
  })
})

describe('the frame of an identity', () => {
  test('host() asks once per binding', () => {
    const fake = new FakeBinding()
    expect(host(fake)).toBe(host(fake))
    expect(fake.calls.host).toBe(1)
    expect(host(new FakeBinding({ pid: 501 })).pid).toBe(501)
  })

  test('host() of a system that cannot tell is a NotSupportedError', () => {
    const fake = new FakeBinding()
    fake.fail('host', 'ENOTSUP')
    expect(() => host(fake)).toThrow(expect.objectContaining({ name: 'NotSupportedError' }))
  })

  test('placeOf() says elsewhere as soon as one part is known to differ', () => {
    const here = { boot: 'a', namespace: '1' }
    expect(placeOf({ boot: 'a', namespace: '1' }, here)).toBe('here')
    expect(placeOf({ boot: 'b', namespace: '1' }, here)).toBe('elsewhere')
    expect(placeOf({ boot: '', namespace: '2' }, here)).toBe('elsewhere')
    expect(placeOf({ boot: '', namespace: '1' }, here)).toBe('unknown')
    expect(placeOf({ boot: 'a', namespace: '' }, here)).toBe('unknown')
    expect(placeOf({ boot: 'a', namespace: '' }, { boot: 'a', namespace: '' })).toBe('here')
  })

  test('toTargets() hands a missing unique id over as 0', () => {
    expect(toTargets([sample, { ...sample, pid: 5, unique: null }])).toEqual({
      pid: Int32Array.of(4711, 5),
      startToken: BigUint64Array.of(258875n, 258875n),
      unique: BigUint64Array.of(194651n, 0n),
    })
  })
})
