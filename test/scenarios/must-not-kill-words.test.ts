import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { argv } from '../../lib/argv'
import type { SignatureParts } from '../../lib/signature'
import { sweep } from '../../lib/sweep'
import { fateOf, local, sweepEveryWay, takeOverEveryWay } from '../helpers/acts'
import { pxPath, repository } from '../helpers/build-fixtures'
import { type Fixture, spawnProgram } from '../helpers/fixture'
import { describeWhere, linux } from '../helpers/guards'
import { livesByHand } from '../helpers/proc-by-hand'
import { harmTo, witness } from '../helpers/witness'

const folder = linux.isMet ? mkdtempSync(join(tmpdir(), 'pidproof-words-')) : ''
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Program {
  readonly command: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

interface Case {
  readonly title: string
  readonly ours: SignatureParts
  readonly ended: Program
  readonly spared: readonly Program[]
}

const px = (...words: string[]): Program => ({ command: [pxPath(), 'listen', '127.0.0.1', ...words] })
const under = (modifier: string): Program => ({ command: [pxPath(), modifier, 'listen', '127.0.0.1'] })
const withName = (name: string) => under(`+name=${Buffer.from(name).toString('hex')}`)
const withVariables = (env: Record<string, string>): Program => ({ ...px(), env })

/** A program file of that name in the temporary folder. */
function copied(source: string, path: string): string {
  const copy = join(folder, path)
  mkdirSync(dirname(copy), { recursive: true })
  copyFileSync(source, copy)
  return copy
}

const inFolder = (path: string) => {
  mkdirSync(join(folder, path), { recursive: true })
  return { ...px(), cwd: join(folder, path) }
}
const copyOfPx = (path: string): Program => ({ command: [copied(pxPath(), path), 'listen', '127.0.0.1'] })
const programs = join(repository, 'test', 'fixtures', 'programs')
const node = (path: string, ...words: string[]): Program => {
  return { command: [process.execPath, copied(join(programs, 'listener.cjs'), path), ...words] }
}
const pythonPath = () =>
  execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' }).trim()
const python = (...words: string[]): Program => ({ command: [pythonPath(), ...words], cwd: folder })
const pythonFile = (name: string) => copied(join(programs, 'listener.py'), name)

const prompt = 'please run backend.js --port 3000 in /srv/app'

const cases: readonly (() => Case)[] = [
  () => ({
    title: 'a role word inside another word, an option, a path or a sentence',
    ours: { argv: 'server' },
    ended: px('server'),
    spared: ['my-server', 'server2', '/opt/server/x', '--server', 'role=server', 'Server', 'the server'].map((w) =>
      px(w),
    ),
  }),
  () => ({
    title: 'the words of a sequence in another order or shape',
    ours: { argv: argv.sequence('--role', 'backend') },
    ended: px('--role', 'backend'),
    spared: [px('--role=backend'), px('backend', '--role'), px('--role', 'x', 'backend'), px('--role', 'backend2')],
  }),
  () => ({
    title: 'the same words in a text argument',
    ours: { argv: [argv.token('backend.js'), argv.sequence('--port', '3000')] },
    ended: px('backend.js', '--port', '3000'),
    spared: [px('--prompt', prompt), px(`backend.js --port 3000`)],
  }),
  () => ({
    title: 'a script of another name, or one that is only spoken of',
    ours: { argv: argv.scriptPath('backend.js') },
    ended: node('backend.js'),
    spared: [node('mybackend.js'), node('agent.cjs', '--prompt', prompt), node('run.cjs', join(folder, 'backend.js'))],
  }),
  () => ({
    title: 'a script path that ends alike, but not at a component boundary',
    ours: { argv: argv.scriptPath('app/er.js') },
    ended: node('app/er.js'),
    spared: [node('app/server.js'), node('myapp/er.js')],
  }),
  () => {
    pythonFile('mymod.py')
    return {
      title: '-m and the module as plain arguments of another script or program',
      ours: { argv: argv.module('mymod') },
      ended: python('-m', 'mymod'),
      spared: [python(pythonFile('tool.py'), '-m', 'mymod'), python('-m', 'tool', 'mymod'), px('-m', 'mymod')],
    }
  },
  () => ({
    title: 'an executable whose path ends alike, but not at a component boundary',
    ours: { exe: 'tools/agent' },
    ended: copyOfPx('tools/agent'),
    spared: [copyOfPx('tools/myagent'), copyOfPx('mytools/agent'), copyOfPx('agent'), px('tools/agent')],
  }),
  () => ({
    title: 'a longer name',
    ours: { name: 'worker' },
    ended: withName('worker'),
    spared: [withName('worker2'), withName('my-worker'), px('worker')],
  }),
  () => ({
    title: 'another value of the variable, or the same text elsewhere',
    ours: { env: { ROLE: 'backend' } },
    ended: withVariables({ ROLE: 'backend' }),
    spared: [
      withVariables({ ROLE: 'backend2' }),
      withVariables({ MYROLE: 'backend' }),
      withVariables({ role: 'backend' }),
      withVariables({ OTHER: 'ROLE=backend' }),
      px('ROLE=backend'),
    ],
  }),
  () => ({
    title: 'a working directory that ends alike',
    ours: { cwd: 'srv/app' },
    ended: inFolder('srv/app'),
    spared: [inFolder('mysrv/app'), inFolder('srv/myapp'), inFolder('srv/app/sub'), inFolder('app')],
  }),
]

const scopes = ['process', 'group', 'tree'] as const

/** All of them carry the marker of the test, so that nobody outside of it can ever match. */
function launch({ command, env, cwd }: Program, mark: string): Promise<Fixture> {
  const marked = { ...process.env, ...env, PIDPROOF_TEST_MARK: mark }
  return spawnProgram(command, { env: marked, cwd: cwd ?? folder, detached: true })
}

async function tryCase({ ours: parts, ended, spared }: Case): Promise<void> {
  const mark = randomUUID()
  const ours: SignatureParts = { ...parts, env: { ...parts.env, PIDPROOF_TEST_MARK: mark } }
  const others = await Promise.all(spared.map((program) => launch(program, mark)))
  const before = witness(...others.map(({ pid }) => pid))
  for (const { port } of others) {
    const answers = await takeOverEveryWay(local(port), ours)
    expect(answers.map(({ takeover }) => takeover)).toEqual(scopes.map(() => 'refused foreign-owner'))
  }
  for (const scope of scopes) {
    const doomed = await launch(ended, mark)
    const { outcomes, ok } = await sweep({ ours, scope, graceMs: 1000, killWaitMs: 5000 })
    expect(outcomes.map(({ identity, outcome }) => [identity.pid, outcome])).toEqual([[doomed.pid, 'exited']])
    expect([ok, livesByHand(doomed.pid)]).toEqual([true, false])
  }
  expect(harmTo(before)).toEqual([])
}

describeWhere([linux], 'a signature matches what it says and nothing that only looks like it:', () => {
  test.each((linux.isMet ? cases : []).map((make) => make()))('spares $title', tryCase)

  test('spares who has everything but the marker', async () => {
    const [mark, other] = [randomUUID(), randomUUID()]
    const ours: SignatureParts = {
      exe: pxPath(),
      name: 'px',
      argv: ['listen', argv.sequence('127.0.0.1', 'twin')],
      cwd: folder,
      env: { PIDPROOF_TEST_MARK: mark },
    }
    const twins = await Promise.all([other, `${mark}0`, mark.slice(1), ''].map((value) => launch(px('twin'), value)))
    const before = witness(...twins.map(({ pid }) => pid))
    const own = await launch(px('twin'), mark)
    const swept = await sweepEveryWay(ours)
    expect(fateOf(own.pid, swept)['sweep process']).toContain('exited')
    expect(swept.flatMap(({ outcomes }) => outcomes.map(({ identity }) => identity.pid))).toEqual([own.pid])
    for (const { port } of twins) {
      const taken = await takeOverEveryWay(local(port), ours)
      expect(new Set(taken.map(({ takeover }) => takeover))).toEqual(new Set(['refused foreign-owner']))
    }
    expect(harmTo(before)).toEqual([])
  })
})
