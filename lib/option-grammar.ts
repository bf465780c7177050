/** What a command line runs: `argv[index]`, a module, or nothing that has a file name. */
export type ProgramArgument =
  | { readonly kind: 'script'; readonly index: number }
  | { readonly kind: 'module'; readonly name: string }
  | { readonly kind: 'none' }

export const noScript: ProgramArgument = Object.freeze({ kind: 'none' })

/** Letters of options that may stand together behind one dash (`-Im name`). */
interface ShortOptions {
  /** The whole set, where the interpreter refuses all others. */
  readonly known?: string
  /** The value is the rest of the token or, when that is empty, the next token. */
  readonly value?: string
  /** The value is the rest of the token, empty or not. */
  readonly rest?: string
  /** The value is the next token, while the letters go on. */
  readonly next?: string
  /** There is no script: code follows, or the program only says something and exits. */
  readonly code?: string
  /** A module's name follows, as with `value`; nothing after it is an option. */
  readonly module?: string
}

/** How an interpreter reads its command line up to the script. Without `short`, `-x` is one name like `--long`. */
export interface OptionGrammar {
  readonly short?: ShortOptions
  /** Names whose value is the next token, unless it is attached by `=`. */
  readonly value?: ReadonlySet<string>
  /** Names after which there is no script. */
  readonly code?: ReadonlySet<string>
  /** Long names that may also stand behind one dash. */
  readonly oneDash?: ReadonlySet<string>
  /** The only long options there are; any other is refused. */
  readonly onlyLong?: ReadonlySet<string>
  /** Options may also begin with `+`. */
  readonly plus?: boolean
  /** First words that are commands: of those that run a file, the file comes next. */
  readonly commands?: ReadonlyMap<string, 'script' | 'none'>
  /** What a lone `-` means. */
  readonly dash: 'stdin' | 'end'
}

/**
 * CPython: `_PyOS_GetOpt` in Python/getopt.c and `config_parse_cmdline` in Python/initconfig.c. `-c` and `-m` end the
 * options; the first token that is no option is the script. `--jit` and `--info` are PyPy's.
 */
export const python: OptionGrammar = {
  short: { known: 'bBdEiIOPqRsStuvx', value: 'WX', code: 'chV?', module: 'm' },
  onlyLong: new Set(['--check-hash-based-pycs', '--jit']),
  value: new Set(['--check-hash-based-pycs', '--jit']),
  dash: 'stdin',
}

/** Where reading goes on, or what was found. */
type Step = number | ProgramArgument

/** Reads options from argv[1] on and tells what is run. */
export function readOptions(argv: readonly string[], grammar: OptionGrammar): ProgramArgument {
  let commands = grammar.commands
  for (let at = 1; at < argv.length; ) {
    const token = argv[at] as string
    if (token === '--') return scriptAt(argv, at + 1)
    if (token === '-') return grammar.dash === 'stdin' ? noScript : scriptAt(argv, at + 1)
    if (isOption(token, grammar)) {
      const step = readOption(argv, at, grammar)
      if (typeof step !== 'number') return step
      at = step
      continue
    }
    const command = commands?.get(token)
    if (command !== 'script') return command === 'none' ? noScript : scriptAt(argv, at)
    commands = undefined
    at += 1
  }
  return noScript
}

function isOption(token: string, grammar: OptionGrammar): boolean {
  return token.startsWith('-') || (grammar.plus === true && token.startsWith('+') && token.length > 1)
}

function scriptAt(argv: readonly string[], index: number): ProgramArgument {
  return index < argv.length ? { kind: 'script', index } : noScript
}

function readOption(argv: readonly string[], at: number, grammar: OptionGrammar): Step {
  const token = argv[at] as string
  if (grammar.oneDash?.has(token.slice(1))) return readLong(`-${token}`, at, grammar)
  if (token.startsWith('--') || grammar.short === undefined) return readLong(token, at, grammar)
  return readCluster(argv, at, grammar.short)
}

function readLong(token: string, at: number, grammar: OptionGrammar): Step {
  const equals = token.indexOf('=')
  const name = equals === -1 ? token : token.slice(0, equals)
  if (grammar.onlyLong && !grammar.onlyLong.has(token)) return noScript
  if (grammar.code?.has(name)) return noScript
  return at + (equals === -1 && grammar.value?.has(name) ? 2 : 1)
}

function readCluster(argv: readonly string[], at: number, short: ShortOptions): Step {
  const token = argv[at] as string
  let after = at + 1
  for (let index = 1; index < token.length; index += 1) {
    const letter = token.charAt(index)
    const rest = token.slice(index + 1)
    switch (kindOf(letter, short)) {
      case 'code':
      case 'unknown':
        return noScript
      case 'module':
        return moduleNamed(rest === '' ? argv[at + 1] : rest)
      case 'value':
        return rest === '' ? after + 1 : after
      case 'rest':
        return after
      case 'next':
        after += 1
    }
  }
  return after
}

function kindOf(letter: string, short: ShortOptions): keyof ShortOptions | 'unknown' {
  const kinds = ['code', 'module', 'value', 'rest', 'next'] as const
  const kind = kinds.find((name) => short[name]?.includes(letter))
  // A colon starts a value in perl's -d:Module and ruby's -W:category.
  return kind ?? (letter === ':' ? 'rest' : (short.known ?? letter).includes(letter) ? 'known' : 'unknown')
}

function moduleNamed(name: string | undefined): ProgramArgument {
  return name === undefined ? noScript : { kind: 'module', name }
}
