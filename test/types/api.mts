// What a TypeScript user sees. A line below @ts-expect-error that compiles is an error.
import {
  type addressesOverlap,
  ancestors,
  argv,
  capabilities,
  descendants,
  type formatIdentity,
  identify,
  isPidproofError,
  type judge,
  listProcesses,
  type listProcessesSync,
  listSockets,
  type NoSuchProcessError,
  openProcess,
  type PidproofError,
  type ProcessIdentity,
  type ProcessInfo,
  type ProcessRef,
  ProcessReplacedError,
  type parseIdentity,
  portOwners,
  readProcess,
  type Signature,
  sameProcess,
  signalProcess,
  signalProcessSync,
  signature,
  sweep,
  type TerminationReport,
  takeOverPorts,
  terminate,
  terminateSync,
  verify,
  type verifySync,
  waitForExit,
  waitForPortFree,
} from 'pidproof'

/** Holds when both types are the same, in both directions. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function holds<T extends true>(): T | undefined {
  return undefined
}

declare const identity: ProcessIdentity
declare const info: ProcessInfo
declare const ref: ProcessRef
declare const ours: Signature
declare const unknown: unknown

// ---- identities

holds<Same<ReturnType<typeof identify>, Promise<ProcessIdentity>>>()
holds<Same<Awaited<ReturnType<typeof verify>>, 'running' | 'zombie' | 'gone' | 'replaced' | 'unknown' | 'elsewhere'>>()
holds<Same<ReturnType<typeof verifySync>, Awaited<ReturnType<typeof verify>>>>()
holds<Same<ReturnType<typeof sameProcess>, 'same' | 'different' | 'unknown'>>()
holds<Same<ReturnType<typeof formatIdentity>, string>>()
holds<Same<ReturnType<typeof parseIdentity>, ProcessIdentity>>()
JSON.parse(JSON.stringify(identity)) as ProcessIdentity

// @ts-expect-error an identity cannot be changed
identity.pid = 1
// @ts-expect-error a start token is text: it does not fit into a number
export const token: number = identity.startToken
// @ts-expect-error a pid is not an identity
verify(1)
// @ts-expect-error a pid is a number
identify('1')
// @ts-expect-error 'same' is not true: there is an 'unknown'
export const isSame: boolean = sameProcess(identity, identity)

// ---- reading

listProcesses()
listProcesses({ fields: ['name', 'argv'], where: { exe: ['node', 'bin/bun'], env: { A: true, B: 'x' }, ppid: [1, 2] } })
listProcesses({
  where: { argv: ['--role', ['-m', 'server']], startedBefore: new Date() },
  signal: new AbortController().signal,
})
holds<Same<ReturnType<typeof listProcessesSync>, Awaited<ReturnType<typeof listProcesses>>>>()
readProcess(1)
readProcess(identity, { fields: ['env'] })
descendants(identity)
ancestors(1)
export const home: string | undefined = info.env?.HOME

// @ts-expect-error unknown field
listProcesses({ fields: ['nmae'] })
// @ts-expect-error unknown filter
listProcesses({ where: { command: 'node' } })
// @ts-expect-error literal filters only: expressions are for signatures
listProcesses({ where: { env: { A: /x/ } } })
// @ts-expect-error a field may be missing
export const cwd: string = info.cwd
// @ts-expect-error rows are not for writing
info.argv?.push('x')
// @ts-expect-error four reasons, and this is none
export const why: boolean = info.unreadable.env === 'hidden'

// ---- sockets

portOwners(80)
portOwners({ port: 80, host: '127.0.0.1', protocol: 'udp' })
listSockets({ protocol: 'tcp', state: 'listen' })
waitForPortFree({ port: 80 }, { timeoutMs: 1 })
holds<Same<ReturnType<typeof addressesOverlap>, boolean>>()
export async function visibility(): Promise<'complete' | 'partial'> {
  return (await portOwners(80)).visibility
}

// @ts-expect-error a port is a number
portOwners('80')
// @ts-expect-error unknown protocol
portOwners({ port: 80, protocol: 'sctp' })

// ---- signals and waiting

ref.signal('SIGTERM')
signalProcess(identity, 'SIGHUP')
signalProcessSync(identity, 'SIGHUP')
export async function exits(): Promise<(number | null)[]> {
  await using pinned = await openProcess(identity)
  const one = await pinned.exited({ timeoutMs: 1 })
  const many = await waitForExit([identity, identity], { keepAlive: true })
  return [one.exitCode, ...many.map(({ exitCode }) => exitCode)]
}

// @ts-expect-error signals go by name
ref.signal(15)
// @ts-expect-error no such signal
signalProcess(identity, 'SIGFOO')
// @ts-expect-error a pid says nothing about which process is meant
openProcess(1)
// @ts-expect-error one result for one identity
waitForExit(identity).then(([first]) => first)

// ---- ending

holds<Same<ReturnType<typeof terminate>, Promise<TerminationReport>>>()
holds<Same<ReturnType<typeof terminateSync>, TerminationReport>>()
terminate([identity, info, ref], { scope: 'tree', graceMs: 1, dryRun: true, allOrNothing: true, users: 'any' })
terminateSync(identity, { budgetMs: 10 })
export async function alive(): Promise<ProcessIdentity[]> {
  const report = await terminate(identity)
  return report.outcomes.filter(({ outcome }) => outcome === 'alive').map((one) => one.identity)
}

// @ts-expect-error a pid says nothing about which process is meant
terminate(4242)
// @ts-expect-error nor do several
terminate([4242])
// @ts-expect-error unknown scope
terminate(identity, { scope: 'session' })
// @ts-expect-error the time says its unit
terminate(identity, { grace: 1 })
// @ts-expect-error no grace beyond the budget in an exit handler
terminateSync(identity, { graceMs: 1000 })

// ---- whose it is

signature({ exe: 'node', argv: argv.module('server'), env: { A: /^x/ }, olderThanMs: 1, test: (p) => p.pid > 1 })
signature({ argv: [argv.token('--role'), argv.pattern(/^--port=\d+$/)] })
holds<Same<ReturnType<typeof judge>['verdict'], 'ours' | 'foreign' | 'unknown'>>()
sweep({ ours, dryRun: true, except: [identity] })
sweep({ ours, except: (process) => process.pid === 1 })
takeOverPorts({ ports: [80, { port: 81, host: '::1' }], ours, graceMs: 1 })
capabilities(identity)

// @ts-expect-error unknown part
signature({ command: 'node' })
// @ts-expect-error whose it is must be said
sweep({ dryRun: true })
// @ts-expect-error whose it is must be said
takeOverPorts({ ports: [80] })
// @ts-expect-error text is not a signature
sweep({ ours: 'node' })

// ---- errors

export function code(): string | undefined {
  if (unknown instanceof ProcessReplacedError) return (unknown satisfies NoSuchProcessError).code
  return isPidproofError(unknown) ? (unknown satisfies PidproofError).code : undefined
}
