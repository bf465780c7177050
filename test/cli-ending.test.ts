import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { formatIdentity, identify, verify } from '../lib/identity'
import { repository } from './helpers/build-fixtures'
import { cli, cliJson } from './helpers/cli'
import { type Fixture, spawnFixture } from './helpers/fixture'
import { root, testWhere } from './helpers/guards'

const secret = 'hunter2-never-to-be-seen'
const marked = { env: { ...process.env, CLI_TEST_MARK: secret } }

interface Report {
  readonly ok: boolean
  readonly dryRun: boolean
  readonly outcomes: readonly {
    readonly id: string
    readonly outcome: string
    readonly reason?: string
    readonly signals: readonly string[]
    readonly evidence: readonly object[]
  }[]
}

async function idOf(pid: number): Promise<string> {
  return formatIdentity(await identify(pid))
}

async function runs(pid: number): Promise<boolean> {
  return (await verify(await identify(pid))) === 'running'
}

function ended(fixture: Fixture): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return fixture.exited
}

async function canListen(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

describe('kill', () => {
  test('ends a process by its pid, and reports which one that was', async () => {
    const fixture = await spawnFixture('forever')
    const id = await idOf(fixture.pid)
    const { code, document } = await cliJson<{ report: Report }>(['kill', String(fixture.pid)])
    expect(code).toBe(0)
    expect(document).toMatchObject({ command: 'kill', ok: true, missing: [] })
    expect(document.report.outcomes).toMatchObject([{ id, outcome: 'exited', exit: { signal: 'SIGTERM' } }])
    expect(await ended(fixture)).toEqual({ code: null, signal: 'SIGTERM' })
  })

  test('ends by force what is deaf, after the grace, and says so to people', async () => {
    const fixture = await spawnFixture('+deaf forever')
    const { code, stdout } = await cli(['kill', await idOf(fixture.pid), '--grace', '50'])
    expect(code).toBe(0)
    expect(stdout).toMatch(new RegExp(`^killed +${fixture.pid} px: ended by SIGKILL in .*SIGTERM.*SIGKILL$`, 'm'))
    expect(stdout).toMatch(/^done: 1 killed/m)
    expect(await ended(fixture)).toEqual({ code: null, signal: 'SIGKILL' })
  })

  test('without force leaves alive what is deaf, and ends with 1', async () => {
    const fixture = await spawnFixture('+deaf forever')
    const { code, stdout } = await cli(['kill', String(fixture.pid), '--no-force', '--grace', '50'])
    expect(code).toBe(1)
    expect(stdout).toMatch(/^alive .*it did not heed the signal, and force was not allowed/m)
    expect(await runs(fixture.pid)).toBe(true)
  })

  test('sends the signal asked for, with or without SIG', async () => {
    for (const name of ['SIGHUP', 'hup']) {
      const fixture = await spawnFixture('forever')
      expect((await cli(['kill', String(fixture.pid), '--signal', name])).code).toBe(0)
      expect(await ended(fixture)).toEqual({ code: null, signal: 'SIGHUP' })
    }
  })

  test('in a dry run signals nobody, and reports the same processes', async () => {
    const fixture = await spawnFixture('tree top(left,right)')
    const args = ['kill', String(fixture.pidOf('top')), '--scope', 'tree']
    const dry = await cliJson<{ report: Report }>([...args, '--dry-run'])
    expect(dry.code).toBe(0)
    expect(dry.document.report.dryRun).toBe(true)
    expect(dry.document.report.outcomes.map(({ outcome, reason, signals }) => [outcome, reason, signals])).toEqual(
      Array(3).fill(['alive', 'dry-run', []]),
    )
    expect((await cli([...args, '--dry-run'])).stdout).toMatch(/^would end .*this is a dry run$/m)
    for (const name of ['top', 'left', 'right']) expect(await runs(fixture.pidOf(name))).toBe(true)
    const real = await cliJson<{ report: Report }>(args)
    const ids = ({ document }: typeof real) => document.report.outcomes.map(({ id }) => id).sort()
    expect(ids(real)).toEqual(ids(dry))
    expect(real.code).toBe(0)
  })

  test('refuses this process, its ancestors and pid 1', async () => {
    const { code, document } = await cliJson<{ report: Report }>(['kill', String(process.pid), '1'])
    expect(code).toBe(1)
    expect(document.ok).toBe(false)
    expect(document.report.outcomes.map(({ outcome, signals }) => [outcome, signals])).toEqual([
      ['refused', []],
      ['refused', []],
    ])
    expect((await cli(['kill', String(process.pid)])).stdout).toMatch(
      /^refused .*left alone, this process descends from it$/m,
    )
  })

  testWhere([root], 'refuses the process of another user, unless told otherwise', async () => {
    const fixture = await spawnFixture('+uid=65534 forever')
    const refused = await cli(['kill', String(fixture.pid)])
    expect(refused.code).toBe(1)
    expect(refused.stdout).toContain('it belongs to another user (--users any lifts this)')
    expect(await runs(fixture.pid)).toBe(true)
    expect((await cli(['kill', String(fixture.pid), '--users', 'any'])).code).toBe(0)
    await ended(fixture)
  })

  test('leaves alone whoever has the pid of an identity now', async () => {
    const fixture = await spawnFixture('forever')
    const identity = await identify(fixture.pid)
    const earlier = formatIdentity({ ...identity, startToken: String(BigInt(identity.startToken) - 1n), unique: null })
    const { document } = await cliJson<{ report: Report }>(['kill', earlier])
    expect(document.report.outcomes).toMatchObject([{ id: earlier, outcome: 'replaced', signals: [] }])
    expect(await runs(fixture.pid)).toBe(true)
  })

  test('of a pid that nobody has ends with 1, and ends the others', async () => {
    const fixture = await spawnFixture('forever')
    const gone = spawnSync('true').pid
    const { code, document } = await cliJson<{ missing: object[] }>(['kill', String(gone), String(fixture.pid)])
    expect(code).toBe(1)
    expect(document.missing).toMatchObject([{ pid: gone, code: 'ESRCH' }])
    await ended(fixture)
  })

  test('with --all-or-nothing signals nobody when one is missing or refused', async () => {
    const fixture = await spawnFixture('forever')
    for (const other of [String(spawnSync('true').pid), String(process.pid)]) {
      const { code } = await cli(['kill', '--all-or-nothing', String(fixture.pid), other])
      expect(code).toBe(1)
      expect(await runs(fixture.pid)).toBe(true)
    }
  })
})

describe('sweep', () => {
  test('ends what has the marker, and nobody else, without printing its value', async () => {
    const ours = await spawnFixture('tree top(left:setsid,right:double)', marked)
    const other = await spawnFixture('forever', { env: { ...process.env, CLI_TEST_MARK: 'another' } })
    const { code, stdout, document } = await cliJson<{ report: Report & { considered: number } }>([
      'sweep',
      '--env',
      'CLI_TEST_MARK',
      '--exe',
      'px',
      '--except',
      String(other.pid),
    ])
    expect(code).toBe(0)
    expect(document).toMatchObject({ command: 'sweep', ok: true })
    expect(document.report.considered).toBeGreaterThanOrEqual(3)
    const swept = document.report.outcomes.filter(({ outcome }) => outcome === 'exited')
    expect(swept).toHaveLength(3)
    expect(swept.every(({ evidence }) => evidence.length >= 2)).toBe(true)
    expect(stdout).not.toContain(secret)
    expect(await runs(other.pid)).toBe(true)
    await ended(ours)
  })

  test('in a dry run shows the evidence, and leaves everybody alive', async () => {
    const fixture = await spawnFixture(['forever', 'worker', '--lane', 'two words'], marked)
    const args = ['--exe', 'px', '--arg', 'worker', '--args-sequence', '--lane "two words"', '--env', 'CLI_TEST_MARK']
    const { code, stdout } = await cli(['sweep', ...args, '--dry-run'])
    expect(code).toBe(0)
    expect(stdout).toMatch(new RegExp(`^would end +${fixture.pid} px: `, 'm'))
    expect(stdout).toMatch(/^ +✓ exe: px, found \/.*px$/m)
    expect(stdout).toMatch(/^ +✓ env\.CLI_TEST_MARK: set$/m)
    expect(stdout).toMatch(/^dry run: 1 would end/m)
    expect(stdout).not.toContain(secret)
    expect(await runs(fixture.pid)).toBe(true)
  })

  test('does not take a part of an argument or a name for the whole', async () => {
    const fixture = await spawnFixture(['forever', 'please end the worker'], marked)
    for (const args of [
      ['--arg', 'worker'],
      ['--name', 'p'],
      ['--exe', 'x'],
      ['--args-sequence', 'the worker'],
    ]) {
      const { code, stdout } = await cli(['sweep', ...args, '--env', 'CLI_TEST_MARK'])
      expect(code).toBe(0)
      expect(stdout).toContain('Nothing of ours was found.')
    }
    expect(await runs(fixture.pid)).toBe(true)
  })

  test('leaves alone what is younger than asked for', async () => {
    const fixture = await spawnFixture('forever', marked)
    const { stdout } = await cli(['sweep', '--env', `CLI_TEST_MARK=${secret}`, '--older-than', '3600000'])
    expect(stdout).toContain('Nothing of ours was found.')
    expect(await runs(fixture.pid)).toBe(true)
  })
})

describe('takeover', () => {
  test('ends our own holder, and the port can be bound', async () => {
    const fixture = await spawnFixture('listen 127.0.0.1', marked)
    const id = await idOf(fixture.pid)
    const { code, document, stdout } = await cliJson<{ report: { outcome: string; ports: object[] } }>([
      'takeover',
      `127.0.0.1:${fixture.port}`,
      '--exe',
      'px',
      '--env',
      'CLI_TEST_MARK',
    ])
    expect(code).toBe(0)
    expect(document).toMatchObject({ command: 'takeover', ok: true, report: { outcome: 'taken-over' } })
    expect(document.report.ports).toMatchObject([{ free: true, verdicts: [{ id, verdict: 'ours' }] }])
    expect(stdout).not.toContain(secret)
    expect(await canListen(fixture.port)).toBe(true)
    await ended(fixture)
  })

  test('of a port that somebody else holds is refused, with the evidence, and nobody is signalled', async () => {
    const ours = await spawnFixture('listen 127.0.0.1', marked)
    const foreign = await spawnFixture('listen 127.0.0.1')
    const args = ['takeover', String(ours.port), String(foreign.port), '--exe', 'px', '--env', 'CLI_TEST_MARK']
    const { code, stdout } = await cli(args)
    expect(code).toBe(1)
    expect(stdout).toMatch(new RegExp(`^ +${ours.pid} px: ours$`, 'm'))
    expect(stdout).toMatch(new RegExp(`^ +${foreign.pid} px: foreign$`, 'm'))
    expect(stdout).toMatch(/^ +✗ env\.CLI_TEST_MARK: set$/m)
    expect(stdout).toMatch(/^refused: a holder is not ours\. Nothing was signalled\./m)
    const json = await cliJson(args)
    expect(json.document).toMatchObject({
      ok: false,
      error: { code: 'ERR_TAKEOVER_REFUSED' },
      report: { outcome: 'refused', reason: 'foreign-owner' },
    })
    expect(await runs(ours.pid)).toBe(true)
    expect(await runs(foreign.pid)).toBe(true)
  })

  test('in a dry run leaves the holder alive', async () => {
    const fixture = await spawnFixture('listen 127.0.0.1', marked)
    const { code, stdout } = await cli(['takeover', String(fixture.port), '--env', 'CLI_TEST_MARK', '--dry-run'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^dry run: 1 port could be taken over/m)
    expect(await runs(fixture.pid)).toBe(true)
  })

  test('of a free port has nothing to do', async () => {
    const fixture = await spawnFixture('listen 127.0.0.1')
    const { port } = fixture
    await fixture.end()
    const { code, stdout } = await cli(['takeover', String(port), '--exe', 'px'])
    expect(code).toBe(0)
    expect(stdout).toMatch(new RegExp(`^${port} {2}was free\nfree: nobody had to be ended`))
  })

  testWhere([root], 'of a port whose holder cannot be seen is refused', async () => {
    const fixture = await spawnFixture('listen 127.0.0.1', marked)
    const { code, document } = await cliJson(['takeover', String(fixture.port), '--exe', 'px'], {
      uid: 65534,
      gid: 65534,
    })
    expect(code).toBe(1)
    expect(document).toMatchObject({ report: { outcome: 'refused', reason: 'invisible-owner' } })
    expect(await runs(fixture.pid)).toBe(true)
  })
})

describe('docs/cli-json.md', () => {
  /** Names of all members, at any depth. */
  function membersOf(value: unknown): string[] {
    if (typeof value !== 'object' || value === null) return []
    const own = Array.isArray(value) ? [] : Object.keys(value)
    return [...own, ...Object.values(value).flatMap(membersOf)]
  }

  test('names every member that the commands print', async () => {
    const documented = new Set(readFileSync(join(repository, 'docs', 'cli-json.md'), 'utf8').match(/\w+/g))
    const fixture = await spawnFixture('listen 127.0.0.1', marked)
    const pid = String(fixture.pid)
    const ours = ['--exe', 'px', '--env', 'CLI_TEST_MARK']
    for (const args of [
      [
        'ls',
        '--fields',
        'name,exe,argv,cwd,uid,user,state,parent,group,startedAt,cpu,memory,title,unique',
        '--name',
        'px',
      ],
      ['show', pid, '--env', 'PATH'],
      ['tree', pid],
      ['port', String(fixture.port)],
      ['doctor', pid],
      ['wait', pid, '--timeout', '0'],
      ['sweep', ...ours, '--dry-run'],
      ['takeover', String(fixture.port), ...ours, '--dry-run'],
      ['takeover', String(fixture.port), '--name', 'another'],
      ['kill', pid, String(process.pid)],
      ['kill', pid],
    ]) {
      const { document } = await cliJson(args)
      expect(membersOf(document).length).toBeGreaterThan(2)
      const named = membersOf(document).filter((name) => name !== 'PATH')
      expect(named.filter((name) => !documented.has(name))).toEqual([])
    }
    await ended(fixture)
  })
})
