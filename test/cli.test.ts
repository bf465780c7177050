import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from './helpers/build-fixtures'
import { type CliDocument, cli, cliJson, finish, startCli } from './helpers/cli'
import { spawnFixture } from './helpers/fixture'
import { testWhere, tool } from './helpers/guards'
import { until } from './helpers/until'

const commands = ['ls', 'show', 'tree', 'port', 'kill', 'sweep', 'takeover', 'wait', 'doctor']
const acting = ['kill', 'sweep', 'takeover']

describe('help', () => {
  test('of the program names every command', async () => {
    const { code, stdout, stderr } = await cli(['--help'])
    expect(code).toBe(0)
    expect(stderr).toBe('')
    for (const command of commands) expect(stdout).toMatch(new RegExp(`^  ${command}\\b`, 'm'))
  })

  test.each(commands)('of %s has examples and the common options', async (command) => {
    const { code, stdout } = await cli([command, '--help'])
    expect(code).toBe(0)
    expect(stdout).toContain(`  $ pidproof ${command}`)
    expect(stdout).toContain('--json')
    if (acting.includes(command)) expect(stdout).toContain('--dry-run')
  })

  test('--version prints the version of the package', async () => {
    const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as { version: string }
    expect(await cli(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n` })
  })
})

describe('wrong usage ends with 2, acts on nobody, and says what was wrong', () => {
  const cases: readonly (readonly [args: string, message: RegExp])[] = [
    ['', /Usage: pidproof/],
    ['frobnicate', /unknown command 'frobnicate'/],
    ['ls --frobnicate', /unknown option '--frobnicate'/],
    ['ls --fields pid,frobs', /unknown field "pid"/],
    ['ls --fields env', /show <pid> --env KEY/],
    ['ls --user bob', /--user takes me, all, or a user id/],
    ['ls --env-key =x', /KEY or KEY=VALUE/],
    ['show', /missing required argument/],
    ['show 0', /from 1 to 2147483647; received 0/],
    ['show 1.5', /received "1.5"/],
    ['show 2147483648', /received 2147483648/],
    ['show x7', /received "x7"/],
    ['show 1 --env A=B', /--env takes a KEY/],
    ['show v1:1:2', /v1:<pid>:<start token>/],
    ['tree nobody', /received "nobody"/],
    ['port', /missing required argument/],
    ['port 0', /from 1 to 65535; received 0/],
    ['port 65536', /received 65536/],
    ['port x', /received "x"/],
    ['port 80,81', /received "80,81"/],
    ['port ::1:80', /\[ipv6\]:port/],
    ['kill', /missing required argument/],
    ['kill -- -1', /received "-1"/],
    ['kill 0', /received 0/],
    ['kill 1 --grace -5', /--grace takes a whole number/],
    ['kill 1 --grace soon', /--grace takes a whole number/],
    ['kill 1 --signal SIGNONE', /SIGNONE/],
    ['kill 1 --scope family', /Allowed choices are process, group, tree/],
    ['kill 1 --users root', /Allowed choices are self, any/],
    ['sweep', /say what is ours/],
    ['sweep --older-than 1000', /say what is ours/],
    ['sweep --dry-run', /say what is ours/],
    ['sweep --args-sequence', /argument missing/],
    ['sweep --args-sequence "', /a quote does not end/],
    ['sweep --env =', /KEY or KEY=VALUE/],
    ['sweep --env A=1 --env A=2', /A cannot have two values/],
    ['sweep --name a --except nobody', /received "nobody"/],
    ['takeover 3000', /say what is ours/],
    ['takeover --name a', /missing required argument/],
    ['takeover 0 --name a', /received 0/],
    ['wait', /missing required argument/],
    ['wait 1 --timeout -1', /--timeout takes a whole number/],
  ]

  test.each(cases)('pidproof %s', async (line, message) => {
    const args = line.split(' ').filter((word) => word !== '')
    const [{ code, stdout, stderr }, asJson] = await Promise.all([cli(args), cli(['--json', ...args])])
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toMatch(message)
    expect(asJson.code).toBe(2)
    if (args.length === 0) return
    const document = JSON.parse(asJson.stdout) as CliDocument
    expect(document).toMatchObject({ ok: false, error: { message: expect.stringMatching(message) } })
    expect(document.error?.code).toMatch(/^ERR_(USAGE|INVALID_ARG)$/)
  })

  test('the document names the command by its first name, whatever alias was used', async () => {
    expect((await cliJson(['list', '--fields', 'x'])).document.command).toBe('ls')
    expect((await cliJson(['frobnicate'])).document.command).toBe('pidproof')
  })
})

describe('output', () => {
  test('that nobody reads any more ends the command quietly', async () => {
    const command = `"${process.execPath}" "${join(repository, 'dist', 'cli', 'main.js')}" ls --user all --kernel --json`
    for (let round = 0; round < 5; round++) {
      const { status, stdout, stderr } = spawnSync('bash', ['-c', `set -o pipefail; ${command} | head -n 1`], {
        encoding: 'utf8',
        timeout: 20_000,
      })
      expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '{\n', stderr: '' })
    }
  })

  test('that cannot be written is a failure', () => {
    const { status, stderr } = spawnSync(
      'bash',
      ['-c', `"${process.execPath}" "${join(repository, 'dist', 'cli', 'main.js')}" ls > /dev/full`],
      {
        encoding: 'utf8',
        timeout: 20_000,
      },
    )
    expect(status).toBe(1)
    expect(stderr).toMatch(/cannot write the output: .*ENOSPC/)
  })

  test('has no colour in a file, unless it is forced', async () => {
    expect((await cli(['doctor'])).stdout).not.toContain('\u001b')
    expect((await cli(['doctor'], { env: { FORCE_COLOR: '1' } })).stdout).toContain('\u001b[')
    expect((await cli(['doctor'], { env: { FORCE_COLOR: '1', NO_COLOR: '1' } })).stdout).not.toContain('\u001b')
  })

  testWhere([tool('script')], 'on a terminal has colour, and lines that fit', async () => {
    const fixture = await spawnFixture(['forever', 'x'.repeat(300)])
    const onTerminal = (env: NodeJS.ProcessEnv) => {
      const inner = `stty cols 60; '${process.execPath}' dist/cli/main.js ls --arg ${'x'.repeat(300)}`
      const { NO_COLOR: _no, FORCE_COLOR: _force, ...inherited } = process.env
      return spawnSync('script', ['-qec', inner, '/dev/null'], {
        cwd: repository,
        encoding: 'utf8',
        timeout: 20_000,
        env: { ...inherited, TERM: 'xterm', LC_ALL: 'C.UTF-8', ...env },
      }).stdout
    }
    const coloured = onTerminal({})
    expect(coloured).toContain('\u001b[36m')
    const lines = onTerminal({ NO_COLOR: '1' }).split('\r\n')
    const line = lines.find((text) => text.includes(String(fixture.pid)))
    expect(line).toMatch(/…$/)
    expect(line?.length).toBe(60)
  })
})

/** SIGHUP is the last one that the command listens to, and Node by itself leaves it alone. */
async function waitsForSignals(pid: number): Promise<void> {
  const caught = () => /^SigCgt:\s*(\w+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '0'
  await until('the command listens to signals', () => (BigInt(`0x${caught()}`) & 1n) === 1n)
}

describe('an interrupted wait', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('by %s ends with %i, and the process waited for lives', async (signal, code) => {
    const fixture = await spawnFixture('forever')
    const child = startCli(['wait', String(fixture.pid), '--json'])
    const done = finish(child)
    await waitsForSignals(child.pid ?? 0)
    child.kill(signal)
    const result = await done
    expect(result.code).toBe(code)
    expect(JSON.parse(result.stdout)).toMatchObject({ command: 'wait', ok: false, error: { code: 'ERR_INTERRUPTED' } })
    expect(fixture.child.exitCode).toBeNull()
  })
})
