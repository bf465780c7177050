// The C++ unit tests, built by CMake under ASan and UBSan and run by CTest: `npm run test:native`.
// The last line is `N passed, N failed`.
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { configure, unitBuild } from './cmake.mjs'
import { run, Tally } from './steps.mjs'

const tally = new Tally()
const jobs = ['--parallel', String(availableParallelism())]

async function build() {
  const problem = await configure()
  if (problem) return problem
  const { status, output } = await run('cmake', ['--build', unitBuild, ...jobs], { timeoutMs: 600_000 })
  return status === 0 ? undefined : output
}

async function ctest() {
  const report = join(unitBuild, 'ctest.xml')
  rmSync(report, { force: true })
  const args = ['--test-dir', unitBuild, '--output-on-failure', '--no-tests=error', '--timeout', '120', ...jobs]
  const { status, output } = await run('ctest', [...args, '--output-junit', report], { live: true })
  const suite = existsSync(report) ? (/<testsuite\b[^>]*>/.exec(readFileSync(report, 'utf8'))?.[0] ?? '') : ''
  const count = (name) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(suite)?.[1] ?? 0)
  const [all, failed, skipped] = [count('tests'), count('failures'), count('skipped') + count('disabled')]
  tally.passed += all - failed - skipped
  tally.failed += failed
  tally.skipped += skipped
  if (failed > 0 || (status === 0 && all > 0)) return
  tally.failed += 1
  console.log(`FAILED  ctest: exit code ${status}, and its report tells of no failed test\n${output}`)
}

await tally.check('build', build)
if (tally.failed === 0) await ctest()
tally.close()
