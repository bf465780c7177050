// Contract cases are plain functions over live processes, so that a test file can run them here, and a scenario
// once more in a process from which a kernel feature was taken away.
import { linuxAtLeast } from './guards'

/** What the kernel (with what is withheld from the addon) makes possible. */
export interface Can {
  readonly atomicSignals: boolean
  readonly uniqueIds: boolean
  readonly groupSignals: boolean
  /** Exit status of processes that are not our children. */
  readonly exitStatus: boolean
  readonly netlink: boolean
}

export interface Case {
  readonly title: string
  readonly run: (can: Can) => Promise<void>
}

export function canHere(without: readonly string[] = []): Can {
  const has = (feature: string, major: number, minor: number) =>
    linuxAtLeast(major, minor).isMet && !without.includes(feature)
  const pidfd = has('pidfd_open', 5, 3)
  return {
    atomicSignals: has('pidfd_send_signal', 5, 1),
    uniqueIds: pidfd && has('pidfs', 6, 9),
    groupSignals: has('pidfd_send_signal', 5, 1) && has('pidfd_group', 6, 9),
    exitStatus: pidfd && has('pidfd_info', 6, 13) && has('pidfd_exit', 6, 15),
    netlink: has('sock_diag', 3, 3),
  }
}

/** Runs all cases one after the other; what failed, with its reason. */
export async function runCases(cases: readonly Case[], can: Can): Promise<string[]> {
  const failures: string[] = []
  for (const { title, run } of cases) {
    try {
      await run(can)
    } catch (error) {
      failures.push(`${title}: ${error instanceof Error ? error.stack : String(error)}`)
    }
  }
  return failures
}
