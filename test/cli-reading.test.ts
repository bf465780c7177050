import { spawnSync } from 'node:child_process'
import { formatIdentity, identify } from '../lib/identity'
import { cli, cliJson } from './helpers/cli'
import { spawnFixture } from './helpers/fixture'
import { root, testWhere } from './helpers/guards'
import { until } from './helpers/until'

const secret = 'hunter2-never-to-be-seen'

interface Listed {
  readonly pid: number
  readonly id: string
  readonly ppid: number
  readonly depth: number
  readonly name?: string
  readonly argv?: readonly string[]
  readonly env?: Readonly<Record<string, string | null>>
  readonly state?: string
  readonly unreadable: Readonly<Record<string, string>>
}

interface Listing {
  readonly processes: readonly Listed[]
  readonly undecided: readonly number[]
  readonly partial: boolean
  readonly kernelThreadsLeftOut: number
}

const hex = (text: string | Buffer) => Buffer.from(text).toString('hex')

describe('ls', () => {
  test('finds a process by executable, argument and variable, and tells which it is', async () => {
    const fixture = await spawnFixture(['forever', 'needle'], { env: { ...process.env, CLI_TEST: secret } })
    const id = formatIdentity(await identify(fixture.pid))
    for (const filter of [
      ['--arg', 'needle'],
      ['--exe', 'px', '--arg', 'forever', '--arg', 'needle'],
      ['--env-key', `CLI_TEST=${secret}`, '--name', 'px'],
      ['--env-key', 'CLI_TEST', '--user', String(process.getuid?.())],
    ]) {
      const { code, document } = await cliJson<Listing>(['ls', ...filter])
      expect(code).toBe(0)
      expect(document).toMatchObject({ command: 'ls', ok: true })
      expect(document.processes.map((process) => process.id)).toContain(id)
      expect(document.processes.every(({ env }) => env === undefined)).toBe(true)
    }
    expect((await cliJson<Listing>(['ls', '--arg', 'needl'])).document.processes).toEqual([])
  })

  test('prints one aligned line a process, with the fields asked for', async () => {
    const fixture = await spawnFixture(['+name=71717171', 'forever', 'a b', ''])
    const { stdout } = await cli(['ls', '--arg', 'a b', '--fields', 'name,state,argv'])
    const [header, line, ...rest] = stdout.split('\n')
    expect(header).toMatch(/^ *PID {2}NAME {2}STATE {5}COMMAND$/)
    expect(line).toMatch(new RegExp(`^ *${fixture.pid} {2}qqqq {2}sleeping {2}\\S+px \\S+ forever 'a b' ''$`))
    expect(rest).toEqual([''])
    expect(line?.indexOf('qqqq')).toBe(header?.indexOf('NAME'))
  })

  test('never lets a process write to the terminal', async () => {
    const name = hex('\u001b[2J\n')
    const fixture = await spawnFixture([
      'raw',
      '-',
      '-',
      [hex('px'), hex(`+name=${name}`), hex('forever'), hex('\u001b]0;x\u0007'), 'ff'].join(','),
    ])
    const { stdout } = await cli(['ls', '--arg', '\u001b]0;x\u0007', '--fields', 'name,argv'])
    expect(stdout).toContain(String.raw`$'\x1b[2J\n'`)
    expect(stdout).toContain(String.raw`$'\x1b]0;x\x07' $'\xff'`)
    expect(stdout.split('\n').filter((line) => line.includes(String(fixture.pid)))).toHaveLength(1)
    for (const command of [['ls'], ['tree', String(fixture.pid)], ['show', String(fixture.pid)]]) {
      for (const format of [[], ['--json']]) {
        expect((await cli([...command, ...format])).stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
      }
    }
  })

  test('says so when nothing matches', async () => {
    expect(await cli(['ls', '--arg', 'no such argument anywhere'])).toMatchObject({
      code: 0,
      stdout: 'No process matches.\n',
    })
  })

  test('lists threads of the kernel on demand only', async () => {
    const { document } = await cliJson<Listing>(['ls', '--user', 'all'])
    const all = (await cliJson<Listing>(['ls', '--user', 'all', '--kernel'])).document
    expect(document.processes.some((process) => 'isKernelThread' in process && process.isKernelThread)).toBe(false)
    expect(all.kernelThreadsLeftOut).toBe(0)
    expect(document.kernelThreadsLeftOut === 0).toBe(
      !all.processes.some((one) => 'isKernelThread' in one && one.isKernelThread),
    )
  })
})

describe('show', () => {
  test('prints all that can be read, and a value of the environment only by its key', async () => {
    const fixture = await spawnFixture(['forever', 'x y'], { cwd: '/', env: { CLI_TEST: 'two words', SECRET: secret } })
    const id = formatIdentity(await identify(fixture.pid))
    const plain = await cli(['show', String(fixture.pid)])
    expect(plain.code).toBe(0)
    expect(plain.stdout).toContain(`${fixture.pid}  ${id}\n`)
    expect(plain.stdout).toMatch(/^arguments +\S+px forever 'x y'$/m)
    expect(plain.stdout).toMatch(/^directory +\/$/m)
    expect(plain.stdout).toMatch(/^environment +2 variables, values not shown$/m)
    const asked = await cli(['show', id, '--env', 'CLI_TEST', '--env', 'ABSENT'])
    expect(asked.stdout).toMatch(/^ +CLI_TEST='two words'$/m)
    expect(asked.stdout).toMatch(/^ +ABSENT=\(not set\)$/m)
    const json = await cliJson<{ process: Listed }>(['show', id, '--env', 'CLI_TEST', '--env', 'ABSENT'])
    expect(json.document.process).toMatchObject({ id, env: { CLI_TEST: 'two words', ABSENT: null } })
    expect((await cliJson<{ process: Listed }>(['show', id])).document.process.env).toBeUndefined()
    const everything = plain.stdout + asked.stdout + json.stdout + (await cli(['show', id, '--json'])).stdout
    expect(everything).not.toContain(secret)
  })

  testWhere([root], 'says why something cannot be read', async () => {
    const fixture = await spawnFixture('forever')
    const { stdout } = await cli(['show', String(fixture.pid)], { uid: 65534, gid: 65534 })
    expect(stdout).toMatch(/^executable +denied: the operating system does not let this user read it$/m)
    expect(stdout).toMatch(/^environment +denied: /m)
    expect(stdout).toMatch(/^arguments +\S+px forever$/m)
    const json = await cliJson<{ process: Listed }>(['show', String(fixture.pid), '--env', 'PATH'], {
      uid: 65534,
      gid: 65534,
    })
    expect(json.document.process).toMatchObject({ unreadable: { exe: 'denied', env: 'denied' } })
    expect(json.document.process.env).toBeUndefined()
  })

  test('of a pid that nobody has, and of one that has another process now, ends with 1', async () => {
    const ended = spawnSync('true').pid
    expect((await cliJson(['show', String(ended)])).document).toMatchObject({ ok: false, error: { code: 'ESRCH' } })
    const fixture = await spawnFixture('forever')
    const identity = await identify(fixture.pid)
    const other = formatIdentity({ ...identity, startToken: String(BigInt(identity.startToken) - 1n), unique: null })
    const { code, document } = await cliJson(['show', other])
    expect(code).toBe(1)
    expect(document.error?.code).toBe('ERR_PROCESS_REPLACED')
  })
})

describe('tree', () => {
  const spec = 'top(left(leaf),right:stopped)'

  test('draws children below their parents', async () => {
    const fixture = await spawnFixture(['tree', spec])
    await until('right is stopped', async () => {
      const { document } = await cliJson<{ process: Listed }>(['show', String(fixture.pidOf('right'))])
      return document.process.state === 'stopped'
    })
    const top = fixture.pidOf('top')
    const { stdout } = await cli(['tree', String(top)])
    const shape = stdout
      .split('\n')
      .map((line) => line.replace(/\d+ /, '').replace(/ {2}\S+px .*/, ''))
      .sort()
    expect(shape).toEqual(['', '│  └─ leaf', '├─ left', '└─ right (stopped)', 'top'].sort())
    const ascii = await cli(['tree', String(top)], { env: { LC_ALL: 'C' } })
    expect(ascii.stdout).toMatch(/^\|- \d+ left/m)
    expect(ascii.stdout).toMatch(/^\| {2}`- \d+ leaf/m)
    expect(ascii.stdout).toMatch(/^[ -~\n]*$/)
  })

  test('in JSON has every process after its parent, with its depth', async () => {
    const fixture = await spawnFixture(['tree', spec])
    const { document } = await cliJson<Listing>(['tree', String(fixture.pidOf('top'))])
    expect(document.processes.map(({ name, depth }) => [name, depth])).toEqual(
      expect.arrayContaining([
        ['top', 0],
        ['left', 1],
        ['leaf', 2],
        ['right', 1],
      ]),
    )
    const all = (await cliJson<Listing>(['tree'])).document.processes
    const places = new Map(all.map(({ pid }, at) => [pid, at]))
    for (const [at, { ppid, depth }] of all.entries()) {
      if (depth > 0) expect(places.get(ppid)).toBeLessThan(at)
    }
  })

  test('from a pid that nobody has ends with 1', async () => {
    expect(await cliJson(['tree', String(spawnSync('true').pid)])).toMatchObject({
      code: 1,
      document: { command: 'tree', ok: false, error: { code: 'ESRCH' } },
    })
  })
})

describe('wait', () => {
  test.each([
    ['exit 3', { exitCode: 3, signal: null }],
    ['die-by 9', { exitCode: null, signal: 'SIGKILL' }],
  ])('tells how a process ended: %s', async (words, exit) => {
    const fixture = await spawnFixture(words)
    const waiting = cliJson<{ exit: object; id: string }>(['wait', String(fixture.pid), '--timeout', '20000'])
    fixture.tell('now')
    const { code, document } = await waiting
    expect(code).toBe(document.ok ? 0 : 1)
    // It may have been gone before the command looked.
    if (document.error) expect(document.error.code).toBe('ESRCH')
    else expect(document.exit).toMatchObject({ alreadyGone: false, ...exit })
  })

  test('gives up after the timeout, and the process lives', async () => {
    const fixture = await spawnFixture('forever')
    const { code, document } = await cliJson(['wait', String(fixture.pid), '--timeout', '50'])
    expect(code).toBe(1)
    expect(document).toMatchObject({ command: 'wait', ok: false, error: { code: 'ETIMEDOUT' } })
    expect(fixture.child.exitCode).toBeNull()
  })

  test('of an identity that is gone is answered at once', async () => {
    const fixture = await spawnFixture('forever')
    const id = formatIdentity(await identify(fixture.pid))
    await fixture.end()
    const { code, stdout } = await cli(['wait', id])
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${fixture.pid} was gone already\n` })
  })
})

describe('doctor', () => {
  test('tells what is possible here, what follows from what is not, and what of a process', async () => {
    const { code, document } = await cliJson<{
      capabilities: { name: string; available: boolean; consequence: string | null }[]
    }>(['doctor'])
    expect(code).toBe(0)
    expect(document.capabilities.map(({ name }) => name)).toContain('atomic-signal')
    for (const { available, consequence } of document.capabilities) {
      if (available) expect(consequence).toBeNull()
      else expect(consequence).toMatch(/\w/)
    }
    const fixture = await spawnFixture('forever')
    expect((await cli(['doctor', String(fixture.pid)])).stdout).toMatch(/^ {2}signal {2}permitted/m)
  })
})
