import { argv } from '../lib/argv'
import { scan } from '../lib/process'
import { fieldsOf, filterOf, type SignatureParts, signature } from '../lib/signature'
import { FakeBinding } from './helpers/fake-binding'

describe('signature()', () => {
  test('is frozen, a copy, and keeps what was given', () => {
    const env = { APP: 'x', ANY: true as const }
    const made = signature({ exe: 'node', argv: ['--serve', argv.module('m')], env, uid: 1000, olderThanMs: 5 })
    env.APP = 'changed'
    expect(Object.isFrozen(made)).toBe(true)
    expect(Object.isFrozen(made.env)).toBe(true)
    expect(made).toMatchObject({ exe: ['node'], uid: [1000], olderThanMs: 5, env: { APP: 'x', ANY: true } })
    expect(made.argv?.map((matcher) => matcher.describe())).toEqual(["argument '--serve'", "module 'm'"])
  })

  test.each([
    ['nothing', {}],
    ['no conditions on arguments', { argv: [] }],
    ['no conditions on arguments beside others', { name: 'app', argv: [] }],
    ['no variables', { env: {} }],
    ['no names', { name: [] }],
    ['an age alone', { olderThanMs: 1000 }],
    ['a time alone', { startedBefore: new Date() }],
    ['an unknown part', { exes: 'node' }],
    ['null', null],
    ['text', 'node'],
    ['a bare RegExp as argument', { argv: /x/ }],
    ['a matcher of one’s own making', { argv: { kind: 'token', describe: () => '', matches: () => true } }],
    ['a number as variable', { env: { APP: 1 } }],
    ['false as variable', { env: { APP: false } }],
    ['text as test', { test: 'x' }],
    ['text as date', { name: 'app', startedBefore: '2020-01-01' }],
  ])('%s is a TypeError', (_name, parts) => {
    expect(() => signature(parts as SignatureParts)).toThrow(
      expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG' }),
    )
  })

  test.each([
    ['an empty name', { name: '' }],
    ['a negative age', { name: 'app', olderThanMs: -1 }],
    ['an age that is no number', { name: 'app', olderThanMs: Number.NaN }],
    ['an invalid date', { name: 'app', startedBefore: new Date('x') }],
    ['a negative user', { uid: -1 }],
    ['a variable name with =', { env: { 'A=B': true } }],
    ['a path upwards', { exe: '../node' }],
  ])('%s is a RangeError', (_name, parts) => {
    expect(() => signature(parts as SignatureParts)).toThrow(
      expect.objectContaining({ name: 'RangeError', code: 'ERR_INVALID_ARG' }),
    )
  })

  test('an error about a variable does not repeat its value', () => {
    expect(() => signature({ env: { TOKEN: 's3cret\0' } })).toThrow(expect.not.stringContaining('s3cret'))
  })
})

describe('filterOf()', () => {
  test('pushes down what is literal and nothing else', () => {
    const wanted = signature({
      exe: ['node', 'bin/bun'],
      name: 'app',
      argv: ['--serve', argv.sequence('-m', 'x'), argv.module('y'), argv.pattern(/z/), argv.scriptPath('s.js')],
      env: { A: 'value', B: true, C: /c/ },
      cwd: '/srv',
      uid: 7,
      startedBefore: new Date(5000),
    })
    expect(filterOf(wanted, 10_000)).toEqual({
      exe: ['node', 'bin/bun'],
      argv: [['--serve'], ['-m', 'x']],
      env: { A: 'value', B: true, C: true },
      uid: [7],
      startedBefore: new Date(5000),
    })
  })

  test('the stricter of two limits of age is pushed down', () => {
    const wanted = signature({ name: 'app', startedBefore: new Date(5000), olderThanMs: 8000 })
    expect(filterOf(wanted, 10_000)).toEqual({ startedBefore: new Date(2001) })
    expect(filterOf(signature({ name: 'app' }))).toEqual({})
  })

  test('loses nobody who matches', async () => {
    const fake = new FakeBinding({ uid: 0 })
    const match = fake.add({ exe: '/opt/x/bin/node', argv: ['node', '--serve'], env: { A: 'value', C: 'ccc' } })
    fake.add({ exe: '/opt/x/bin/node', argv: ['node', '--serve'], env: { A: 'value' } })
    fake.add({ exe: '/opt/x/bin/node', argv: ['node', '--server'], env: { A: 'value', C: 'ccc' } })
    const wanted = signature({ exe: './bin//node', argv: '--serve', env: { A: 'value', C: /^c+$/ } })
    const { processes } = await scan({ where: filterOf(wanted) }, fake)
    expect(processes.map(({ pid }) => pid)).toEqual([match.pid])
  })
})

describe('fieldsOf()', () => {
  test('names what judging needs', () => {
    expect(fieldsOf(signature({ name: 'app' }))).toEqual(['name'])
    expect(fieldsOf(signature({ argv: argv.module('x') })).sort()).toEqual(['argv', 'cwd', 'exe'])
    expect(fieldsOf(signature({ env: { A: true } }))).toEqual(['env'])
    expect(fieldsOf(signature({ uid: 1, olderThanMs: 1 })).sort()).toEqual(['startedAt', 'uid'])
  })

  test('a test sees everything but the environment', () => {
    const fields = fieldsOf(signature({ test: () => true }))
    expect(fields).toEqual(expect.arrayContaining(['name', 'exe', 'argv', 'cwd', 'uid', 'state', 'parent', 'group']))
    expect(fields).not.toContain('env')
  })
})
