import { argv, examineArgv } from '../lib/argv'
import { programArgument } from '../lib/script-argument'

const python = (...rest: string[]) => ({ argv: ['python3', ...rest], exe: '/usr/bin/python3.12' })
const words = (text: string) => text.split(' ')

describe('argv.token() and argv.sequence()', () => {
  test('a token is one whole argument, argv[0] included', () => {
    expect(argv.token('--serve').matches({ argv: ['app', '--serve'] })).toBe(true)
    expect(argv.token('app').matches({ argv: ['app', '--serve'] })).toBe(true)
    expect(argv.token('').matches({ argv: ['app', ''] })).toBe(true)
  })

  test.each(['--server', '--serve=1', 'x--serve', 'please --serve now', '--Serve'])('%p is not the token', (other) => {
    expect(argv.token('--serve').matches({ argv: ['app', other] })).toBe(false)
  })

  test('a sequence stands together and in order', () => {
    const sequence = argv.sequence('run', '--role', 'backend')
    expect(sequence.matches({ argv: ['app', 'run', '--role', 'backend', '-v'] })).toBe(true)
    expect(sequence.matches({ argv: ['app', 'run', '-v', '--role', 'backend'] })).toBe(false)
    expect(sequence.matches({ argv: ['app', '--role', 'backend', 'run'] })).toBe(false)
    expect(sequence.matches({ argv: ['app', 'run --role backend'] })).toBe(false)
    expect(sequence.matches({ argv: ['run', '--role'] })).toBe(false)
  })

  test('describe() says what is wanted', () => {
    expect(argv.token('a b').describe()).toBe("argument 'a b'")
    expect(argv.sequence('-m', 'x').describe()).toBe("arguments '-m' 'x'")
    expect(argv.module('x.y').describe()).toBe("module 'x.y'")
    expect(argv.scriptPath('bin/x').describe()).toBe("script 'bin/x'")
    expect(argv.pattern(/^a+$/i).describe()).toBe('an argument that matches /^a+$/i')
  })

  test.each([
    ['token', () => argv.token(7 as unknown as string)],
    ['token with NUL', () => argv.token('a\0b')],
    ['sequence of nothing', () => argv.sequence()],
    ['module without name', () => argv.module('')],
    ['scriptPath of the root', () => argv.scriptPath('/')],
    ['scriptPath upwards', () => argv.scriptPath('../x.js')],
    ['pattern that is text', () => argv.pattern('x' as unknown as RegExp)],
  ])('%s is ERR_INVALID_ARG', (_name, make) => {
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG' }))
  })
})

describe('argv.module()', () => {
  const server = argv.module('http.server')

  test.each([
    '-m http.server',
    '-m http.server 8000',
    '-mhttp.server',
    '-Im http.server',
    '-Imhttp.server',
    '-bb -u -m http.server --bind 127.0.0.1',
    '-W ignore -m http.server',
    '-Wignore -X dev -m http.server',
    '--check-hash-based-pycs always -m http.server',
    '-BdEsm http.server',
  ])('python3 %s runs the module', (line) => {
    expect(server.matches(python(...words(line)))).toBe(true)
  })

  test.each([
    'tool.py -m http.server',
    '-u tool.py -m http.server',
    '-- -m http.server',
    '- -m http.server',
    '-c pass -m http.server',
    '-uc pass -m http.server',
    '-m other -m http.server',
    '-m other http.server',
    '-m http.server.extra',
    '-m http',
    '-W -m http.server',
    '-X -m http.server',
    '--check-hash-based-pycs -m http.server',
    '--no-such-option -m http.server',
    '--version -m http.server',
    '-V -m http.server',
    '-Z -m http.server',
    '-m',
    'http.server',
    '',
  ])('python3 %p does not', (line) => {
    expect(server.matches(python(...words(line)))).toBe(false)
  })

  test('a prompt that mentions it is one argument of somebody else', () => {
    expect(server.matches({ argv: ['agent', 'please run python3 -m http.server'], exe: '/usr/bin/agent' })).toBe(false)
    expect(server.matches({ argv: ['agent', '-m', 'http.server'], exe: '/usr/bin/agent' })).toBe(false)
  })

  test.each(['/usr/bin/python', '/opt/py/bin/python3.13t', '/usr/bin/pypy3.10', '/usr/bin/python3-dbg', '/x/Python'])(
    '%s is Python',
    (exe) => {
      expect(server.matches({ argv: ['anything', '-m', 'http.server'], exe })).toBe(true)
    },
  )

  test.each(['/usr/bin/pythonista', '/usr/bin/mypython', '/usr/bin/python-config', '/usr/bin/node'])(
    '%s is not, whatever argv[0] claims',
    (exe) => {
      expect(server.matches({ argv: ['python3', '-m', 'http.server'], exe })).toBe(false)
    },
  )

  test('argv[0] decides where the executable cannot be read', () => {
    expect(server.matches({ argv: ['/usr/bin/python3', '-m', 'http.server'] })).toBe(true)
    expect(server.matches({ argv: ['/usr/bin/perl', '-m', 'http.server'] })).toBe(false)
    expect(server.matches({ argv: [] })).toBe(false)
  })

  test('a value option of PyPy is skipped', () => {
    const jit = ['pypy3', '--jit', 'off', '-m', 'http.server']
    expect(server.matches({ argv: jit, exe: '/usr/bin/pypy3' })).toBe(true)
  })
})

describe('the script of an interpreter', () => {
  const scriptOf = (line: string, exe?: string) => {
    const tokens = words(line)
    const program = programArgument(tokens, exe)
    return program.kind === 'script' ? tokens[program.index] : program.kind
  }

  test.each([
    ['node app.js', 'app.js'],
    ['node --inspect --max-old-space-size=4096 app.js --inspect', 'app.js'],
    ['node -r ts-node/register --import ./hook.mjs app.js', 'app.js'],
    ['node --require=./a.js -C dev --env-file .env app.js', 'app.js'],
    ['node --inspect-port 9230 --title worker app.js', 'app.js'],
    ['node -- app.js', 'app.js'],
    ['node inspect app.js', 'app.js'],
    ['nodejs app.js', 'app.js'],
    ['node22 app.js', 'app.js'],
    ['bun app.ts', 'app.ts'],
    ['bun run --hot -r ./pre.ts app.ts', 'app.ts'],
    ['bun --watch run app.ts', 'app.ts'],
    ['bun run run', 'run'],
    ['deno run -A --config deno.json --allow-net=host main.ts x', 'main.ts'],
    ['deno main.ts', 'main.ts'],
    ['deno serve --port 8000 main.ts', 'main.ts'],
    ['python3 -u -W ignore tool.py', 'tool.py'],
    ['python3 -X dev -- tool.py', 'tool.py'],
    ['ruby -I lib -rset -W:no-deprecated server.rb', 'server.rb'],
    ['ruby --encoding utf-8 -C /srv server.rb', 'server.rb'],
    ['perl -w -Ilib -I lib2 -MData::Dumper script.pl', 'script.pl'],
    ['perl -d:NYTProf script.pl', 'script.pl'],
    ['sh -eu run.sh', 'run.sh'],
    ['bash -eo pipefail run.sh arg', 'run.sh'],
    ['bash --norc --rcfile rc run.sh', 'run.sh'],
    ['bash -norc run.sh', 'run.sh'],
    ['bash +x -O extglob run.sh', 'run.sh'],
    ['-bash', 'none'],
    ['sh - run.sh', 'run.sh'],
    ['zsh -f run.sh', 'run.sh'],
    ['/opt/app/backend --port 3000', '/opt/app/backend'],
    ['./backend', './backend'],
  ])('%s: %s', (line, script) => {
    expect(scriptOf(line)).toBe(script)
  })

  test.each([
    'node -e code app.js',
    'node --eval=code app.js',
    'node -p code app.js',
    'node -pe code app.js',
    'node - app.js',
    'node --test app.js',
    'node --run build app.js',
    'node',
    'bun -e code app.ts',
    'bun test app.ts',
    'bun x app.ts',
    'deno eval app.ts',
    'deno test main.ts',
    'deno task main.ts',
    'python3 -c code tool.py',
    'python3 - tool.py',
    'ruby -ne code x.rb',
    'ruby -',
    'perl -lne code x.pl',
    'perl -E code x.pl',
    'sh -c code run.sh',
    'bash -lc code run.sh',
    'sh -s run.sh',
  ])('%s has none', (line) => {
    expect(scriptOf(line)).toBe('none')
  })

  test('a module is no script', () => {
    expect(scriptOf('python3 -m tool.py x')).toBe('module')
  })

  test('the executable decides, not what argv[0] claims; of one that is many commands argv[0] does', () => {
    expect(scriptOf('worker app.js', '/usr/bin/node')).toBe('app.js')
    expect(scriptOf('node app.js', '/opt/app/backend')).toBe('node')
    expect(scriptOf('sh run.sh', '/bin/busybox')).toBe('run.sh')
  })
})

describe('argv.scriptPath()', () => {
  const node = (script: string, cwd?: string) => ({
    argv: ['node', '--title', 'x', script, 'other/server.js'],
    exe: '/usr/bin/node',
    ...(cwd !== undefined && { cwd }),
  })
  const server = argv.scriptPath('app/server.js')

  test.each([
    '/srv/app/server.js',
    'app/server.js',
    './app/server.js',
    '/srv/x/../app//server.js',
    'x/app/./server.js',
  ])('%s ends in it', (script) => {
    expect(examineArgv(server, node(script))).toBe(true)
  })

  test.each([
    '/srv/myapp/server.js',
    '/srv/app/server.jsx',
    '/srv/app/old-server.js',
    '/srv/app/server.js/x',
    'server.mjs',
  ])('%s does not', (script) => {
    expect(examineArgv(server, node(script, '/srv/app'))).toBe(false)
  })

  test('a script too short to tell is completed by the working directory', () => {
    expect(examineArgv(server, node('server.js', '/srv/app'))).toBe(true)
    expect(examineArgv(server, node('server.js', '/srv/myapp'))).toBe(false)
    expect(examineArgv(server, node('../server.js', '/srv/app/bin'))).toBe(true)
    expect(examineArgv(server, node('../app/server.js', '/srv/other'))).toBe(true)
  })

  test('without the working directory that is unknown, and a match only when it is certain', () => {
    expect(examineArgv(server, node('server.js'))).toBe('unknown')
    expect(server.matches(node('server.js'))).toBe(false)
    expect(examineArgv(server, node('client.js'))).toBe(false)
  })

  test('an absolute path is the whole path', () => {
    const whole = argv.scriptPath('/srv/app/server.js')
    expect(examineArgv(whole, node('/srv/app/server.js'))).toBe(true)
    expect(examineArgv(whole, node('/mnt/srv/app/server.js'))).toBe(false)
    expect(examineArgv(whole, node('server.js', '/srv/app'))).toBe(true)
    expect(examineArgv(whole, node('srv/app/server.js', '/'))).toBe(true)
    expect(examineArgv(whole, node('server.js'))).toBe('unknown')
  })

  test('only the script itself counts, not an argument of it, code or another program', () => {
    const argument = { argv: ['node', 'cli.js', '/srv/app/server.js'], exe: '/usr/bin/node' }
    expect(examineArgv(server, argument)).toBe(false)
    expect(examineArgv(server, { argv: ['node', '-e', '/srv/app/server.js'], exe: '/usr/bin/node' })).toBe(false)
    expect(examineArgv(server, { argv: ['vi', '/srv/app/server.js'], exe: '/usr/bin/vi' })).toBe(false)
    expect(
      examineArgv(argv.scriptPath('bin/backend'), { argv: ['/srv/bin/backend', 'x'], exe: '/srv/bin/backend' }),
    ).toBe(true)
  })
})

describe('argv.pattern()', () => {
  test('looks at one argument at a time', () => {
    const pattern = argv.pattern(/^--port=\d+$/)
    expect(pattern.matches({ argv: ['app', '--port=3000'] })).toBe(true)
    expect(pattern.matches({ argv: ['app', 'x --port=3000'] })).toBe(false)
    expect(argv.pattern(/app.*3000/).matches({ argv: ['app', '3000'] })).toBe(false)
  })

  test('state of the original does not matter, and is not touched', () => {
    const original = /port/g
    original.lastIndex = 3
    const pattern = argv.pattern(original)
    for (let round = 0; round < 3; round += 1) expect(pattern.matches({ argv: ['port'] })).toBe(true)
    expect(original.lastIndex).toBe(3)
    original.lastIndex = 0
    const sticky = argv.pattern(/rt/y)
    expect(sticky.matches({ argv: ['port', 'rt'] })).toBe(true)
    expect(sticky.matches({ argv: ['port'] })).toBe(false)
    expect(sticky.matches({ argv: ['rt'] })).toBe(true)
  })
})
