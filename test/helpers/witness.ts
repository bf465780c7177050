// Whether processes are still what they were, told from /proc by hand and never by the library.
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { livesByHand, statByHand } from './proc-by-hand'

export interface Witness {
  readonly pid: number
  readonly startTicks: string
  readonly isStopped: boolean
}

export function witness(...pids: readonly number[]): Witness[] {
  return pids.map((pid) => {
    const stat = statByHand(pid)
    if (stat === undefined || !livesByHand(pid)) throw new Error(`pid ${pid} does not live to begin with`)
    return { pid, startTicks: stat.startTicks, isStopped: stat.state === 'T' }
  })
}

/** What happened to those who were to be left alone; empty when nothing did. */
export function harmTo(witnesses: readonly Witness[]): string[] {
  return witnesses.flatMap(({ pid, startTicks, isStopped }) => {
    const stat = statByHand(pid)
    if (stat === undefined || stat.startTicks !== startTicks) return [`pid ${pid} has gone`]
    if (!livesByHand(pid)) return [`pid ${pid} has been ended`]
    if ((stat.state === 'T') !== isStopped) return [`pid ${pid} is in state ${stat.state}`]
    const pending = pendingSignals(pid)
    return pending === 0n ? [] : [`pid ${pid} has signals pending: ${pending.toString(16)}`]
  })
}

/** What was sent and has not been taken yet, such as a SIGTERM to a stopped process. */
function pendingSignals(pid: number): bigint {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  const sets = [...status.matchAll(/^(?:SigPnd|ShdPnd):\s+([0-9a-f]+)$/gm)]
  return sets.reduce((all, [, set]) => all | BigInt(`0x${set}`), 0n)
}

/** Whether somebody accepts connections there. */
export function accepts(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host })
    const end = (isAccepted: boolean) => {
      socket.destroy()
      resolve(isAccepted)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}
