import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './installed'

const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const manifest = JSON.parse(read('package.json')) as { version: string; scripts: Record<string, string> }

/** Files of a folder, with their paths from the root. */
function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    return entry.isDirectory() ? filesBelow(path) : [path]
  })
}

describe('the repository', () => {
  test('CHANGELOG.md begins with the version of package.json', () => {
    expect(/^## (\S+)/m.exec(read('CHANGELOG.md'))?.[1]).toBe(manifest.version)
  })

  test('every npm script that the documents name exists', () => {
    const named = ['README.md', 'CONTRIBUTING.md'].flatMap((path) =>
      [...read(path).matchAll(/npm (?:run )?(?:--silent )?(test|[a-z]+(?::[a-z]+)?)/g)].map((match) => match[1] ?? ''),
    )
    const builtIn = ['ci', 'install', 'pack', 'rebuild', 'run', 'i', 'registry']
    const missing = named.filter((name) => !builtIn.includes(name) && !(name in manifest.scripts))
    expect(missing).toEqual([])
    expect(named).toContain('demo')
  })

  test('every file that CONTRIBUTING.md names is there', () => {
    const named = [...read('CONTRIBUTING.md').matchAll(/`((?:lib|native|scripts|test|\.ci|\.github)\/[\w./-]+\.\w+)`/g)]
    const missing = named.map((match) => match[1] ?? '').filter((path) => !existsSync(join(root, path)))
    expect(missing).toEqual([])
    expect(named.length).toBeGreaterThan(5)
  })

  test('every document that a document or the command refers to is there', () => {
    const links = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md'].flatMap((path) =>
      [...read(path).matchAll(/\]\((?!https?:)([^)#]+)/g)].map((match) => match[1] ?? ''),
    )
    const mentioned = filesBelow('lib').flatMap((path) => read(path).match(/\bdocs\/[\w-]+\.md/g) ?? [])
    expect([...links, ...mentioned].filter((path) => !existsSync(join(root, path)))).toEqual([])
    expect(links).toContain('LICENSE')
  })

  test('every feature that tests can take away is documented', () => {
    const names = [...read('native/linux/syscalls.cc').matchAll(/\{"([a-z_-]+)", k[A-Z]/g)].map(
      (match) => match[1] ?? '',
    )
    const contributing = read('CONTRIBUTING.md')
    expect(names.length).toBeGreaterThan(5)
    expect(names.filter((name) => !contributing.includes(`\`${name}\``))).toEqual([])
  })

  test('only the platform folders know an operating system', () => {
    const above = filesBelow('lib').filter((path) => path !== 'lib/native.ts')
    const asking = above.filter((path) =>
      /(?:process\.platform|\bplatform\(\))\s*[!=]==?|[!=]==?\s*(?:process\.platform|platform\(\))|switch \((?:process\.platform|platform\(\))/.test(
        read(path),
      ),
    )
    expect(asking).toEqual([])
    const systemHeader = /^#include <(?:sys\/(?!types)|linux\/|unistd|windows|mach|libproc|signal\.h)/m
    const common = readdirSync(join(root, 'native')).filter((name) => /\.(h|cc)$/.test(name))
    expect(common.filter((name) => systemHeader.test(read(`native/${name}`)))).toEqual([])
    expect(common).toContain('platform.h')
  })

  test('only the binding knows Node-API', () => {
    const knowing = filesBelow('native').filter((path) => /\.(h|cc)$/.test(path) && /#include <napi/.test(read(path)))
    expect(knowing.filter((path) => path.split('/').length > 2)).toEqual([])
    expect(knowing).toContain('native/promise_worker.h')
  })
})
