import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describeWhere, linux } from '../helpers/guards'
import { root } from './installed'

const readme = readFileSync(join(root, 'README.md'), 'utf8')

interface Example {
  readonly line: number
  readonly runs: boolean
  readonly code: string
}

function examplesOf(text: string): Example[] {
  return [...text.matchAll(/^```ts( run)?\n([\s\S]*?)^```$/gm)].map((match) => ({
    line: text.slice(0, match.index).split('\n').length + 1,
    runs: match[1] !== undefined,
    code: match[2] ?? '',
  }))
}

const examples = examplesOf(readme)
// As a module of the package itself, so that 'pidproof' means what dist/ says.
const nameOf = (example: Example): string => join(root, 'test', 'types', `readme-${example.line}.mts`)

const options: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.Node16,
  moduleResolution: ts.ModuleResolutionKind.Node16,
  lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
  types: ['node'],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUnusedLocals: true,
  noEmit: true,
}

/** Compiles sources that exist only here; answers with one line for each error. */
function typeErrors(sources: ReadonlyMap<string, string>): string[] {
  const host = ts.createCompilerHost(options)
  const { getSourceFile, fileExists } = host
  host.fileExists = (path) => sources.has(path) || fileExists(path)
  host.getSourceFile = (path, version, ...rest) => {
    const source = sources.get(path)
    return source === undefined
      ? getSourceFile(path, version, ...rest)
      : ts.createSourceFile(
          path,
          source,
          typeof version === 'object' ? version : { languageVersion: version, impliedNodeFormat: ts.ModuleKind.ESNext },
        )
  }
  const program = ts.createProgram([...sources.keys()], options, host)
  return ts.getPreEmitDiagnostics(program).map((found) => {
    const at = found.file && found.start !== undefined ? found.file.getLineAndCharacterOfPosition(found.start).line : 0
    return `${found.file?.fileName}:${at + 1}: ${ts.flattenDiagnosticMessageText(found.messageText, '\n')}`
  })
}

describe('README.md', () => {
  test('has examples, some of which run', () => {
    expect(examples.length).toBeGreaterThan(8)
    expect(examples.filter(({ runs }) => runs).length).toBeGreaterThan(3)
  })

  test('every example is correct TypeScript against the published types', () => {
    expect(typeErrors(new Map(examples.map((example) => [nameOf(example), example.code])))).toEqual([])
  })

  test('a misspelt export or option in an example would be found', () => {
    const [first] = examples
    if (!first) throw new Error('no example')
    const misspelt = new Map([
      [
        nameOf(first),
        `import { identfy, terminate } from 'pidproof'\nidentfy(1)\nexport const f = (t: never) => terminate(t, { grace: 1 })\n`,
      ],
    ])
    const errors = typeErrors(misspelt).join('\n')
    expect(errors).toContain('identfy')
    expect(errors).toContain("'grace' does not exist")
  })

  describeWhere([linux], 'the examples of README.md that only read', () => {
    // Below the root, so that 'pidproof' is this package.
    let folder = ''
    beforeAll(() => {
      mkdirSync(join(root, 'build'), { recursive: true })
      folder = mkdtempSync(join(root, 'build', 'readme-'))
    })
    afterAll(() => rmSync(folder, { recursive: true }))

    test.each(examples.filter(({ runs }) => runs))('the one at line $line runs', ({ line, code }) => {
      const file = join(folder, `example-${line}.mjs`)
      const { outputText } = ts.transpileModule(code, { compilerOptions: { ...options, module: ts.ModuleKind.ESNext } })
      writeFileSync(file, outputText)
      const { status, stderr } = spawnSync(process.execPath, [file], { encoding: 'utf8', timeout: 60_000 })
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    })
  })

  test('names every exported function and class', () => {
    const exported = Object.keys(require(join(root, 'dist', 'index.js')))
    const unnamed = exported.filter((name) => !new RegExp(`\\b${name}\\b`).test(readme))
    expect(exported.length).toBeGreaterThan(20)
    expect(unnamed).toEqual([])
  })

  test('shows measured times, not a place for them', () => {
    const shown = /<!-- bench:begin -->\n([\s\S]*?)<!-- bench:end -->/.exec(readme)?.[1] ?? ''
    expect(shown).toMatch(/^\|.* ms \|/m)
  })

  test('gives the two commands exactly', () => {
    expect(readme).toContain('\nnpm ci && npm run demo\nnpm ci && npm test\n')
  })

  test('every subcommand it shows exists, and every subcommand that exists is shown', () => {
    const main = join(root, 'dist', 'cli', 'main.js')
    const { stdout, status } = spawnSync(process.execPath, [main, '--help'], { encoding: 'utf8' })
    const list = /^Commands:\n([\s\S]*?)\n\n/m.exec(stdout)?.[1] ?? ''
    const commands = [...list.matchAll(/^ {2}([a-z]+)/gm)].map((match) => match[1])
    const shown = [...readme.matchAll(/^pidproof ([a-z]+) .*# /gm)].map((match) => match[1])
    expect(status).toBe(0)
    expect([...new Set(shown)].sort()).toEqual(commands.filter((name) => name !== 'help').sort())
  })
})
