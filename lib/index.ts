export { type Address, addressesOverlap, type BindRules, bindConflict, linuxBindRules } from './addresses'
export { type ArgvMatcher, type ArgvView, argv } from './argv'
export {
  type Capability,
  type CapabilityReport,
  capabilities,
  type TargetCapabilities,
} from './capabilities'
export {
  AccessDeniedError,
  type ErrorDetails,
  InternalError,
  isPidproofError,
  NoSuchProcessError,
  NotSupportedError,
  OsError,
  PidproofError,
  ProcessReplacedError,
  type TakeoverRefusal,
  TakeoverRefusedError,
  TimedOutError,
} from './errors'
export {
  formatIdentity,
  identify,
  type ProcessIdentity,
  parseIdentity,
  sameProcess,
  type Verification,
  verify,
  verifySync,
} from './identity'
export { type PortFreeOptions, waitForPortFree } from './port-free'
export { type PortOwners, type PortOwnersOptions, type PortSocket, portOwners, type SocketRole } from './port-owners'
export {
  type ArgvLiteral,
  type Field,
  type ListOptions,
  listProcesses,
  listProcessesSync,
  type ProcessFilter,
  type ProcessInfo,
  type ProcessState,
  type ReadOptions,
  readProcess,
  type UnreadableReason,
} from './process'
export { openProcess, ProcessRef, type SignalResult, signalProcess, signalProcessSync } from './ref'
export { ancestors, descendants, type RelativesOptions } from './relatives'
export type { SignalName } from './signals'
export { type Signature, type SignatureParts, signature } from './signature'
export { listSockets, type SocketOptions, type SocketProtocol, type SocketRow, type SocketState } from './sockets'
export { type SweepOptions, type SweepReport, sweep } from './sweep'
export {
  type OccupiedReason,
  type OwnerVerdict,
  type PortTakeover,
  type TakeoverOptions,
  type TakeoverOutcome,
  type TakeoverReport,
  takeOverPorts,
} from './takeover'
export {
  type Outcome,
  type ProcessOutcome,
  type Progress,
  type Reason,
  type Scope,
  type TerminateOptions,
  type TerminateSyncOptions,
  type TerminationReport,
  type TerminationTarget,
  terminate,
  terminateSync,
} from './terminate'
export { type Evidence, type Judgement, judge, type Verdict } from './verdict'
export { type ExitResult, type WaitOptions, waitForExit } from './wait'
