// Prints where node-addon-api's headers are, relative to the root, for binding.gyp: the development
// dependency in a checkout, the copy that scripts/esm-entry.mjs made in an installed package.
const { existsSync } = require('node:fs')
const { dirname, join, relative } = require('node:path')

const root = join(__dirname, '..')

function headers() {
  try {
    return dirname(require.resolve('node-addon-api/napi.h'))
  } catch (error) {
    const packed = join(root, 'dist', 'napi')
    if (existsSync(join(packed, 'napi.h'))) return packed
    throw error
  }
}

process.stdout.write(relative(root, headers()).replaceAll('\\', '/'))
