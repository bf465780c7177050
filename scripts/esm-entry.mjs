// Finishes dist/ after tsc: the ESM entry, the headers a source build needs, and nothing stale.
//
// The ESM entry hands on what the CommonJS build exports, so that a program which uses both has one
// set of error classes and one addon. The names are written out, because a star export of a CommonJS
// module gives ESM only what a lexer can guess.
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const dist = join(root, 'dist')

function removeStale(folder = '') {
  for (const entry of readdirSync(join(dist, folder), { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) {
      if (path !== 'napi') removeStale(path)
      continue
    }
    const source = path.replace(/(\.d)?\.m?[jt]s$/, '.ts')
    if (!existsSync(join(root, 'lib', source))) rmSync(join(dist, path))
  }
}

function writeEntry() {
  const names = Object.keys(require(join(dist, 'index.js')))
    .filter((name) => name !== 'default' && name !== '__esModule')
    .sort()
  if (names.length === 0) throw new Error('dist/index.js exports nothing')
  const list = names.map((name) => `  ${name},\n`).join('')
  writeFileSync(join(dist, 'index.mjs'), `import pidproof from './index.js'\n\nexport const {\n${list}} = pidproof\n`)
  writeFileSync(join(dist, 'index.d.mts'), `export * from './index.js'\n`)
}

function copyHeaders() {
  const source = dirname(require.resolve('node-addon-api/napi.h'))
  mkdirSync(join(dist, 'napi'), { recursive: true })
  for (const name of ['napi.h', 'napi-inl.h', 'napi-inl.deprecated.h', 'LICENSE.md']) {
    copyFileSync(join(source, name), join(dist, 'napi', name))
  }
}

removeStale()
writeEntry()
copyHeaders()
for (const bin of Object.values(require(join(root, 'package.json')).bin)) chmodSync(join(root, bin), 0o755)
