// The main job on real processes: what a crashed application left behind is found, judged and ended, its port is free
// again, and a look-alike that belongs to somebody else lives. Ends with exit code 1 if any of it did not come true.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { cpSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { connect, createServer } from 'node:net'
import { constants, tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const require = createRequire(import.meta.url)
const pidproof = require(join(root, 'dist/index.js'))
const { examinePort, renderPort } = require(join(root, 'dist/cli/port-answer.js'))
const { renderSweep } = require(join(root, 'dist/cli/report.js'))
const { renderTakeover } = require(join(root, 'dist/cli/takeover-report.js'))
const { layTree, renderTree } = require(join(root, 'dist/cli/tree.js'))
const { createUi } = require(join(root, 'dist/cli/ui.js'))

const ui = createUi(process.stdout, process.stderr)
const { bold, dim, green, red } = ui.colours
const application = join(root, 'test/fixtures/demo')
const run = randomBytes(6).toString('hex')
const marker = `notes-${run}`
const readyWithinMs = 10_000
const graceMs = 1000
const folders = []
let isStopping = false

// ---- starting and cleaning up

/** Starts a program of the application; resolves with pid and port by role once it says that it is ready. */
function start(role, { folder = application, env, ...options }) {
  if (isStopping) throw new Error('interrupted')
  const child = spawn(process.execPath, [join(folder, `${role}.cjs`), '--port', '0'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // Everything that the demo starts has its number, so that nothing of it is left behind.
    env: { PATH: process.env.PATH, DEMO_RUN: run, ...env },
    ...options,
  })
  const roles = {}
  return new Promise((resolve, reject) => {
    let complaint = ''
    child.stderr.on('data', (said) => {
      complaint += said
    })
    const timer = setTimeout(() => reject(new Error(`${role} was not ready within ${readyWithinMs} ms`)), readyWithinMs)
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      const said = /^\w*Error: .*/m.exec(complaint)?.[0] ?? ''
      reject(new Error(`${role} ended before it was ready: ${signal ?? code} ${said}`.trim()))
    })
    createInterface({ input: child.stdout }).on('line', (line) => {
      const [, name, pid, port] = /^ready (\w+) (\d+) ?(\d*)$/.exec(line) ?? []
      if (name) roles[name] = { pid: Number(pid), port: Number(port) }
      if (name !== role) return
      clearTimeout(timer)
      child.stdout.unref()
      child.stderr.unref()
      resolve(roles)
    })
  })
}

/** Ends whatever has the number of this run, by identity, until a look finds nobody. */
async function cleanUp() {
  for (let look = 0; look < 10; look++) {
    const left = await pidproof.listProcesses({ fields: ['state'], where: { env: { DEMO_RUN: run } } })
    const alive = left.filter(({ state }) => state !== 'zombie')
    if (alive.length === 0) break
    await pidproof.terminate(alive, { graceMs: 0, users: 'any' })
  }
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
}

async function stop(exitCode) {
  if (isStopping) return
  isStopping = true
  await cleanUp()
  process.exit(exitCode)
}

// They can come twice: from the terminal to all of the group, and passed on by npm.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stop(128 + constants.signals[signal]))
process.on('uncaughtException', (error) => {
  console.error(error)
  stop(1)
})
// Whoever reads may have seen enough; it is carried through all the same.
process.stdout.on('error', () => undefined)

// ---- showing

let phase = 0
const headline = (title) => console.log(`\n${bold(`${++phase}. ${title}`)}\n`)
const say = (line) => console.log(`   ${line}`)
const show = (rendered) => console.log(rendered.replace(/^(?=.)/gm, '   ').trimEnd())
const narrow = { ...ui, width: ui.width && ui.width - 3 }

let failures = 0
/** One thing that has to come true. */
function check(what, holds) {
  if (!holds) failures++
  say(`${holds ? green(ui.unicode ? '✓' : 'ok ') : red(ui.unicode ? '✗' : 'NOT')} ${what}`)
}

async function showTree() {
  const fields = ['name', 'argv', 'state', 'parent']
  const processes = await pidproof.listProcesses({ fields, where: { env: { DEMO_RUN: run } } })
  // Where it lies says nothing here, and every line would begin with it.
  const short = processes.map((one) => ({ ...one, argv: one.argv.map((argument) => argument.replace(`${root}/`, '')) }))
  show(renderTree(layTree(short), narrow))
}

async function showPort(port) {
  show(renderPort(await examinePort({ port }, await pidproof.portOwners(port)), narrow))
}

// ---- looking for oneself, without the library where there is a way

const isRunning = async (identity) => (await pidproof.verify(identity)) === 'running'
const hasEnded = async (identity) => ['gone', 'zombie', 'replaced'].includes(await pidproof.verify(identity))
const allOf = async (identities, test) => (await Promise.all(identities.map(test))).every(Boolean)

/** The line with which the server on a port answers, or '' when nobody does. */
function ask(port) {
  const socket = connect(port, '127.0.0.1').setEncoding('utf8')
  return new Promise((resolve) => {
    socket.setTimeout(5000, () => resolve(''))
    socket.once('error', () => resolve(''))
    socket.once('data', resolve)
  }).finally(() => socket.resetAndDestroy())
}

function canListen(port) {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/** The worker stops itself right after it has said that it is ready. */
async function untilStopped(identity) {
  const deadline = performance.now() + 5000
  for (;;) {
    const { state } = await pidproof.readProcess(identity, { fields: ['state'] })
    if (state === 'stopped') return
    if (performance.now() > deadline) throw new Error(`the worker did not stop: it is ${state}`)
  }
}

// ---- the story

/** The same program, not ours: of another user with the very same words and marker, or of another checkout. */
async function startLookAlike() {
  const env = { DEMO_ALONE: '1', DEMO_APP: marker }
  if (process.getuid?.() === 0) {
    try {
      const roles = await start('backend', { env, uid: 65534, gid: 65534, cwd: '/' })
      return {
        ...roles.backend,
        what: 'same program, same arguments, same marker, but started by another user (65534)',
      }
    } catch (error) {
      if (isStopping) throw error
      say(dim(`No look-alike of another user here (${error.message}); one of another checkout instead.`))
    }
  }
  const folder = mkdtempSync(join(tmpdir(), 'pidproof-demo-'))
  folders.push(folder)
  cpSync(application, folder, { recursive: true })
  const roles = await start('backend', { folder, env: { ...env, DEMO_APP: `other-${run}` } })
  return { ...roles.backend, what: 'the same program of the same user, but of another checkout with another marker' }
}

async function main() {
  headline('An application crashes')
  const roles = await start('host', { env: { DEMO_APP: marker }, detached: true })
  const identities = {}
  for (const role of ['host', 'backend', 'watcher', 'renderer', 'worker', 'indexer']) {
    identities[role] = await pidproof.identify(roles[role].pid)
  }
  const { host, ...left } = identities
  const orphans = Object.values(left)
  const { port } = roles.backend
  const lookAlike = await startLookAlike()
  const stranger = await pidproof.identify(lookAlike.pid)
  say(`The host started a backend on port ${port}, and that its helpers, each in a process group of its own:`)
  say(
    `indexer ${dim('double-forked')}, watcher ${dim('ignores SIGTERM')}, renderer with a worker ${dim('stopped and deaf to SIGTERM')}.`,
  )
  say(`On port ${lookAlike.port} there is a look-alike of the backend: ${lookAlike.what}.`)
  await pidproof.signalProcess(host, 'SIGKILL')
  await pidproof.waitForExit(host, { timeoutMs: 5000 })
  say(`The host was killed. This is what it left behind:\n`)
  await untilStopped(left.worker)
  await showTree()
  console.log()
  await showPort(port)
  await showPort(lookAlike.port)

  const script = join(application, 'backend.cjs')
  const ours = pidproof.signature({
    exe: basename(realpathSync(process.execPath)),
    argv: pidproof.argv.scriptPath(script),
    env: { DEMO_APP: marker },
  })
  headline(`Both ports at once, please: ${port} and ${lookAlike.port}`)
  const refusal = await pidproof.takeOverPorts({ ports: [port, lookAlike.port], ours }).catch((error) => error)
  if (refusal.code !== 'ERR_TAKEOVER_REFUSED') throw refusal
  show(renderTakeover(refusal.report, narrow))
  console.log()
  check('nobody was signalled: all of them still run', await allOf([...orphans, stranger], isRunning))
  check(
    'both backends answer',
    (await answersFrom(port, left.backend)) && (await answersFrom(lookAlike.port, stranger)),
  )

  headline(`Port ${port} alone: taken over, with the tree of its holder`)
  const takeover = await pidproof.takeOverPorts({ ports: port, ours, graceMs })
  show(renderTakeover(takeover, narrow))

  headline('What is not in that tree any more: swept by the marker')
  const swept = await pidproof.sweep({ ours: { env: { DEMO_APP: marker } }, graceMs })
  show(renderSweep(swept, narrow))

  headline('After')
  await showTree()
  await showPort(port)
  await showPort(lookAlike.port)
  console.log()
  for (const [role, identity] of Object.entries(left))
    check(`the ${role} (${identity.pid}) has ended`, await hasEnded(identity))
  check(`port ${port} can be bound`, await canListen(port))
  check(
    `the look-alike (${stranger.pid}) runs, and answers on port ${lookAlike.port}`,
    (await isRunning(stranger)) && (await answersFrom(lookAlike.port, stranger)),
  )
}

async function answersFrom(port, { pid }) {
  return (await ask(port)) === `backend ${pid}\n`
}

try {
  await main()
} catch (error) {
  failures++
  if (!isStopping) console.error(red(`\nThe demo failed: ${error?.stack ?? error}`))
}
if (!isStopping) {
  await cleanUp()
  const verdict = failures === 0 ? green('All of it came true.') : red(`${failures} did not come true.`)
  console.log(`\n${bold(verdict)}`)
  process.exitCode = failures === 0 ? 0 : 1
}
