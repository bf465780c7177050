import { invalidType } from '../errors'
import { checkAbortSignal, checkBoolean, checkKeys, checkMs, checkOneOf } from '../options'
import { checkSignal, type SignalName } from '../signals'
import type { Progress } from './report'

/** `process`: the targets alone; `group`: their process groups; `tree`: all that descends from them. */
export type Scope = 'process' | 'group' | 'tree'

/** What all calls take that end processes in an exit handler as well as outside of one. */
export interface CommonEndingOptions {
  /** Default `'process'`; `takeOverPorts`: `'tree'`. */
  readonly scope?: Scope | undefined
  /** The polite signal, followed by SIGCONT so that a stopped process can obey. Default `'SIGTERM'`. */
  readonly signal?: SignalName | undefined
  /** Whether SIGKILL follows once the grace is over. Default true; false only asks and waits. */
  readonly force?: boolean | undefined
  /** Everything but the signals: the report says what would be done. */
  readonly dryRun?: boolean | undefined
  /** Signal nobody at all when anybody is refused, unknown or out of reach. Default false; `takeOverPorts`: true. */
  readonly allOrNothing?: boolean | undefined
  /** `'any'` lifts the rule that other users' processes are left alone, and no other rule. Default `'self'`. */
  readonly users?: 'self' | 'any' | undefined
  /** Targets younger than this are refused as `too-young`. Default 0. Members of a target's group or tree may be young. */
  readonly minAgeMs?: number | undefined
}

export interface TerminateOptions extends CommonEndingOptions {
  /** Milliseconds from the polite signal to SIGKILL, for the whole batch together. 0: SIGKILL at once. Default 2000. */
  readonly graceMs?: number | undefined
  /** Milliseconds that freezing, and that SIGKILL and its effect, may take, for the whole batch together. Default 2000. */
  readonly killWaitMs?: number | undefined
  /** Ends the call with a rejection by its reason. What was signalled until then stays so; nothing stays frozen. */
  readonly abort?: AbortSignal | undefined
  /** Called at every change. What it throws ends the call. */
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

export interface TerminateSyncOptions extends CommonEndingOptions {
  /** Milliseconds that the whole call may block: four fifths are grace. Default 500. */
  readonly budgetMs?: number | undefined
}

/** Options with everything decided. */
export interface EndingPlan {
  readonly scope: Scope
  readonly signal: SignalName
  readonly force: boolean
  readonly dryRun: boolean
  readonly allOrNothing: boolean
  readonly users: 'self' | 'any'
  readonly minAgeMs: number
  readonly graceMs: number
  readonly killWaitMs: number
  readonly abort: AbortSignal | undefined
  readonly onProgress: ((progress: Progress) => void) | undefined
}

const common = ['scope', 'signal', 'force', 'dryRun', 'allOrNothing', 'users', 'minAgeMs'] as const
export const endingKeys = [...common, 'graceMs', 'killWaitMs', 'abort', 'onProgress'] as const
const syncKeys = [...common, 'budgetMs'] as const

const scopes = ['process', 'group', 'tree'] as const
const graceShare = 0.8
/** A killed process of ordinary size needs about 10 ms to go. */
const leastKillWaitMs = 20

interface Defaults {
  readonly scope?: Scope
  readonly allOrNothing?: boolean
}

type Given = Readonly<Partial<Record<string, unknown>>>

/** Checks the ending options among `given`; keys are checked by the caller, who may know more of them. */
export function planEnding(given: Given, defaults: Defaults = {}): EndingPlan {
  return {
    ...planCommon(given, defaults),
    graceMs: given.graceMs === undefined ? 2000 : checkMs('graceMs', given.graceMs),
    killWaitMs: given.killWaitMs === undefined ? 2000 : checkMs('killWaitMs', given.killWaitMs),
    abort: checkAbortSignal('abort', given.abort),
    onProgress: checkCallback('onProgress', given.onProgress),
  }
}

export function checkEnding(options: unknown): EndingPlan {
  return planEnding(checkKeys('options', options, endingKeys, ''))
}

/** The budget of an exit handler, divided into grace and the time to go. */
export function checkSyncEnding(options: unknown): EndingPlan {
  const given = checkKeys('options', options, syncKeys, '')
  const budgetMs = given.budgetMs === undefined ? 500 : checkMs('budgetMs', given.budgetMs)
  return {
    ...planCommon(given, {}),
    graceMs: budgetMs * graceShare,
    killWaitMs: Math.max(budgetMs * (1 - graceShare), leastKillWaitMs),
    abort: undefined,
    onProgress: undefined,
  }
}

function planCommon(given: Given, defaults: Defaults) {
  const flag = (option: string, fallback: boolean) =>
    given[option] === undefined ? fallback : checkBoolean(option, given[option])
  return {
    scope: given.scope === undefined ? (defaults.scope ?? 'process') : checkOneOf('scope', given.scope, scopes),
    signal: given.signal === undefined ? 'SIGTERM' : checkSignal('signal', given.signal),
    force: flag('force', true),
    dryRun: flag('dryRun', false),
    allOrNothing: flag('allOrNothing', defaults.allOrNothing ?? false),
    users: given.users === undefined ? 'self' : checkOneOf('users', given.users, ['self', 'any'] as const),
    minAgeMs: given.minAgeMs === undefined ? 0 : checkMs('minAgeMs', given.minAgeMs),
  } as const
}

function checkCallback(option: string, value: unknown): ((progress: Progress) => void) | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'function') throw invalidType(option, value, 'a function')
  return value as (progress: Progress) => void
}
