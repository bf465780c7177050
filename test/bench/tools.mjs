// What the measurements share: child programs that answer line by line, medians, interleaved rounds.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

const ANSWER_MS = 60_000

/** A child program that answers every line on its standard input with one line. */
export class Answerer {
  #child
  #lines

  constructor(program) {
    this.#child = spawn(program, [], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#lines = createInterface({ input: this.#child.stdout })
    this.pid = this.#child.pid
  }

  async ask(line) {
    const answer = once(this.#lines, 'line', { signal: AbortSignal.timeout(ANSWER_MS) })
    this.#child.stdin.write(`${line}\n`)
    return (await answer)[0]
  }

  async close() {
    const closed = once(this.#child, 'close')
    this.#child.stdin.end()
    await closed
  }
}

/** The floor program: `scan('list', 5)` is five durations in milliseconds, measured by itself. */
export class Floor extends Answerer {
  async scan(mode, iterations) {
    const [count, ...nanoseconds] = (await this.ask(`${mode} ${iterations}`)).split(' ').map(Number)
    return { count, times: nanoseconds.map((value) => value / 1e6) }
  }
}

/** The crowd program: starts idle or deaf processes and tells their pids when all of them are ready. */
export class Crowd extends Answerer {
  async start(mode, count) {
    return (await this.ask(`${mode} ${count}`)).split(' ').map(Number)
  }

  /** Adds idle processes until `total` are alive in this pid namespace. */
  async fillUp(total) {
    const missing = total - countProcesses()
    return missing > 0 ? this.start('idle', missing) : []
  }

  async end() {
    await this.ask('end')
  }
}

export function countProcesses() {
  return readdirSync('/proc').filter((name) => /^[1-9]/.test(name)).length
}

export function now() {
  return Number(process.hrtime.bigint()) / 1e6
}

export async function timed(action) {
  const begun = now()
  await action()
  return now() - begun
}

export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
}

export function median(values) {
  return quantile(values, 0.5)
}

/** Calls `action` several times in a row; the durations in milliseconds. */
export function repeated(action) {
  return async (times) => {
    const durations = []
    for (let i = 0; i < times; i++) durations.push(await timed(action))
    return durations
  }
}

function processorTicks() {
  const ticks = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0].trim().split(/\s+/).slice(1, 9).map(Number)
  return { idle: ticks[3] + ticks[4], all: ticks.reduce((sum, value) => sum + value, 0) }
}

/** How often a measurement began, and how often other work kept the processors busy and would not end. */
export const moments = { all: 0, busy: 0 }

const MOST_WAIT_MS = 3000
let patienceMs = 120_000

/**
 * Waits for the processors to be idle, as what else the machine does is not to be measured: for a while, and not
 * for ever on a machine that never is.
 */
export async function quietMoment() {
  moments.all++
  const begun = now()
  const end = begun + Math.min(MOST_WAIT_MS, patienceMs)
  while (now() < end) {
    const before = processorTicks()
    await sleep(50)
    const after = processorTicks()
    if (after.idle - before.idle >= 0.9 * (after.all - before.all)) return
  }
  moments.busy++
  patienceMs -= now() - begun
}

/** Until the code is compiled and the caches are filled, or a good part of a second has gone. */
async function warmUp(contestant) {
  const end = now() + 300
  for (let calls = 0; calls < 100 && now() < end; calls++) await contestant(1)
}

/**
 * Lets all contestants run in turn, round after round, so that whatever else the machine does hits all of them.
 * A contestant is a function from a number of repetitions to that many durations; the answer has one median each.
 */
export async function race(contestants, { rounds, repetitions }) {
  const names = Object.keys(contestants)
  const durations = Object.fromEntries(names.map((name) => [name, []]))
  for (const name of names) await warmUp(contestants[name])
  for (let round = 0; round < rounds; round++) {
    await quietMoment()
    const order = round % 2 === 0 ? names : [...names].reverse()
    for (const name of order) durations[name].push(...(await contestants[name](repetitions)))
  }
  return Object.fromEntries(names.map((name) => [name, median(durations[name])]))
}

/** Standard output of a program, or undefined where it is not installed. */
export function output(program, args) {
  return new Promise((resolve, reject) => {
    execFile(program, args, { maxBuffer: 1 << 26, timeout: ANSWER_MS }, (error, stdout) => {
      if (error?.code === 'ENOENT') resolve(undefined)
      else if (error && !stdout) reject(error)
      else resolve(stdout)
    })
  })
}

/** Loads a package for comparison, or undefined where it or the program it starts does not work. */
export async function peer(load, works) {
  try {
    const call = await load()
    return (await works(call)) ? call : undefined
  } catch {
    return undefined
  }
}

/** Turns the event loop as fast as it goes; calling the answer ends that and tells the longest turn. */
export function longestTurn() {
  let last = now()
  let longest = 0
  let running = true
  const turn = () => {
    const time = now()
    longest = Math.max(longest, time - last)
    last = time
    if (running) setImmediate(turn)
  }
  setImmediate(turn)
  return () => {
    turn()
    running = false
    return longest
  }
}
