// Formatting and static analysis: biome on TypeScript, JavaScript and JSON; clang-format and
// clang-tidy on C++. A tool that is missing is a failure that says what to install.
//
//   --format   writes what biome and clang-format would change, instead of checking.
//   --fast     without clang-tidy, which takes a minute.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { configure, unitBuild } from './cmake.mjs'
import { root, run, runNode, Tally } from './steps.mjs'

const tally = new Tally()
const format = process.argv.includes('--format')
const fast = process.argv.includes('--fast')

function find(names) {
  return names.find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0)
}

function sources(folder, endings) {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && endings.some((ending) => entry.name.endsWith(ending)))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort()
}

async function biome() {
  const mode = format ? ['--write'] : ['--error-on-warnings']
  const { status, output } = await runNode([join(root, 'node_modules/@biomejs/biome/bin/biome'), 'check', ...mode, '.'])
  return status === 0 ? undefined : output
}

async function clangFormat() {
  const tool = find(['clang-format-19', 'clang-format'])
  if (!tool) return 'clang-format is missing. Debian, Ubuntu: apt-get install clang-format-19'
  const files = [...sources('native', ['.h', '.cc']), ...sources('test', ['.h', '.cc'])]
  const { status, output } = await run(tool, [...(format ? ['-i'] : ['--dry-run', '-Werror']), ...files])
  return status === 0 ? undefined : output
}

async function tidyOne(tool, file) {
  const args = ['--quiet', '-p', unitBuild, '--extra-arg=-Wno-unknown-warning-option', file]
  const { status, output } = await run(tool, args, { timeoutMs: 300_000 })
  // Without this line of statistics there is nothing but findings.
  return status === 0 ? '' : output.replace(/^\d+ warnings? .*\n/gm, '')
}

async function clangTidy() {
  const tool = find(['clang-tidy-19', 'clang-tidy'])
  if (!tool) return 'clang-tidy is missing. Debian, Ubuntu: apt-get install clang-tidy-19'
  const problem = await configure()
  if (problem) return problem
  const waiting = sources('native', ['.cc'])
  const findings = []
  const worker = async () => {
    for (let file = waiting.shift(); file; file = waiting.shift()) findings.push(await tidyOne(tool, file))
  }
  await Promise.all(Array.from({ length: availableParallelism() }, worker))
  return findings.join('')
}

await tally.check('biome', biome)
await tally.check('clang-format', clangFormat)
if (!format && !fast) await tally.check('clang-tidy', clangTidy)
tally.close()
