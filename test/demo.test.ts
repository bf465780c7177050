import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { identify, type ProcessIdentity, parseIdentity, verify } from '../lib/identity'
import { repository } from './helpers/build-fixtures'
import { within } from './helpers/until'

class Demo {
  output = ''
  readonly #child = spawn(process.execPath, [join(repository, 'scripts', 'demo.mjs')], {
    env: { ...process.env, LC_ALL: 'C.UTF-8', NO_COLOR: '1', FORCE_COLOR: undefined },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  readonly #closed = once(this.#child, 'close')

  constructor() {
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.output += text
      })
    }
  }

  /** Resolves once it has printed this. */
  async printed(text: string): Promise<void> {
    while (!this.output.includes(text)) await within(30_000, text, once(this.#child.stdout, 'data'))
  }

  interrupt(): void {
    this.#child.kill('SIGINT')
  }

  async exitCode(): Promise<number | null> {
    const [code] = await within(45_000, `the end of the demo: ${this.output}`, this.#closed)
    return code as number | null
  }

  /** The processes that its trees have shown. */
  get pids(): number[] {
    return [...this.output.matchAll(/^[ │├└─]*(\d+) node/gm)].map((match) => Number(match[1]))
  }
}

async function stillRunning(identities: readonly ProcessIdentity[]): Promise<readonly ProcessIdentity[]> {
  const states = await Promise.all(identities.map((identity) => verify(identity)))
  return identities.filter((_, index) => !['gone', 'zombie', 'replaced'].includes(states[index] ?? ''))
}

describe('npm run demo', () => {
  test('comes true, and leaves nothing behind', async () => {
    const demo = new Demo()
    expect([await demo.exitCode(), demo.output]).toEqual([0, expect.stringMatching(/\nAll of it came true\.\n$/)])
    expect(new Set(demo.pids).size).toBe(6)
    const identities = [...new Set(demo.output.match(/\bv1:\S+/g))].map((word) => parseIdentity(word))
    expect(new Set(identities.map(({ pid }) => pid))).toEqual(new Set(demo.pids))
    expect(await stillRunning(identities)).toEqual([])
  })

  test('leaves nothing behind when it is interrupted', async () => {
    const demo = new Demo()
    await demo.printed('Both ports at once')
    const identities = await Promise.all([...new Set(demo.pids)].map((pid) => identify(pid)))
    expect(identities).toHaveLength(6)
    demo.interrupt()
    demo.interrupt()
    expect(await demo.exitCode()).toBe(130)
    expect(await stillRunning(identities)).toEqual([])
  })
})
