// Compares the sources that binding.gyp (what ships) and native/CMakeLists.txt (development) list for
// each operating system with each other and with the files that are there. Exit code 1 on any difference.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runInNewContext } from 'node:vm'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** The operating systems by their names in gyp and in CMake. */
const systems = [
  { gyp: 'linux', cmake: 'Linux' },
  { gyp: 'mac', cmake: 'Darwin' },
  { gyp: 'win', cmake: 'Windows' },
]

// A .gyp file is a Python literal; without its comments it is a JavaScript one as well.
function readGyp() {
  const text = readFileSync(join(root, 'binding.gyp'), 'utf8')
  return runInNewContext(`(${text.replace(/^\s*#.*$/gm, '')})`)
}

function conditionHolds(condition, variables) {
  return Boolean(runInNewContext(condition.replace(/\band\b/g, '&&').replace(/\bor\b/g, '||'), { ...variables }))
}

/** A part of a .gyp file and those of its conditional parts that apply. */
function applicable(part, variables) {
  const parts = [part]
  for (const [condition, then, otherwise] of part.conditions ?? []) {
    const chosen = conditionHolds(condition, variables) ? then : otherwise
    if (chosen) parts.push(...applicable(chosen, variables))
  }
  return parts
}

function gypSources(gyp, system) {
  const variables = { OS: system.gyp, with_unsupported: 0 }
  const target = applicable(gyp, variables)
    .flatMap((part) => part.targets ?? [])
    .find((each) => each.target_name === 'pidproof')
  return applicable(target, variables)
    .flatMap((part) => part.sources ?? [])
    .flatMap((source) => (source.startsWith('<@(') ? gyp.variables[source.slice(3, -1)] : [source]))
}

/** The lists that CMakeLists.txt sets, by their names without PIDPROOF_SOURCES_. */
function readCMake() {
  const text = readFileSync(join(root, 'native', 'CMakeLists.txt'), 'utf8').replace(/#.*$/gm, '')
  const lists = text.matchAll(/\bset\(\s*PIDPROOF_SOURCES_(\w+)\s+([^)]*)\)/g)
  return new Map([...lists].map(([, name, files]) => [name, files.split(/\s+/).filter(Boolean)]))
}

function cmakeSources(lists, system) {
  const platform = lists.get(system.cmake) ?? lists.get('unsupported') ?? []
  return [...(lists.get('addon') ?? []), ...platform].map((file) => `native/${file}`)
}

function sourceFiles() {
  return readdirSync(join(root, 'native'), { recursive: true })
    .map((file) => `native/${file.replaceAll('\\', '/')}`)
    .filter((file) => /\.(cc|cpp|c|mm)$/.test(file) && !/^native\/(test|node_modules|build)\//.test(file))
}

function difference(files, others) {
  return [...new Set(files)].filter((file) => !others.includes(file)).sort()
}

function repeated(files) {
  return [...new Set(files.filter((file, at) => files.indexOf(file) !== at))]
}

function compare(system, gyp, cmake) {
  return [
    ...difference(gyp, cmake).map((file) => `${system}: ${file} is in binding.gyp, not in native/CMakeLists.txt`),
    ...difference(cmake, gyp).map((file) => `${system}: ${file} is in native/CMakeLists.txt, not in binding.gyp`),
    ...repeated(gyp).map((file) => `${system}: ${file} is in binding.gyp more than once`),
    ...repeated(cmake).map((file) => `${system}: ${file} is in native/CMakeLists.txt more than once`),
  ]
}

const gyp = readGyp()
const cmake = readCMake()
const lists = systems.map((system) => ({
  name: system.gyp,
  gyp: gypSources(gyp, system),
  cmake: cmakeSources(cmake, system),
}))
const listed = lists.flatMap((list) => [...list.gyp, ...list.cmake])
const files = sourceFiles()
const problems = [
  ...lists.flatMap((list) => compare(list.name, list.gyp, list.cmake)),
  ...lists.filter((list) => list.gyp.length === 0).map((list) => `${list.name}: binding.gyp lists no sources`),
  ...difference(listed, files).map((file) => `${file} is listed, but there is no such file`),
  ...difference(files, listed).map((file) => `${file} is built by neither`),
]

if (problems.length > 0) {
  console.error(`The source lists of binding.gyp and native/CMakeLists.txt differ:\n  ${problems.join('\n  ')}`)
  process.exit(1)
}
console.log(`${lists.map((list) => `${list.name}: ${list.gyp.length}`).join(', ')} sources, the same in both`)
