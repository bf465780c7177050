import { invalidRange, invalidType } from './errors'
import { checkText } from './options'
import { basename, isPython, programArgument } from './script-argument'

/** What of a process a matcher looks at. `exe` and `cwd` are undefined where they could not be read. */
export interface ArgvView {
  readonly argv: readonly string[]
  readonly exe?: string | undefined
  readonly cwd?: string | undefined
}

/** A condition on a command line; made by {@link argv}. */
export interface ArgvMatcher {
  readonly kind: 'token' | 'sequence' | 'module' | 'scriptPath' | 'pattern'
  /** The condition in words, such as `module 'http.server'`. */
  describe(): string
  /** True when the condition is seen to hold; what cannot be decided (a relative script, no cwd) is false. */
  matches(process: ArgvView): boolean
}

interface Rule {
  readonly test: (process: ArgvView) => boolean | 'unknown'
  /** Adjacent tokens that every matching command line has, for the native scan. */
  readonly tokens?: readonly string[]
}

const rules = new WeakMap<ArgvMatcher, Rule>()

function matcher(kind: ArgvMatcher['kind'], description: string, rule: Rule): ArgvMatcher {
  const made: ArgvMatcher = Object.freeze({
    kind,
    describe: () => description,
    matches: (process: ArgvView) => rule.test(process) === true,
  })
  rules.set(made, rule)
  return made
}

/**
 * Conditions on a command line. Tokens are compared whole and exactly: a role word inside another word, a path or a
 * text argument never matches. A command line is what the process claims; its executable is the kernel's word.
 */
export const argv = Object.freeze({
  /** One argument, argv[0] included, is exactly this. */
  token(token: string): ArgvMatcher {
    const wanted = checkToken('token', token)
    return matcher('token', `argument ${quote(wanted)}`, {
      test: (process) => process.argv.includes(wanted),
      tokens: [wanted],
    })
  },

  /** These arguments stand next to each other in this order. */
  sequence(...tokens: string[]): ArgvMatcher {
    if (tokens.length === 0) throw invalidType('tokens', tokens, 'one argument or more')
    const wanted = tokens.map((token, index) => checkToken(`tokens[${index}]`, token))
    return matcher('sequence', `arguments ${wanted.map(quote).join(' ')}`, {
      test: (process) => hasSequence(process.argv, wanted),
      tokens: wanted,
    })
  },

  /**
   * Python runs this module: `-m name` among the interpreter's own options, read as CPython reads them. The same words
   * after a script, or given to another program, do not match. The program is told by its executable, or by argv[0]
   * where that cannot be read.
   */
  module(name: string): ArgvMatcher {
    const wanted = checkText('name', name)
    return matcher('module', `module ${quote(wanted)}`, {
      test: ({ argv, exe }) => {
        if (!isPython(argv, exe)) return false
        const program = programArgument(argv, exe)
        return program.kind === 'module' && program.name === wanted
      },
    })
  },

  /**
   * The script that an interpreter runs (node, bun, deno, python, ruby, perl, shells), or argv[0] of any other program,
   * ends in this path. Whole components are compared: `server.js` does not match `myserver.js`. An absolute path must
   * be the whole path. A relative script is completed by the working directory when its own components do not suffice.
   */
  scriptPath(suffix: string): ArgvMatcher {
    const wanted = checkPath('suffix', suffix)
    return matcher('scriptPath', `script ${quote(suffix)}`, { test: (process) => runsScript(process, wanted) })
  },

  /** One argument matches the expression. It is copied: state and the `g` flag of the original do not matter. */
  pattern(expression: RegExp): ArgvMatcher {
    const copy = copyPattern('expression', expression)
    return matcher('pattern', `an argument that matches ${copy}`, {
      test: (process) => process.argv.some((token) => testPattern(copy, token)),
    })
  },
})

function checkToken(option: string, value: unknown): string {
  if (value === '') return value
  return checkText(option, value)
}

function quote(text: string): string {
  return `'${text}'`
}

function hasSequence(tokens: readonly string[], wanted: readonly string[]): boolean {
  for (let start = 0; start + wanted.length <= tokens.length; start += 1) {
    if (wanted.every((token, offset) => tokens[start + offset] === token)) return true
  }
  return false
}

function runsScript({ argv, exe, cwd }: ArgvView, wanted: WantedPath): boolean | 'unknown' {
  const program = programArgument(argv, exe)
  if (program.kind !== 'script') return false
  return pathEndsWith(argv[program.index] as string, wanted, cwd)
}

// ---- for the other files of this library

/** Whether the condition holds; `unknown` when something it rests on cannot be read. */
export function examineArgv(matcher: ArgvMatcher, process: ArgvView): boolean | 'unknown' {
  return ruleOf(matcher).test(process)
}

/** The adjacent tokens that the native scan can look for, if that is all there is to it. */
export function literalTokens(matcher: ArgvMatcher): readonly string[] | undefined {
  return ruleOf(matcher).tokens
}

export function isArgvMatcher(value: unknown): value is ArgvMatcher {
  return typeof value === 'object' && value !== null && rules.has(value as ArgvMatcher)
}

function ruleOf(matcher: ArgvMatcher): Rule {
  const rule = rules.get(matcher)
  if (rule === undefined) throw invalidType('argv', matcher, 'made by argv.token(), argv.module(), …')
  return rule
}

/** A regular expression of our own, without the state that `g` keeps between calls. */
export function copyPattern(option: string, value: unknown): RegExp {
  if (!(value instanceof RegExp)) throw invalidType(option, value, 'a RegExp')
  return new RegExp(value.source, value.flags.replace('g', ''))
}

export function testPattern(pattern: RegExp, text: string): boolean {
  pattern.lastIndex = 0
  return pattern.test(text)
}

/** A path, or the end of one, as components. */
export interface WantedPath {
  readonly isAbsolute: boolean
  readonly components: readonly string[]
}

export function checkPath(option: string, value: unknown, { root = false } = {}): WantedPath {
  const path = normalize(checkText(option, value))
  const isRoot = path.isAbsolute && path.components.length === 0
  if (isRoot ? !root : path.components.length === 0 || path.components.includes('..')) {
    throw invalidRange(option, value, 'a path, or the end of one, without leading ..')
  }
  return path
}

/** Compares by whole components; a relative path that is too short is completed by `cwd`, or `unknown` without one. */
export function pathEndsWith(path: string, wanted: WantedPath, cwd?: string): boolean | 'unknown' {
  const found = normalize(path)
  const suffices = found.isAbsolute || (!wanted.isAbsolute && isComplete(found.components, wanted.components))
  if (suffices) return endsWith(found, wanted)
  const isPossible = endsAlike(found.components, wanted.components)
  if (!isPossible) return false
  return cwd === undefined ? 'unknown' : endsWith(normalize(`${cwd}/${path}`), wanted)
}

function isComplete(found: readonly string[], wanted: readonly string[]): boolean {
  return found[0] !== '..' && found.length >= wanted.length
}

/** Whether the components after any leading `..` agree as far as both go. */
function endsAlike(found: readonly string[], wanted: readonly string[]): boolean {
  const own = found.filter((component) => component !== '..')
  const shared = Math.min(own.length, wanted.length)
  return shared === 0 || own.slice(-shared).every((component, index) => component === wanted.slice(-shared)[index])
}

function endsWith(found: WantedPath, wanted: WantedPath): boolean {
  const { length } = wanted.components
  if (wanted.isAbsolute ? !found.isAbsolute || found.components.length !== length : found.components.length < length) {
    return false
  }
  return found.components.slice(-length).every((component, index) => component === wanted.components[index])
}

function normalize(path: string): WantedPath {
  const isAbsolute = path.startsWith('/')
  const components: string[] = []
  for (const component of path.split('/')) {
    if (component === '' || component === '.') continue
    const last = components.at(-1)
    if (component !== '..' || (last === undefined && !isAbsolute) || last === '..') components.push(component)
    else components.pop()
  }
  return { isAbsolute, components }
}

export { basename }
