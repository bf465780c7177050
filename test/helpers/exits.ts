// Waiting for exits through the addon itself.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { identify } from '../../lib/identity'
import { type NativeExit, type NativePin, native } from '../../lib/native'
import { openPins } from '../../lib/pins'

const opened: NativePin[] = []

/** Pins processes that live or are zombies, until {@link closeAllPins}. */
export async function pinAll(pids: readonly number[]): Promise<NativePin[]> {
  const identities = await Promise.all(pids.map((pid) => identify(pid)))
  const outcomes = await openPins(identities, native())
  return outcomes.map((outcome) => {
    if (outcome.status !== 'pinned') throw new Error(`pid ${outcome.identity.pid}: ${outcome.status}`)
    opened.push(outcome.pin)
    return outcome.pin
  })
}

/** Closes what is still open, so that no collection of garbage changes a later count. */
export function closeAllPins(): void {
  native().closePins(opened.splice(0))
}

export async function pinOne(pid: number): Promise<NativePin> {
  const [pin] = await pinAll([pid])
  if (pin === undefined) throw new Error('no pin')
  return pin
}

/** What the addon says about the exit of a pinned process. Node does not end before. */
export function exitOf(pin: NativePin): Promise<NativeExit> {
  native().refExits(true)
  return new Promise((resolve, reject) => {
    const watch = native().watchExit(pin, resolve)
    if (!watch.ok) reject(new Error(`watchExit: ${watch.code} (${watch.syscall})`))
  })
}

export function countDescriptors(): number {
  return readdirSync('/proc/self/fd').length
}

/** How many pidfds this process has open. */
export function countPidfds(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return /^(anon_inode:\[pidfd\]|pidfd:)/.test(readlinkSync(`/proc/self/fd/${fd}`))
    } catch {
      return false // the descriptor of the listing itself
    }
  }).length
}

/** The thread that waits for exits, if it runs. */
export function watcherThreads(): string[] {
  return readdirSync('/proc/self/task').filter((thread) => {
    return readFileSync(`/proc/self/task/${thread}/comm`, 'latin1') === 'pidproof-exits\n'
  })
}

/** How often a thread went to sleep, thus also how often it woke up. */
export function sleepsOf(thread: string): number {
  const status = readFileSync(`/proc/self/task/${thread}/status`, 'latin1')
  return Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1])
}
