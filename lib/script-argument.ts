import { noScript, type OptionGrammar, type ProgramArgument, python, readOptions } from './option-grammar'

export type { ProgramArgument } from './option-grammar'

const words = (text: string): ReadonlySet<string> => new Set(text.split(/\s+/).filter(Boolean))

const shell: OptionGrammar = {
  short: { code: 'cs', next: 'oO' },
  code: words('--help --version --dump-strings --dump-po-strings'),
  value: words('--rcfile --init-file --emulate'),
  // bash takes its long options behind one dash as well: `-norc` is not the cluster n, o, r, c.
  oneDash: words(
    'debug debugger dump-po-strings dump-strings help init-file login noediting noprofile norc posix pretty-print ' +
      'protected rcfile restricted verbose version wordexp',
  ),
  plus: true,
  dash: 'end',
}

const perl: OptionGrammar = {
  short: { code: 'eEvVh', value: 'I', rest: 'CDFMimx' },
  dash: 'stdin',
}

const ruby: OptionGrammar = {
  short: { code: 'eh', value: 'CEIXr', rest: 'FKix' },
  code: words('--help --version --copyright'),
  value: words(
    '--encoding --external-encoding --internal-encoding --enable --disable --dump --parser --backtrace-limit',
  ),
  dash: 'stdin',
}

const node: OptionGrammar = {
  code: words(
    '-e --eval -p --print -pe -h --help -v --version --run --test --v8-options --completion-bash --build-snapshot-config ' +
      '--prof-process --experimental-sea-config --build-sea',
  ),
  value: words(
    '-r --require --import --loader --experimental-loader -C --conditions --env-file --env-file-if-exists --input-type ' +
      '--experimental-default-type --title --inspect-port --debug-port --inspect-publish-uid --icu-data-dir ' +
      '--openssl-config --tls-cipher-list --tls-keylog --unhandled-rejections --trace-event-categories ' +
      '--trace-event-file-pattern --trace-require-module --redirect-warnings --disable-warning --disable-proto ' +
      '--diagnostic-dir --report-dir --report-directory --report-filename --report-signal --cpu-prof-dir ' +
      '--cpu-prof-name --cpu-prof-interval --heap-prof-dir --heap-prof-name --heap-prof-interval --heapsnapshot-signal ' +
      '--heapsnapshot-near-heap-limit --max-http-header-size --dns-result-order --secure-heap --secure-heap-min ' +
      '--snapshot-blob --watch-path --watch-kill-signal --v8-pool-size --use-largepages --experimental-policy ' +
      '--policy-integrity --experimental-config-file --localstorage-file --allow-fs-read --allow-fs-write ' +
      '--network-family-autoselection-attempt-timeout',
  ),
  commands: new Map([['inspect', 'script']]),
  dash: 'stdin',
}

const bun: OptionGrammar = {
  code: words('-e --eval -p --print -h --help -v --version --revision'),
  value: words(
    '-r --preload --require --import --cwd --env-file -F --filter --port --conditions -d --define -l ' +
      '--loader --main-fields --extension-order --tsconfig-override --jsx-factory --jsx-fragment --jsx-import-source ' +
      '--jsx-runtime --shell --install -u --origin --title --user-agent --elide-lines --max-http-header-size ' +
      '--dns-result-order --unhandled-rejections --console-depth --cpu-prof-name --cpu-prof-dir --drop --fetch-preconnect',
  ),
  commands: commandMap(
    'run',
    'test x install i add a remove rm update outdated link unlink pm build init create c upgrade repl exec publish patch ' +
      'patch-commit audit info why completions discord',
  ),
  dash: 'stdin',
}

const deno: OptionGrammar = {
  code: words('-h --help -V --version'),
  value: words(
    '-c --config --import-map --location --seed --cert -L --log-level --ext --port --host --preload --require --import',
  ),
  commands: commandMap(
    'run serve',
    'eval repl test bench task install i uninstall add remove compile check coverage doc fmt lint info init jupyter lsp ' +
      'publish types upgrade completions bundle clean create outdated update audit sandbox deploy vendor cache x',
  ),
  dash: 'stdin',
}

/** By the name of the program, version and build suffixes included (`python3.12`, `ruby3.1`, `nodejs`). */
const interpreters: readonly (readonly [RegExp, OptionGrammar])[] = [
  [/^(?:python|pypy)\d*(?:\.\d+)*[dtmuw]{0,2}(?:-dbg|-intel64)?(?:\.exe)?$/i, python],
  [/^node(?:js)?(?:-?v?\d+(?:\.\d+)*)?(?:\.exe)?$/, node],
  [/^bun(?:-profile|-debug)?(?:\.exe)?$/, bun],
  [/^deno(?:\.exe)?$/, deno],
  [/^ruby\d*(?:\.\d+)*(?:\.exe)?$/, ruby],
  [/^perl\d*(?:\.\d+)*(?:\.exe)?$/, perl],
  [/^-?(?:sh|ash|bash|dash|zsh|ksh|mksh|ksh93|pdksh|loksh|yash)(?:-?\d+(?:\.\d+)*)?(?:\.exe)?$/, shell],
]

/** One program file that is many commands, told apart by how it was called. */
const multiCall = /^(?:busybox|toybox)(?:[.-].*)?$/

function commandMap(running: string, others: string): ReadonlyMap<string, 'script' | 'none'> {
  return new Map([
    ...[...words(running)].map((name) => [name, 'script'] as const),
    ...[...words(others)].map((name) => [name, 'none'] as const),
  ])
}

function grammarOf(argv: readonly string[], exe: string | undefined): OptionGrammar | undefined {
  const called = basename(argv[0] ?? '')
  const program = exe === undefined ? called : basename(exe)
  const name = multiCall.test(program) ? called : program
  return interpreters.find(([pattern]) => pattern.test(name))?.[1]
}

export function basename(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** True when the program is CPython or PyPy, by its executable, or by argv[0] where that cannot be read. */
export function isPython(argv: readonly string[], exe: string | undefined): boolean {
  return grammarOf(argv, exe) === python
}

/**
 * Finds what a command line runs: the script or module of an interpreter, by reading its options in order as the
 * interpreter itself does, or argv[0] of any other program. Code on the command line, standard input and subcommands
 * that run no file are `none`; so is a command line that the interpreter would have refused.
 */
export function programArgument(argv: readonly string[], exe: string | undefined): ProgramArgument {
  if (argv.length === 0) return noScript
  const grammar = grammarOf(argv, exe)
  if (grammar === undefined) return { kind: 'script', index: 0 }
  return readOptions(argv, grammar)
}
