import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { release } from 'node:os'

/** Something that a suite needs, and what is said when it is not there. */
export interface Requirement {
  readonly isMet: boolean
  readonly reason: string
}

const isLinux = process.platform === 'linux'
const [major = 0, minor = 0] = release().split('.').map(Number)

function succeeds(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore', timeout: 10_000 }).status === 0
}

export function linuxAtLeast(wantedMajor: number, wantedMinor: number): Requirement {
  return {
    isMet: isLinux && (major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)),
    reason: `needs Linux ${wantedMajor}.${wantedMinor}`,
  }
}

export const linux: Requirement = { isMet: isLinux, reason: 'needs Linux' }

export const root: Requirement = {
  isMet: isLinux && process.getuid?.() === 0,
  reason: 'needs root, to be several users',
}

export function tool(name: string): Requirement {
  return { isMet: succeeds('sh', '-c', `command -v ${name}`), reason: `needs the program ${name}` }
}

/** An own pid namespace: as root, or through a user namespace. */
export const pidNamespaces: Requirement = {
  isMet: isLinux && succeeds('unshare', ...(root.isMet ? [] : ['-U', '-r']), '-p', '-f', '--mount-proc', 'true'),
  reason: 'needs unshare(1) and the right to make a pid namespace',
}

export const timeNamespaces: Requirement = {
  isMet: pidNamespaces.isMet && existsSync('/proc/self/timens_offsets'),
  reason: 'needs time namespaces (Linux 5.6)',
}

/** Some other user has processes here: pid 1 is root's. */
export const otherUser: Requirement = {
  isMet: isLinux && (root.isMet || /^Uid:\s+0\s/m.test(readFileSync('/proc/1/status', 'latin1'))),
  reason: 'needs a process of another user',
}

/** `describe`, or a skip that says why on stderr. */
export function describeWhere(requirements: readonly Requirement[], title: string, body: () => void): void {
  const unmet = requirements.find(({ isMet }) => !isMet)
  if (unmet === undefined) {
    describe(title, body)
    return
  }
  process.stderr.write(`skipped: ${title} (${unmet.reason})\n`)
  describe.skip(`${title} (${unmet.reason})`, body)
}

/** `test`, or a skip that says why on stderr. */
export function testWhere(
  requirements: readonly Requirement[],
  title: string,
  body: () => Promise<void>,
  timeoutMs?: number,
): void {
  const unmet = requirements.find(({ isMet }) => !isMet)
  if (unmet === undefined) {
    test(title, body, timeoutMs)
    return
  }
  process.stderr.write(`skipped: ${title} (${unmet.reason})\n`)
  test.skip(`${title} (${unmet.reason})`, body)
}
