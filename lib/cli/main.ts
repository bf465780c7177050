#!/usr/bin/env node
import { exitCodes } from './answer'
import { runProgram } from './program'
import { createUi } from './ui'

/** Whoever reads the output may have seen enough (`| head`); that is no failure of ours. */
function onOutputError(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit()
  process.stderr.write(`pidproof: cannot write the output: ${error.message}\n`)
  process.exit(exitCodes.refused)
}

process.stdout.on('error', onOutputError)
process.stderr.on('error', () => undefined)
void runProgram(process.argv.slice(2), createUi(process.stdout, process.stderr))
