import { cpSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { InstalledProject, root } from './installed'

const project = new InstalledProject()
afterAll(() => project.remove())

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  version: string
  dependencies: object
}
const nodeGyp = require.resolve('node-gyp/bin/node-gyp.js')
const addon = join(project.packed, 'build', 'Release', 'pidproof.node')
const identifySelf = 'require("pidproof").identify(process.pid).then((me) => console.log(me.pid === process.pid))'
// Where the backend is `unsupported`, being told so is what a working addon does.
const works =
  process.platform === 'linux'
    ? identifySelf
    : identifySelf.replace(
        '.then((me) => console.log(me.pid === process.pid))',
        '.catch((e) => console.log(e.code === "ENOTSUP"))',
      )

describe('the packed package', () => {
  test('carries what it needs to run and to be built, and nothing of the development tree', () => {
    for (const needed of [
      'dist/index.js',
      'dist/index.mjs',
      'dist/index.d.ts',
      'dist/index.d.mts',
      'dist/cli/main.js',
      'dist/napi/napi.h',
      'dist/napi/LICENSE.md',
      'binding.gyp',
      'native/platform.h',
      'native/binding.cc',
      'native/linux/scan.cc',
      'native/unsupported/platform.cc',
      'scripts/build-native.mjs',
      'scripts/napi-include.cjs',
      'README.md',
      'CHANGELOG.md',
      'LICENSE',
    ]) {
      expect(project.files).toContain(needed)
    }
    const foreign = /^(test|build|lib|\.ci|\.github)\/|^native\/test\/|\.tgz$|(?<!\.d)\.m?ts$|\.o$/
    expect(project.files.filter((path) => foreign.test(path))).toEqual([])
  })

  test('depends on nothing but the loader, the command-line parser and the colours', () => {
    expect(Object.keys(manifest.dependencies).sort()).toEqual(['commander', 'node-gyp-build', 'picocolors'])
  })

  test('can be required without an addon, and the first call then says what is missing and what to do', () => {
    const { status, stdout } = project.node([
      '-e',
      'require("pidproof").identify(1).catch((e) => console.log(e.message))',
    ])
    expect(status).toBe(0)
    expect(stdout).toContain(`no native addon for ${process.platform}-${process.arch}`)
    expect(stdout).toContain('npm rebuild pidproof')
  })

  test('says that node-gyp is missing where there is neither an addon nor a node-gyp', () => {
    const { status, stderr } = project.install()
    expect(status).toBe(1)
    expect(stderr).toContain('no node-gyp')
  })

  test('builds from its own sources and headers, and then works', () => {
    const built = project.install({ npm_config_node_gyp: nodeGyp })
    expect(`${built.status}\n${built.stderr}`).toMatch(/^0\n/)
    expect(built.stderr).not.toContain('warning:')
    expect(project.node(['-e', works])).toMatchObject({ status: 0, stdout: 'true\n' })
  }, 300_000)

  test('builds nothing where the addon already loads', () => {
    expect(project.install()).toMatchObject({ status: 0, stdout: '', stderr: '' })
  })

  test('gives CommonJS and ESM the same classes and one addon', () => {
    const program = `
      import * as esm from 'pidproof'
      import { createRequire } from 'node:module'
      const cjs = createRequire(import.meta.url)('pidproof')
      const names = Object.keys(cjs).sort()
      console.log(names.length > 10, names.every((name) => esm[name] === cjs[name]))
      console.log(JSON.stringify(Object.keys(esm).filter((name) => !names.includes(name))))`
    const { status, stdout, stderr } = project.node(['--input-type=module', '-e', program])
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'true true\n[]\n', stderr: '' })
  })

  test('installs a command that knows its version', () => {
    const { status, stdout } = project.node([join(project.packed, 'dist', 'cli', 'main.js'), '--version'])
    expect({ status, stdout: stdout.trim() }).toEqual({ status: 0, stdout: manifest.version })
  })

  test('prefers a prebuilt addon of its platform when nothing was built', () => {
    const folder = join(project.packed, 'prebuilds', `${process.platform}-${process.arch}`)
    mkdirSync(folder, { recursive: true })
    cpSync(addon, join(folder, 'pidproof.node'))
    const away = join(project.folder, 'build-away')
    renameSync(join(project.packed, 'build'), away)
    try {
      expect(project.install()).toMatchObject({ status: 0, stdout: '', stderr: '' })
      expect(project.node(['-e', works], { PREBUILDS_ONLY: '1' })).toMatchObject({ status: 0, stdout: 'true\n' })
    } finally {
      renameSync(away, join(project.packed, 'build'))
      rmSync(folder, { recursive: true })
    }
  })
})
