import { argv } from '../lib/argv'
import { allFields } from '../lib/fields'
import { listProcesses, type ProcessInfo } from '../lib/process'
import { type SignatureParts, signature } from '../lib/signature'
import { judge } from '../lib/verdict'
import { FakeBinding, type FakeProcessInit } from './helpers/fake-binding'

async function rowOf(init: FakeProcessInit, uid = 0): Promise<ProcessInfo> {
  const fake = new FakeBinding({ uid })
  const { pid } = fake.add(init)
  const [row] = await listProcesses({ fields: [...allFields], where: { pid } }, fake)
  if (row === undefined) throw new Error('not listed')
  return row
}

async function verdictOn(init: FakeProcessInit, parts: SignatureParts, uid = 0) {
  return judge(await rowOf(init, uid), signature(parts))
}

const app: FakeProcessInit = {
  name: 'app',
  exe: '/opt/my/bin/app',
  argv: ['app', '--role', 'backend'],
  env: { APP: 'one', SECRET: 's3cret' },
  cwd: '/srv/work',
  startedAtMs: Date.now() - 60_000,
}

describe('judge()', () => {
  test.each<[string, SignatureParts]>([
    ['name', { name: 'app' }],
    ['one of several names', { name: ['x', 'app'] }],
    ['exe by file name', { exe: 'app' }],
    ['exe by the end of its path', { exe: 'bin/app' }],
    ['exe by its whole path', { exe: '/opt/my/bin/app' }],
    ['argument', { argv: '--role' }],
    ['sequence', { argv: argv.sequence('--role', 'backend') }],
    ['all arguments', { argv: ['--role', 'backend'] }],
    ['variable', { env: { APP: 'one' } }],
    ['presence of a variable', { env: { APP: true } }],
    ['pattern of a variable', { env: { SECRET: /^s/ } }],
    ['cwd', { cwd: '/srv/work' }],
    ['end of cwd', { cwd: 'work' }],
    ['user', { uid: 0 }],
    ['start', { name: 'app', startedBefore: new Date() }],
    ['age', { name: 'app', olderThanMs: 59_000 }],
    ['test', { test: ({ name }) => name === 'app' }],
  ])('ours by %s', async (_name, parts) => {
    expect(await verdictOn(app, parts)).toMatchObject({ verdict: 'ours' })
  })

  test.each<[string, SignatureParts]>([
    ['a part of the name', { name: 'ap' }],
    ['a longer name', { name: 'apps' }],
    ['a part of the file name', { exe: 'pp' }],
    ['a suffix that cuts a component', { exe: 'y/bin/app' }],
    ['a directory of the path', { exe: 'bin' }],
    ['another absolute path with this end', { exe: '/my/bin/app' }],
    ['a part of an argument', { argv: 'back' }],
    ['a sequence in another order', { argv: argv.sequence('backend', '--role') }],
    ['one argument too many', { argv: ['--role', 'frontend'] }],
    ['another value', { env: { APP: 'on' } }],
    ['a variable that is not set', { env: { OTHER: true } }],
    ['a pattern that does not match', { env: { APP: /^two/ } }],
    ['another cwd', { cwd: '/srv/wor' }],
    ['another user', { uid: 1 }],
    ['a start before it', { name: 'app', startedBefore: new Date(Date.now() - 120_000) }],
    ['an age above it', { name: 'app', olderThanMs: 120_000 }],
    ['a test that says no', { test: () => false }],
  ])('foreign by %s', async (_name, parts) => {
    expect(await verdictOn(app, parts)).toMatchObject({ verdict: 'foreign' })
  })

  test('what cannot be read is unknown, with the reason', async () => {
    const hidden: FakeProcessInit = { ...app, missing: { env: 'denied', exe: 'denied', cwd: 'gone' } }
    expect(await verdictOn(hidden, { env: { APP: 'one' } })).toEqual({
      verdict: 'unknown',
      evidence: [{ part: 'env.APP', expected: 'one', holds: 'unknown', reason: 'denied' }],
    })
    expect(await verdictOn(hidden, { exe: 'app' })).toMatchObject({ verdict: 'unknown' })
    expect(await verdictOn(hidden, { cwd: '/srv' })).toMatchObject({
      verdict: 'unknown',
      evidence: [{ reason: 'gone' }],
    })
  })

  test('one part that does not hold outweighs all that is unknown', async () => {
    const hidden: FakeProcessInit = { ...app, missing: { env: 'denied' } }
    expect(await verdictOn(hidden, { name: 'other', env: { APP: 'one' } })).toMatchObject({ verdict: 'foreign' })
    expect(await verdictOn(hidden, { name: 'app', env: { APP: 'one' } })).toMatchObject({ verdict: 'unknown' })
  })

  test('a script that only the working directory could complete is unknown without it', async () => {
    const script = { ...app, exe: '/usr/bin/node', argv: ['node', 'server.js'], missing: { cwd: 'denied' } } as const
    const { verdict, evidence } = await verdictOn(script, { argv: argv.scriptPath('app/server.js') })
    expect(verdict).toBe('unknown')
    expect(evidence).toMatchObject([{ holds: 'unknown', reason: 'denied' }])
  })

  test('a field that was not read is unknown, never foreign and never ours', async () => {
    const fake = new FakeBinding({ uid: 0 })
    const { pid } = fake.add(app)
    const [row] = await listProcesses({ fields: ['name'], where: { pid } }, fake)
    for (const parts of [{ env: { APP: 'one' } }, { exe: 'app' }, { argv: 'x' }, { cwd: '/' }, { uid: 0 }]) {
      expect(judge(row as ProcessInfo, signature(parts))).toMatchObject({ verdict: 'unknown' })
    }
  })

  test('a kernel thread has no executable, which is foreign', async () => {
    expect(await verdictOn({ kernel: true, name: 'kworker' }, { exe: 'kworker' })).toMatchObject({ verdict: 'foreign' })
  })

  test('the real and the effective user both count', async () => {
    expect(await verdictOn({ ...app, uid: 5, euid: 0 }, { uid: 0 })).toMatchObject({
      verdict: 'foreign',
      evidence: [{ part: 'uid', expected: '0', found: '5, effective 0', holds: false }],
    })
    expect(await verdictOn({ ...app, uid: 5, euid: 0 }, { uid: [0, 5] })).toMatchObject({ verdict: 'ours' })
  })

  test('no value of the environment is shown that the signature does not name', async () => {
    const shown = JSON.stringify(
      await Promise.all(
        [{ SECRET: true }, { SECRET: 'guess' }, { SECRET: /^s3/ }, { APP: true }, { APP: 'two' }].map((env) =>
          verdictOn(app, { env } as SignatureParts),
        ),
      ),
    )
    expect(shown).not.toContain('s3cret')
    expect(shown).not.toContain('one')
    expect(shown).toContain('another value')
  })

  test('a test is asked last, and only when everything else holds', async () => {
    const test = jest.fn(() => true)
    await verdictOn(app, { name: 'other', test })
    await verdictOn({ ...app, missing: { env: 'denied' } }, { env: { APP: 'one' }, test })
    expect(test).not.toHaveBeenCalled()
    await verdictOn(app, { name: 'app', test })
    expect(test).toHaveBeenCalledTimes(1)
  })

  test('a test that answers with a promise is an error and not a yes', async () => {
    const test = (async () => false) as unknown as () => boolean
    await expect(verdictOn(app, { test })).rejects.toMatchObject({ name: 'TypeError', code: 'ERR_INVALID_ARG' })
  })

  test('long command lines are cut in the evidence', async () => {
    const { evidence } = await verdictOn({ ...app, argv: ['app', 'x'.repeat(5000)] }, { argv: 'app' })
    expect(evidence[0]?.found?.length).toBeLessThan(250)
  })
})
