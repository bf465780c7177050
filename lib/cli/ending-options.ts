import { type Command, Option } from 'commander'
import { checkSignal } from '../signals'
import type { TerminateOptions } from '../terminate'
import { parseCount } from './targets'

/** The options that say how to end what was chosen. */
export interface EndingOptions {
  readonly scope: 'process' | 'group' | 'tree'
  readonly signal: string
  readonly grace: number
  readonly killWait: number
  readonly force: boolean
  readonly users: 'self' | 'any'
  readonly allOrNothing?: boolean
  readonly dryRun?: boolean
}

/** Adds the options that say how to end what was chosen. */
export function addEndingOptions(command: Command, scope: EndingOptions['scope']): Command {
  return command
    .optionsGroup('How to end it:')
    .addOption(
      new Option('-s, --scope <scope>', 'what is ended with each').choices(['process', 'group', 'tree']).default(scope),
    )
    .option('--signal <name>', 'the polite signal', parseSignal, 'SIGTERM')
    .option('-g, --grace <ms>', 'how long to wait before it is forced', parseCount('--grace'), 2000)
    .option('--kill-wait <ms>', 'how long to wait after it was forced', parseCount('--kill-wait'), 2000)
    .option('--no-force', 'never send SIGKILL')
    .addOption(
      new Option('--users <whose>', "any: other users' processes too").choices(['self', 'any']).default('self'),
    )
    .option('--dry-run', 'judge and report, signal nobody')
}

/** Adds the option that makes it all or nothing, where that is not so anyway. */
export function addAllOrNothing(command: Command): Command {
  return command.option('--all-or-nothing', 'signal nobody when one of them may not be ended')
}

/** Returns what the library takes. */
export function parseEnding(options: EndingOptions): TerminateOptions {
  return {
    scope: options.scope,
    signal: checkSignal('--signal', options.signal),
    graceMs: options.grace,
    killWaitMs: options.killWait,
    force: options.force,
    users: options.users,
    ...(options.allOrNothing && { allOrNothing: true }),
    dryRun: options.dryRun ?? false,
  }
}

function parseSignal(text: string): string {
  const name = text.toUpperCase()
  return checkSignal('--signal', name.startsWith('SIG') ? name : `SIG${name}`)
}
