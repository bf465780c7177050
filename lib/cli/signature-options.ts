import type { Command } from 'commander'
import { type ArgvMatcher, argv } from '../argv'
import { type Signature, signature } from '../signature'
import { UsageError } from './answer'
import { parseEnvironment } from './ls'
import { shellWords } from './shell-words'
import { collect, parseCount } from './targets'

/** The options that say what is ours. */
export interface SignatureOptions {
  readonly exe?: string
  readonly name?: string
  readonly arg?: readonly string[]
  readonly argsSequence?: readonly string[]
  readonly module?: readonly string[]
  readonly script?: readonly string[]
  readonly env?: readonly string[]
  readonly cwd?: string
  readonly olderThan?: number
}

/** Adds the options that say what is ours. */
export function addSignatureOptions(command: Command): Command {
  return command
    .optionsGroup('What is ours (all that is given must hold):')
    .option('-x, --exe <file>', 'executable: a file name, or the end of its path by whole parts')
    .option('-n, --name <name>', 'process name, exactly')
    .option('-a, --arg <argument>', 'one whole argument; may be repeated', collect)
    .option(
      '--args-sequence <arguments>',
      'arguments that follow each other, in one text: "run dev"; may be repeated',
      collect,
    )
    .option('--module <name>', 'module started with -m; may be repeated', collect)
    .option('--script <path>', 'script that the interpreter runs: the end of its path by whole parts', collect)
    .option('-e, --env <key>', 'KEY or KEY=VALUE in the environment; may be repeated', collect)
    .option('--cwd <folder>', 'working directory')
    .option('--older-than <ms>', 'started at least so long ago; never enough alone', parseCount('--older-than'))
}

/** Returns the signature that the options describe. One that would hold for everything is refused. */
export function parseSignature(options: SignatureOptions): Signature {
  const matchers = argvMatchers(options)
  const { exe, name, env, cwd, olderThan } = options
  const parts = {
    ...(exe === undefined ? {} : { exe }),
    ...(name === undefined ? {} : { name }),
    ...(matchers.length === 0 ? {} : { argv: matchers }),
    ...(env === undefined ? {} : { env: parseEnvironment(env) }),
    ...(cwd === undefined ? {} : { cwd }),
  }
  if (Object.keys(parts).length === 0) {
    throw new UsageError(
      'say what is ours: give at least one of --exe, --name, --arg, --args-sequence, --module, --script, --env, --cwd',
    )
  }
  return signature({ ...parts, ...(olderThan === undefined ? {} : { olderThanMs: olderThan }) })
}

function argvMatchers(options: SignatureOptions): ArgvMatcher[] {
  const sequences = (options.argsSequence ?? []).map((text) => shellWords('--args-sequence', text))
  if (sequences.some((words) => words.length === 0)) throw new UsageError('--args-sequence takes at least one argument')
  return [
    ...(options.arg ?? []).map((text) => argv.token(text)),
    ...sequences.map((words) => argv.sequence(...words)),
    ...(options.module ?? []).map((name) => argv.module(name)),
    ...(options.script ?? []).map((path) => argv.scriptPath(path)),
  ]
}
