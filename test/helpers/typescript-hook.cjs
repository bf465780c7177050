// Makes require() take TypeScript files from where transpile.cjs has put them.
const { readFileSync } = require('node:fs')
const { join, relative, resolve } = require('node:path')

const repository = resolve(__dirname, '..', '..')
const compiled = join(repository, 'build', 'fixtures', 'typescript')

require.extensions['.ts'] = (module, filename) => {
  module._compile(readFileSync(join(compiled, `${relative(repository, filename)}.js`), 'utf8'), filename)
}
