// Runs one scenario in a process of its own: scenario-main.cjs <file> <deadline> <input as JSON>. The outcome
// goes to descriptor 3 as one line of JSON; stdout and stderr are the scenario's own.
const { writeSync } = require('node:fs')
require('./typescript-hook.cjs')

const [file, deadlineMs, input] = process.argv.slice(2)

// Whoever started it also watches the time, but may have been killed.
setTimeout(() => process.exit(112), Number(deadlineMs)).unref()

function answer(outcome) {
  const line = Buffer.from(`${JSON.stringify(outcome)}\n`)
  for (let sent = 0; sent < line.length; ) sent += writeSync(3, line, sent)
}

async function main() {
  const { endFixtures } = require('./fixture.ts')
  let outcome
  try {
    outcome = { ok: true, value: (await require(file).default(JSON.parse(input))) ?? null }
  } catch (error) {
    outcome = { ok: false, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
  await endFixtures()
  answer(outcome)
  process.exit(0)
}

main()
