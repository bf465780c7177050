// A list of checks, each a child process or a function: printed in full when it fails, counted always.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

/**
 * Runs a program of ours; its whole process group ends with it when `timeoutMs` is over, or half a minute
 * after it has written `lastFile`.
 */
export function run(command, args, { timeoutMs = 300_000, env = process.env, live = false, lastFile } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: process.platform !== 'win32',
      windowsHide: true,
    })
    let output = ''
    const collect = (stream) => (text) => {
      output += text
      if (live) stream.write(text)
    }
    child.stdout.setEncoding('utf8').on('data', collect(process.stdout))
    child.stderr.setEncoding('utf8').on('data', collect(process.stderr))
    let late = ''
    const end = (why) => {
      late ||= why
      if (process.platform === 'win32') child.kill('SIGKILL')
      else process.kill(-child.pid, 'SIGKILL')
    }
    const timer = setTimeout(end, timeoutMs, `ended after ${timeoutMs / 1000} s without an end in sight`)
    const looks = lastFile === undefined ? undefined : setInterval(look, 1000)
    let seenAt = 0
    function look() {
      if (seenAt === 0 && existsSync(lastFile)) seenAt = performance.now()
      if (seenAt > 0 && performance.now() - seenAt > 30_000) end('was done, but did not end: something keeps it alive')
    }
    const finish = (status, note) => {
      clearTimeout(timer)
      clearInterval(looks)
      resolve({ status, output: note ? `${output}${note}\n` : output })
    }
    child.on('error', (error) => finish(127, `${command}: ${error.message}`))
    child.on('close', (code, signal) => {
      if (late) finish(124, `${command}: ${late}`)
      else finish(code ?? 128, signal ? `${command}: ended by ${signal}` : '')
    })
  })
}

/** Runs a JavaScript program of ours with the Node that runs this. */
export function runNode(args, options) {
  return run(process.execPath, args, options)
}

export class Tally {
  passed = 0
  failed = 0
  skipped = 0

  /** `check` throws, or answers with what went wrong, or with nothing. */
  async check(title, check) {
    const started = performance.now()
    let problem
    try {
      problem = await check()
    } catch (error) {
      problem = error instanceof Error ? (error.stack ?? error.message) : String(error)
    }
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    if (problem) {
      this.failed += 1
      console.log(`FAILED  ${title} (${seconds} s)\n${problem}`)
    } else {
      this.passed += 1
      console.log(`ok      ${title} (${seconds} s)`)
    }
  }

  async program(title, args, options) {
    await this.check(title, async () => {
      const { status, output } = await runNode(args, options)
      return status === 0 ? undefined : `${output}exit code ${status}`
    })
  }

  /** Prints the closing line and sets the exit code. */
  close() {
    const skipped = this.skipped > 0 ? `, ${this.skipped} skipped` : ''
    process.exitCode = this.failed > 0 ? 1 : 0
    console.log(`${this.passed} passed, ${this.failed} failed${skipped}`)
  }
}
