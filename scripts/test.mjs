// Everything that says whether this is right, after the build: `npm test`.
// The last line is `N passed, N failed`, with `, N skipped` when the reasons are printed above.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { root, run, runNode, Tally } from './steps.mjs'

const scratch = mkdtempSync(join(tmpdir(), 'pidproof-test-'))
const bin = (name, path) => join(root, 'node_modules', name, path)
const tally = new Tally()
// A system without a backend of its own is tested for saying so; everything else needs a real one.
const hasBackend = ['linux'].includes(process.platform)

async function packageChecks() {
  let tarball = ''
  await tally.check('npm pack', async () => {
    const npm = process.env.npm_execpath
    const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', scratch]
    const { status, output } = npm?.endsWith('.js') ? await runNode([npm, ...args]) : await run('npm', args)
    if (status !== 0) return output
    tarball = join(scratch, JSON.parse(output.slice(output.search(/^\[/m)))[0].filename)
    return existsSync(tarball) ? undefined : `no ${tarball}`
  })
  await tally.program('publint', [bin('publint', 'src/cli.js'), 'run', tarball, '--strict'])
  await tally.program('are the types wrong', [
    bin('@arethetypeswrong/cli', 'dist/index.js'),
    tarball,
    '--no-definitely-typed',
    '--no-emoji',
    '--format=ascii',
  ])
}

function failuresOf(file) {
  return file.assertionResults.length === 0 ? [file.message] : []
}

async function jest(title, patterns) {
  const report = join(scratch, 'jest.json')
  const { status, output } = await runNode(
    [bin('jest', 'bin/jest.js'), '--ci', '--json', `--outputFile=${report}`, ...patterns],
    { timeoutMs: 22 * 60_000, live: true, lastFile: report },
  )
  if (!existsSync(report)) {
    tally.failed += 1
    console.log(`FAILED  ${title}: jest wrote no report, exit code ${status}\n${output}`)
    return
  }
  const result = JSON.parse(readFileSync(report, 'utf8'))
  // A test file that could not even be loaded has no tests to count: it is one failure.
  const broken = result.testResults.filter((file) => file.status === 'failed' && failuresOf(file).length > 0).length
  tally.passed += result.numPassedTests
  tally.failed += result.numFailedTests + broken
  tally.skipped += result.numPendingTests
  for (const file of result.testResults) {
    for (const test of file.assertionResults) {
      if (test.status === 'pending') console.log(`skipped ${relative(root, file.name)}: ${test.fullName}`)
    }
  }
  if (result.numTotalTests === 0) {
    tally.failed += 1
    console.log(`FAILED  ${title}: jest found no test`)
  } else if (status !== 0 && result.numFailedTests + broken === 0) {
    tally.failed += 1
    console.log(`FAILED  ${title}: no test failed, yet ${output.trimEnd().split('\n').at(-1)} (exit code ${status})`)
  }
}

try {
  const tsc = bin('typescript', 'bin/tsc')
  await tally.program('both build descriptions list the same sources', [join(root, 'scripts', 'check-sources.mjs')])
  await tally.program('types of lib and test', [tsc, '--noEmit', '-p', 'tsconfig.json'])
  await tally.program('types as a program that uses the package sees them', [tsc, '-p', 'test/types/tsconfig.json'])
  await tally.program('workflows', [join(root, 'scripts', 'workflows.mjs')])
  await packageChecks()
  await jest('jest', hasBackend ? [] : ['test/unsupported.test.ts', 'test/package/'])
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
tally.close()
