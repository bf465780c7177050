import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'

export const repository = resolve(__dirname, '..', '..')
const built = join(repository, 'build', 'fixtures')
const pxSources = join(repository, 'test', 'fixtures', 'px')
const scenarioSources = ['lib', 'test/helpers', 'test/fixtures/scenarios']

/** Path of the fixture program, compiled when its sources are newer. */
export function pxPath(): string {
  const program = join(built, 'px')
  const sources = readdirSync(pxSources).map((name) => join(pxSources, name))
  if (isNewer(program, sources)) return program
  mkdirSync(built, { recursive: true })
  const fresh = `${program}.${process.pid}`
  const units = sources.filter((path) => path.endsWith('.cc'))
  execFileSync(process.env.CXX ?? 'c++', ['-std=c++17', '-O1', '-pthread', '-Wall', '-Wextra', ...units, '-o', fresh])
  chmodSync(fresh, 0o755)
  renameSync(fresh, program)
  return program
}

/** Arguments with which Node runs a scenario; its TypeScript is compiled when it is newer. */
export function scenarioArguments(name: string): string[] {
  const compiled = join(built, 'typescript')
  const sources = scenarioSources.flatMap((folder) => typescriptFiles(folder))
  const stale = sources.filter((file) => !isNewer(join(compiled, `${file}.js`), [join(repository, file)]))
  if (stale.length > 0) {
    execFileSync(process.execPath, [join(__dirname, 'transpile.cjs'), compiled, ...stale], { cwd: repository })
  }
  return [join(__dirname, 'scenario-main.cjs'), join(repository, 'test', 'fixtures', 'scenarios', `${name}.ts`)]
}

function isNewer(product: string, sources: readonly string[]): boolean {
  if (!existsSync(product)) return false
  const made = statSync(product).mtimeMs
  return sources.every((source) => statSync(source).mtimeMs <= made)
}

function typescriptFiles(folder: string): string[] {
  return readdirSync(join(repository, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .map((name) => join(folder, name))
}
