// The measurements; runs inside the pid namespace that run.mjs made and prints the rows as JSON.

import { once, setMaxListeners } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { listProcesses, portOwners, signature, sweep, terminate, waitForExit } from '../../dist/index.mjs'
import * as tools from './tools.mjs'

const { build, quick, only } = JSON.parse(process.argv[2])
const here = dirname(fileURLToPath(import.meta.url))
const NOBODY = { PIDPROOF_BENCH_MARK: 'nobody-has-this' }

const rows = []
const absent = []
const floor = new tools.Floor(join(build, 'floor'))
const crowd = new tools.Crowd(join(build, 'crowd'))

const wanted = (group) => !only || only.includes(group)
const progress = (text) => process.stderr.write(`bench: ${text}\n`)
const floorRun = (mode) => async (times) => (await floor.scan(mode, times)).times

/** What takes longer gets fewer turns: `ps` takes a fifth of a second for 5,000 processes. */
function pace(processes) {
  if (quick) return { rounds: 3, repetitions: 3 }
  if (processes >= 5000) return { rounds: 9, repetitions: 3 }
  return processes >= 1000 ? { rounds: 25, repetitions: 4 } : { rounds: 25, repetitions: 12 }
}

/** Where a peer that starts programs is in the race. */
function slowPace(processes) {
  if (quick) return { rounds: 3, repetitions: 2 }
  return processes >= 5000 ? { rounds: 7, repetitions: 2 } : { rounds: 15, repetitions: 3 }
}

function add(what, processes, value, comparison) {
  rows.push({ what, processes, value, ...comparison })
}

const share = (against, other, target) => ({ against, other, target, kind: 'share' })
const faster = (against, other, target) => ({ against, other, target, kind: 'faster' })
const limit = (target, unit) => ({ against: '', target, kind: 'limit', unit })

async function usable(name, load, works) {
  const call = await tools.peer(load, works)
  if (!call) absent.push(name)
  return call
}

async function measureList(processes, psList) {
  const list = () => listProcesses({ fields: ['name', 'argv'] })
  const seen = (await list()).length
  if (Math.abs(seen - processes) > 2) throw new Error(`listed ${seen} of ${processes} processes`)
  const fast = await tools.race({ ours: tools.repeated(list), floor: floorRun('list') }, pace(processes))
  const what = 'list: identity, parent, name, argv'
  add(what, processes, fast.ours, share('C floor', fast.floor, processes <= 100 ? 1.5 : 0.8))
  if (!psList) return
  const peers = await tools.race({ ours: tools.repeated(list), psList: tools.repeated(psList) }, slowPace(processes))
  add(what, processes, peers.ours, faster('ps-list', peers.psList, 5))
}

async function measureSweep(processes) {
  const scan = () => listProcesses({ fields: [], where: { uid: process.getuid(), env: NOBODY } })
  const whole = () => sweep({ ours: signature({ env: NOBODY }) })
  const times = await tools.race(
    { scan: tools.repeated(scan), whole: tools.repeated(whole), floor: floorRun('environ') },
    pace(processes),
  )
  add('scan for a marker nobody has', processes, times.scan, share('C floor', times.floor, 0.8))
  add('sweep({ ours }) with that marker', processes, times.whole, share('C floor', times.floor, 0.8))
  await measureHold(processes, whole)
}

/**
 * How long the loop is held, in two ways. Turning it as fast as it goes shows the longest turn, but makes the loop
 * compete for a core with the scan's own threads. Leaving it idle and asking Node how long it was active gives
 * everything that was done on it in sum, so the longest hold is no longer than that.
 */
async function measureHold(processes, action) {
  const turns = []
  const active = []
  for (let round = 0; round < (quick ? 5 : 25); round++) {
    await tools.quietMoment()
    const begun = performance.eventLoopUtilization()
    const duration = await tools.timed(action)
    active.push(performance.eventLoopUtilization(begun).active)
    const idle = tools.longestTurn()
    await sleep(Math.max(10, duration))
    const baseline = idle()
    const busy = tools.longestTurn()
    await action()
    turns.push(Math.max(0, busy() - baseline))
  }
  add('… longest turn of a busy event loop', processes, tools.median(turns), limit(2))
  add('… event loop active in all', processes, tools.median(active), limit(2))
}

async function measurePort(processes, peers) {
  const server = createServer().listen(0)
  await once(server, 'listening')
  const { port } = server.address()
  const ours = () => portOwners(port)
  const owners = (await ours()).listeners.flatMap((listener) => listener.owners)
  if (owners.length !== 1 || owners[0].pid !== process.pid) throw new Error('the wrong owners were found')
  const contestants = { ours: tools.repeated(ours) }
  for (const [name, { call }] of Object.entries(peers)) contestants[name] = tools.repeated(() => call(port))
  const times = await tools.race(contestants, slowPace(processes))
  for (const [name, { target }] of Object.entries(peers)) {
    if (target(processes)) add('port → all owners', processes, times.ours, faster(name, times[name], target(processes)))
  }
  server.close()
}

/** Counts the files below /proc/<pid> that are opened while a port is looked up, as strace sees it. */
async function measureFreePort(processes) {
  const folder = mkdtempSync(join(tmpdir(), 'pidproof-bench-'))
  const trace = join(folder, 'trace')
  try {
    const watched = ['-f', '-qq', '-o', trace, '-e', 'trace=%file', process.execPath, join(here, 'free-port.mjs')]
    if ((await tools.output('strace', watched)) === undefined || !existsSync(trace)) {
      absent.push('strace')
      return
    }
    const [free, held] = openedBetweenMarks(readFileSync(trace, 'utf8'))
    if (held < processes) throw new Error(`only ${held} opened entries were seen for a held port`)
    add('/proc/<pid> entries opened for a free port', processes, free, {
      ...limit(0, 'entries'),
      against: `held port ${held}`,
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function openedBetweenMarks(text) {
  const parts = text.split(/^.*pidproof-bench-mark.*$/m)
  if (parts.length !== 4) throw new Error(`the trace has ${parts.length - 1} marks instead of 3`)
  return parts.slice(1, 3).map((part) => part.match(/"(?:\/proc\/)?[1-9]\d*(?:\/[^"]*)?"/g)?.length ?? 0)
}

async function measureEnding() {
  const GRACE_MS = 1000
  const times = []
  for (let round = 0; round < (quick ? 1 : 5); round++) {
    const pids = await crowd.start('deaf', 1000)
    await tools.quietMoment()
    const targets = await listProcesses({ fields: ['name', 'unique'], where: { pid: pids } })
    let report
    times.push(
      await tools.timed(async () => {
        report = await terminate(targets, { graceMs: GRACE_MS })
      }),
    )
    const killed = report.outcomes.filter((outcome) => outcome.outcome === 'killed').length
    if (killed !== 1000) throw new Error(`${killed} of 1000 processes were reported as killed`)
    await crowd.end()
  }
  add('end 1,000 that ignore SIGTERM', 1000, tools.median(times), share('the grace of', GRACE_MS, 1.3))
}

/** From the signal to the callback, one process after the other, with thousands of other waits pending. */
async function measureWaits(pids) {
  const targets = await listProcesses({ fields: ['unique'], where: { pid: pids } })
  const stop = new AbortController()
  setMaxListeners(0, stop.signal)
  const latencies = []
  const waits = targets.map(({ identity }) =>
    waitForExit(identity, { signal: stop.signal, keepAlive: true }).catch(() => {}),
  )
  await sleep(1000)
  await tools.quietMoment()
  for (let i = 0; i < 200; i++) {
    const victim = Math.floor((i * targets.length) / 200)
    const begun = tools.now()
    process.kill(targets[victim].pid, 'SIGKILL')
    await waits[victim]
    latencies.push(tools.now() - begun)
    await sleep(5)
  }
  stop.abort()
  await Promise.all(waits)
  add(
    `exit notice, ${targets.length.toLocaleString('en')} waits pending, p99`,
    undefined,
    tools.quantile(latencies, 0.99),
    limit(5),
  )
  add(
    `exit notice, ${targets.length.toLocaleString('en')} waits pending, median`,
    undefined,
    tools.median(latencies),
    limit(5),
  )
}

async function run() {
  const psList =
    wanted('list') &&
    (await usable(
      'ps-list',
      async () => (await import('ps-list')).default,
      async (list) => (await list()).length > 0,
    ))
  const port = {}
  if (wanted('port')) {
    const probe = createServer().listen(0)
    await once(probe, 'listening')
    const peers = {
      'pid-port': [
        async () => pidPort((await import('pid-port')).portToPid),
        (processes) => (processes <= 100 ? 8 : processes >= 5000 ? 3 : undefined),
      ],
      'find-process': [
        async () => findProcess((await import('find-process')).default),
        (processes) => (processes <= 100 ? 8 : processes >= 5000 ? 3 : undefined),
      ],
      'ss -Hltnp': [
        async () => () => tools.output('ss', ['-Hltnp']),
        (processes) => (processes >= 5000 ? 2 : undefined),
      ],
    }
    for (const [name, [load, target]] of Object.entries(peers)) {
      const call = await usable(name, load, async (find) => Boolean(await find(probe.address().port)))
      if (call) port[name] = { call, target }
    }
    probe.close()
  }
  for (const processes of [100, 1000, 5000]) {
    progress(`${processes} processes`)
    await crowd.fillUp(processes)
    if (wanted('list')) await measureList(processes, psList)
    if (wanted('sweep') && processes > 100) await measureSweep(processes)
    if (wanted('port')) await measurePort(processes, port)
    if (wanted('port') && processes === 1000) await measureFreePort(processes)
  }
  await crowd.end()
  if (wanted('wait')) await waitsOf5000()
  if (wanted('end')) await measureEnding()
}

async function waitsOf5000() {
  progress('5,000 waits')
  await measureWaits(await crowd.start('idle', 5000))
  await crowd.end()
}

/** Without a host it looks at loopback addresses only. */
function pidPort(portToPid) {
  return (port) => portToPid({ port, host: '*' })
}

function findProcess(find) {
  return (port) => find('port', port)
}

await run()
await Promise.all([floor.close(), crowd.close()])
process.stdout.write(JSON.stringify({ rows, absent, moments: tools.moments }))
