// The CMake build of native/ with its unit tests under ASan and UBSan; also where clang-tidy finds its
// compile_commands.json.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { root, run } from './steps.mjs'

/** The build folder; compile_commands.json is in it. */
export const unitBuild = join(root, 'build', 'unit')

function has(tool) {
  return spawnSync(tool, ['--version'], { stdio: 'ignore' }).status === 0
}

/** Configures the build; answers with what went wrong, or with nothing. */
export async function configure() {
  if (!has('cmake')) return 'cmake is missing. Debian, Ubuntu: apt-get install cmake ninja-build'
  // The generator of an existing folder cannot be changed.
  const generator = existsSync(join(unitBuild, 'CMakeCache.txt')) || !has('ninja') ? [] : ['-G', 'Ninja']
  const options = ['-DPIDPROOF_TESTS=ON', '-DPIDPROOF_SANITIZE=address,undefined']
  const { status, output } = await run('cmake', ['-S', 'native', '-B', unitBuild, ...generator, ...options])
  return status === 0 ? undefined : output
}
