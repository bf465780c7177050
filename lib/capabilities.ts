import { release } from 'node:os'
import { unwrap } from './errors'
import { allFields, type Field } from './fields'
import { checkPidOrIdentity, type ProcessIdentity, toTargets } from './identity'
import { livenessNames, type NativeBinding, type NativeCapability, native } from './native'
import { readChecked } from './process'
import type { ProcessInfo, UnreadableReason } from './process-table'

/** One thing that may be possible here or not. */
export type Capability = NativeCapability

/** What can be known of one process, and whether it would take a signal. */
export interface TargetCapabilities {
  readonly identity: ProcessIdentity
  /** `none`: there is nothing to read, such as an executable of a kernel thread. */
  readonly fields: Readonly<Record<Field, 'readable' | 'none' | UnreadableReason>>
  /** What signal 0 through a pin said: `denied`, or an error's code where the question failed. */
  readonly signal: 'permitted' | 'denied' | 'gone' | (string & {})
  /** Whether a signal could have reached nobody else; null where none could be sent. */
  readonly atomic: boolean | null
}

export interface CapabilityReport {
  readonly platform: string
  readonly arch: string
  /** Release of the kernel, as the system calls it. */
  readonly kernel: string
  /** `unsupported`: the addon loads here, and can do nothing. */
  readonly backend: string
  readonly capabilities: readonly Capability[]
  /** A signal reaches the process that was identified, or nobody. */
  readonly atomicSignals: boolean
  /** Identities have an id that is never given twice. */
  readonly uniqueIdentity: boolean
  /** Exit codes are told of processes that are not our children. */
  readonly exitStatusOfOthers: boolean
  readonly socketSource: 'netlink' | 'procfs' | 'none'
  /** Some processes are hidden from this user. */
  readonly hiddenProcesses: boolean
  readonly target?: TargetCapabilities
}

/**
 * Tells what can be read, and how surely it can be acted, on this machine by this user.
 *
 * @param target - A process: also tell what of it can be read and whether it may be signalled. Signal 0 is sent to it,
 *   which it does not notice.
 * @throws {NoSuchProcessError} And the other errors of {@link readProcess}, for a target.
 * @remarks Source — linux: each kernel interface is tried once; nothing rests on the version but exit codes.
 */
export async function capabilities(
  target?: number | ProcessIdentity,
  binding: NativeBinding = native(),
): Promise<CapabilityReport> {
  const wanted = target === undefined ? undefined : checkPidOrIdentity('target', target)
  const list = available(binding)
  const has = (name: string) => list.some((capability) => capability.name === name && capability.available)
  const isSupported = has('process-table')
  return {
    platform: process.platform,
    arch: process.arch,
    kernel: release(),
    backend: list.length === 0 ? 'unsupported' : process.platform,
    capabilities: list,
    atomicSignals: has('atomic-signal'),
    uniqueIdentity: has('unique-id'),
    exitStatusOfOthers: has('exit-status'),
    socketSource: has('socket-diag') ? 'netlink' : has('sockets') ? 'procfs' : 'none',
    hiddenProcesses: isSupported && !has('all-processes-visible'),
    ...(wanted !== undefined && { target: await examine(wanted, binding) }),
  }
}

/** A backend that can do nothing answers ENOTSUP, which is an answer here. */
function available(binding: NativeBinding): readonly Capability[] {
  const answer = binding.capabilities()
  return !answer.ok && answer.code === 'ENOTSUP' ? [] : unwrap(answer, 'pidproof')
}

async function examine(wanted: number | ProcessIdentity, binding: NativeBinding): Promise<TargetCapabilities> {
  const info = await readChecked(wanted, allFields, binding)
  const { identity } = info
  const fields = Object.fromEntries(allFields.map((field) => [field, readability(info, field)]))
  return { identity, fields: fields as TargetCapabilities['fields'], ...(await askSignal(identity, binding)) }
}

function readability(info: ProcessInfo, field: Field): 'readable' | 'none' | UnreadableReason {
  const reason = info.unreadable[field]
  if (reason !== undefined) return reason
  switch (field) {
    case 'group':
      return 'readable'
    case 'unique':
      return info.identity.unique === null ? 'none' : 'readable'
    case 'argv':
      return info.argv === undefined || info.isKernelThread || info.state === 'zombie' ? 'none' : 'readable'
    default:
      return info[field] === undefined ? 'none' : 'readable'
  }
}

async function askSignal(
  identity: ProcessIdentity,
  binding: NativeBinding,
): Promise<Pick<TargetCapabilities, 'signal' | 'atomic'>> {
  const [opened] = await binding.openPins(toTargets([identity]))
  if (!opened?.ok) return { signal: signalAnswer(opened?.code ?? 'ESRCH'), atomic: null }
  const { pin, liveness } = opened
  if (pin === undefined) return { signal: livenessNames[liveness] === 'unknown' ? 'denied' : 'gone', atomic: null }
  try {
    const [sent] = await binding.signalPins([pin], 0, 0)
    return { signal: signalAnswer(sent?.code ?? 'ESRCH'), atomic: sent?.atomic ?? null }
  } finally {
    binding.closePins([pin])
  }
}

function signalAnswer(code: string): TargetCapabilities['signal'] {
  switch (code) {
    case 'OK':
      return 'permitted'
    case 'EPERM':
    case 'EACCES':
      return 'denied'
    case 'ESRCH':
      return 'gone'
    default:
      return code
  }
}
