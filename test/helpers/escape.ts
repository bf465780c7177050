// Rounds of ending something that tries to get away, and who was left over, counted from /proc by hand.
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { ProcessOutcome, TerminationReport } from '../../lib/terminate'
import { endFixtures, spawnFixture } from './fixture'
import { envByHand, livesByHand, pidsByHand, statByHand } from './proc-by-hand'
import { harmTo, type Witness, witness } from './witness'

/** What one round works with. Everything that is started with `env` is to be ended, and nothing else. */
export interface Round {
  readonly env: NodeJS.ProcessEnv
  readonly ours: { readonly env: Readonly<Record<string, string>> }
}

export interface EscapeReport {
  readonly rounds: number
  /** How many have ended by the reports of all rounds, by themselves or not. */
  readonly ended: number
  /** Who still lived after its round; empty in every round, or it has escaped. */
  readonly survivors: readonly string[]
  /** Reports that did not say that all is well. */
  readonly complaints: readonly string[]
  /** Bystanders that did not live to the end as they were. */
  readonly harm: readonly string[]
}

export type PlayRound = (round: Round) => Promise<TerminationReport>

const marker = 'PIDPROOF_TEST_MARK'
const hasEnded: ReadonlySet<string> = new Set(['exited', 'killed', 'already-gone'])

/**
 * Plays the rounds. Beside them live an unrelated process, and one family like those that are ended, but for the value
 * of the marker, from before the first round until after the last.
 */
export async function playRounds(rounds: number, play: PlayRound): Promise<EscapeReport> {
  const bystanders = await startBystanders()
  const report = { survivors: [] as string[], complaints: [] as string[], ended: 0 }
  let done = 0
  while (done < rounds && report.survivors.length === 0) {
    const mark = randomUUID()
    const outcome = await play({ env: { ...process.env, [marker]: mark }, ours: { env: { [marker]: mark } } })
    const survivors = survivorsOf(mark)
    for (const { pid, text } of survivors) {
      report.survivors.push(`round ${done}: ${text}; ${describe(outcome)}`)
      process.kill(pid, 'SIGKILL')
    }
    if (!outcome.ok) report.complaints.push(`round ${done}: ${describe(outcome)}`)
    report.ended += outcome.outcomes.filter(({ outcome: how }) => hasEnded.has(how)).length
    done += 1
  }
  const harm = harmTo(bystanders)
  await endFixtures()
  return { rounds: done, ...report, harm }
}

async function startBystanders(): Promise<Witness[]> {
  const unrelated = await spawnFixture('+pgrp forever')
  const lookAlike = await spawnFixture('+pgrp tree root(a:setsid,b:deaf,c:double,d:stopped,e:setsid+double)', {
    env: { ...process.env, [marker]: `${randomUUID()}-not-ours` },
  })
  const pids = ['a', 'b', 'c', 'd', 'e'].map((name) => lookAlike.pidOf(name))
  return witness(unrelated.pid, lookAlike.pid, ...pids)
}

interface Survivor {
  readonly pid: number
  readonly text: string
}

/**
 * Everybody alive with this value of the marker. One reading of /proc may miss who forks and ends meanwhile, so it goes
 * on until no process at all was born between two readings.
 */
function survivorsOf(mark: string): Survivor[] {
  const found = new Map<number, Survivor>()
  let born = lastPid()
  for (let reading = 0; reading < 50; reading += 1) {
    for (const pid of pidsByHand()) if (carries(pid, mark)) found.set(pid, { pid, text: describePid(pid) })
    const now = lastPid()
    if (now === born) break
    born = now
  }
  return [...found.values()].filter(({ pid }) => livesByHand(pid))
}

/** The pid that was given last in this pid namespace. */
function lastPid(): string {
  return readFileSync('/proc/loadavg', 'latin1').trim().split(' ').at(-1) ?? ''
}

function carries(pid: number, mark: string): boolean {
  const stat = livesByHand(pid) ? statByHand(pid) : undefined
  const env = stat === undefined ? undefined : envByHand(stat)
  return env !== undefined && 'value' in env && env.value.includes(`${marker}=${mark}`)
}

function describePid(pid: number): string {
  const stat = statByHand(pid)
  return `pid ${pid} (${stat?.comm}) ${stat?.state}, parent ${stat?.ppid}, group ${stat?.pgid}, session ${stat?.sid}`
}

function describe({ outcomes, settled, passes, durationMs, failure }: TerminationReport): string {
  const unwell = outcomes.filter(({ outcome }) => ['alive', 'refused', 'denied'].includes(outcome)).map(describeOutcome)
  const rest = `of ${outcomes.length}, settled ${settled}, ${passes} passes, ${Math.round(durationMs)} ms, ${failure?.code ?? 'no failure'}`
  return `${unwell.join('; ')} (${rest})`
}

function describeOutcome({ identity, role, outcome, reason, state }: ProcessOutcome): string {
  return `${role} ${identity.pid} ${outcome} ${reason ?? ''} ${state ?? ''}`
}
