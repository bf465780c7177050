// Builds the addon with node-gyp, incrementally, against the headers beside the running Node when
// they are there, so that a machine without access to nodejs.org can build.
//
//   --unless-prebuilt   what `npm install` runs: does nothing where an addon is there and loads.
//
// npm_config_nodedir in the environment (or `nodedir` in .npmrc) names other headers and wins.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const stampFile = join(root, 'build', 'configured.json')
const quiet = process.env.npm_config_loglevel === 'silent'

function fail(message, status = 1) {
  console.error(`pidproof: ${message}`)
  process.exit(status)
}

function headersBesideNode() {
  const prefixes = [dirname(dirname(process.execPath)), process.config.variables.node_prefix]
  return prefixes.find((prefix) => {
    if (typeof prefix !== 'string') return false
    const folder = join(prefix, 'include', 'node')
    return ['node_api.h', 'common.gypi'].every((name) => existsSync(join(folder, name)))
  })
}

function loadsAlready() {
  try {
    require('node-gyp-build')(root)
    return true
  } catch {
    return false
  }
}

function nodeGyp() {
  try {
    return require.resolve('node-gyp/bin/node-gyp.js')
  } catch {
    // Who installs the package has no node-gyp beside it; npm carries one and says where.
    return process.env.npm_config_node_gyp
  }
}

function run(gyp, args) {
  const result = spawnSync(process.execPath, [gyp, ...args], {
    cwd: root,
    stdio: quiet ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  if (result.error) fail(`node-gyp could not be started: ${result.error.message}`)
  if (result.status === 0) return
  if (quiet) process.stderr.write(`${result.stdout}${result.stderr}`)
  const headers = nodedir
    ? `Headers were taken from ${nodedir}.`
    : 'No headers lie beside this Node, so node-gyp downloads them; npm_config_nodedir=<prefix of a Node installation> avoids that.'
  fail(
    `the addon was not built: \`node-gyp ${args[0]}\` ended with ${result.signal ?? result.status}, see above. ` +
      `Needed: python3, make and a C++17 compiler. ${headers}`,
    result.status ?? 1,
  )
}

const forUser = process.argv.includes('--unless-prebuilt')
if (forUser && loadsAlready()) process.exit(0)

const gyp = nodeGyp()
if (!gyp || !existsSync(gyp)) {
  fail(
    'no prebuilt addon fits this platform, and there is no node-gyp to build one. Run `npm i -g node-gyp` and set npm_config_node_gyp to its bin/node-gyp.js.',
  )
}

const nodedir = process.env.npm_config_nodedir || process.env.npm_package_config_node_gyp_nodedir || headersBesideNode()
const common = ['--loglevel=warn', ...(nodedir ? [`--nodedir=${nodedir}`] : [])]
// The second addon is for the tests of a checkout only (see binding.gyp).
const gypDefines = forUser ? [] : ['-Dwith_unsupported=1']

const stamp = JSON.stringify({
  node: process.version,
  arch: process.arch,
  nodedir,
  gyp,
  gypDefines,
  binding: readFileSync(join(root, 'binding.gyp'), 'utf8'),
})
const configured = existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp
if (!configured) {
  if (quiet) console.error('pidproof: building the addon (once)')
  run(gyp, ['configure', ...common, '--', ...gypDefines])
}
run(gyp, ['build', '--jobs=max', ...common])
// Written last: a build that was cut short is configured again.
if (!configured) writeFileSync(stampFile, stamp)
