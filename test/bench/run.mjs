// npm run bench [-- --quick] [-- --markdown] [-- --only=list,sweep,port,end,wait]
//
// Compiles the floor and the crowd, then measures inside an own pid namespace, so that the crowd can
// neither be seen by the rest of the machine nor outlive the run.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { cpus } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { markdown, summary, table } from './report.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const build = join(here, '..', '..', 'build', 'bench')
const DEADLINE_MS = 15 * 60_000

const { values: options } = parseArgs({
  options: { quick: { type: 'boolean' }, markdown: { type: 'boolean' }, only: { type: 'string' } },
})

function compile() {
  mkdirSync(build, { recursive: true })
  const compiler = process.env.CXX ?? 'c++'
  const make = (name, ...flags) =>
    execFileSync(compiler, ['-O2', ...flags, join(here, `${name}.cc`), '-o', join(build, name)], { stdio: 'inherit' })
  make('floor')
  make('crowd', '-static')
}

/** Root needs no user namespace; everybody else becomes root of one. */
function namespaceFlags() {
  const own = ['--pid', '--fork', '--mount-proc', '--kill-child']
  return process.getuid() === 0 ? own : ['--user', '--map-root-user', ...own]
}

async function measure() {
  const settings = JSON.stringify({ build, quick: options.quick ?? false, only: options.only?.split(',') })
  // The shell stays pid 1 of the namespace: it reaps, and the measuring process is an ordinary one.
  const shell = ['sh', '-c', '"$0" "$@"; exit $?', process.execPath, join(here, 'measure.mjs'), settings]
  const child = spawn('unshare', [...namespaceFlags(), ...shell], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: DEADLINE_MS,
    killSignal: 'SIGKILL',
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    text += chunk
  })
  const [code, signal] = await once(child, 'close')
  if (code !== 0) throw new Error(`the measurement ended with ${signal ?? `exit code ${code}`}`)
  return JSON.parse(text)
}

compile()
const measured = await measure()
const machine = `Linux ${execFileSync('uname', ['-r'], { encoding: 'utf8' }).trim()}, ${cpus().length} cores, Node ${process.versions.node}`
process.stdout.write(
  `${options.markdown ? markdown(measured.rows) : table(measured.rows)}\n\n${machine}. ${summary(measured)}\n`,
)
