// Strips the types of TypeScript files: transpile.cjs <folder> <file>… writes <folder>/<file>.js each.
const { mkdirSync, readFileSync, renameSync, writeFileSync } = require('node:fs')
const { dirname, join } = require('node:path')
const ts = require('typescript')

const compilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.CommonJS,
  esModuleInterop: true,
  inlineSourceMap: true,
}

const [folder, ...files] = process.argv.slice(2)
for (const file of files) {
  const { outputText } = ts.transpileModule(readFileSync(file, 'utf8'), { compilerOptions, fileName: file })
  const product = join(folder, `${file}.js`)
  mkdirSync(dirname(product), { recursive: true })
  // Another test run may be reading it.
  writeFileSync(`${product}.${process.pid}`, outputText)
  renameSync(`${product}.${process.pid}`, product)
}
