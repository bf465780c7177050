import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const root = join(__dirname, '..', '..')

export interface Ran {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A project with the packed package among its modules, as `npm install --ignore-scripts` leaves it. */
export class InstalledProject {
  readonly folder = mkdtempSync(join(tmpdir(), 'pidproof-installed-'))
  readonly packed = join(this.folder, 'node_modules', 'pidproof')
  readonly files: readonly string[]

  constructor() {
    const answer = this.npm(['pack', '--ignore-scripts', '--json', '--pack-destination', this.folder])
    if (answer.status !== 0) throw new Error(answer.stderr)
    const [tarball] = JSON.parse(answer.stdout) as { filename: string; files: { path: string }[] }[]
    if (!tarball) throw new Error(`npm pack answered ${answer.stdout}`)
    this.files = tarball.files.map(({ path }) => path)
    mkdirSync(this.packed, { recursive: true })
    const untar = spawnSync('tar', [
      '-xzf',
      join(this.folder, tarball.filename),
      '-C',
      this.packed,
      '--strip-components=1',
    ])
    if (untar.status !== 0) throw new Error(`tar: ${untar.stderr}`)
    for (const name of ['commander', 'node-gyp-build', 'picocolors']) {
      cpSync(join(root, 'node_modules', name), join(this.folder, 'node_modules', name), { recursive: true })
    }
  }

  node(args: readonly string[], env: NodeJS.ProcessEnv = {}): Ran {
    return spawnSync(process.execPath, args, {
      cwd: this.folder,
      env: { ...withoutNpm(), ...env },
      encoding: 'utf8',
      timeout: 300_000,
    })
  }

  /** What npm runs when it installs the package. */
  install(env: NodeJS.ProcessEnv = {}): Ran {
    return this.node([join(this.packed, 'scripts', 'build-native.mjs'), '--unless-prebuilt'], env)
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }

  private npm(args: readonly string[]): Ran {
    return spawnSync('npm', args, { cwd: root, encoding: 'utf8', shell: process.platform === 'win32' })
  }
}

function withoutNpm(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name) || name === 'npm_config_nodedir')
  return Object.fromEntries(kept)
}
