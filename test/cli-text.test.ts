import { coloursFor, wantsColour } from '../lib/cli/colour'
import { age, bytes, duration } from '../lib/cli/format'
import { toJson } from '../lib/cli/json'
import { withProgress } from '../lib/cli/progress'
import { shellWords } from '../lib/cli/shell-words'
import { renderTable } from '../lib/cli/table'
import { commandLine, quoted, textWidth, truncate, visible } from '../lib/cli/text'
import { createUi, isUtf8Locale, type Output } from '../lib/cli/ui'

class Screen implements Output {
  text = ''
  readonly isTTY: boolean
  readonly columns: number

  constructor(isTTY = false, columns = 40) {
    this.isTTY = isTTY
    this.columns = columns
  }

  write(text: string): void {
    this.text += text
  }
}

const utf8 = { LC_ALL: 'C.UTF-8', NO_COLOR: '1' }
const piped = createUi(new Screen(), new Screen(), utf8)

describe('text of other processes', () => {
  test.each([
    ['an escape sequence', '\u001b[2Jgone', String.raw`$'\x1b[2Jgone'`],
    ['a line break', 'a) R 1\n(', String.raw`$'a) R 1\n('`],
    ['an 8-bit control', '\u009b31m', String.raw`$'\u009b31m'`],
    ['DEL', 'a\u007f', String.raw`$'a\x7f'`],
    ['a byte that is not UTF-8', 'a\udcff', String.raw`$'a\xff'`],
    ['another lone surrogate', '\ud800', String.raw`$'\ud800'`],
    ['a change of direction', 'a\u202egpj.exe', String.raw`$'a\u202egpj.exe'`],
    ['an invisible space', 'a\u200bb', String.raw`$'a\u200bb'`],
    ['a line separator', 'a\u2028b', String.raw`$'a\u2028b'`],
    ['a tag character', 'a\u{e0041}', String.raw`$'a\U000e0041'`],
    ['quotes beside a control', "it's\\\t", String.raw`$'it\'s\\\t'`],
  ])('never reaches the terminal as it is: %s', (_what, text, shown) => {
    expect(visible(text)).toBe(shown)
    expect(quoted(text)).toBe(shown)
  })

  test('is left as it is where it is harmless', () => {
    for (const text of ['node', 'tmux: server', 'C:\\Program Files', '日本語', 'Ångström', '👩‍👩‍👧', "it's"])
      expect(visible(text)).toBe(text)
  })

  test('as arguments could be pasted into a shell', () => {
    expect(commandLine(['node', '', 'a b', "it's", '$HOME', '--x=1', '~', 'a*'])).toBe(
      String.raw`node '' 'a b' 'it'\''s' '$HOME' --x=1 '~' 'a*'`,
    )
  })

  test('in JSON is escaped and has its value', () => {
    const value = { name: 'a\u009b\u202e\udcff\u001b\n\u{e0041}' }
    const document = toJson(value)
    expect(document).not.toMatch(/[\u007f-\u009f\u202e\u001b\ud800-\udfff]/)
    expect(JSON.parse(document)).toEqual(value)
  })
})

describe('textWidth()', () => {
  test.each([
    ['node', 4],
    ['日本', 4],
    ['한글', 4],
    ['ｆｕｌｌ', 8],
    ['e\u0301', 1],
    ['👍', 2],
    ['👩‍👩‍👧', 2],
    ['❤️', 2],
    ['', 0],
  ])('of %j is %i columns', (text, width) => expect(textWidth(text)).toBe(width))

  test('is what truncate() keeps to, without cutting a character in half', () => {
    expect(truncate('日本語', 4, '…')).toBe('日…')
    expect(truncate('日本語', 6, '…')).toBe('日本語')
    expect(truncate('abc', 2, '…')).toBe('a…')
    expect(truncate('abc', 0, '…')).toBe('')
  })
})

describe('renderTable()', () => {
  const columns = [
    { title: 'PID', align: 'right' as const, text: (row: readonly [string, string, string]) => row[0] },
    { title: 'NAME', text: (row: readonly [string, string, string]) => row[1] },
    { title: 'COMMAND', text: (row: readonly [string, string, string]) => row[2] },
  ]
  const rows = [
    ['7', '日本', 'first'],
    ['4242', 'node', `node ${'x'.repeat(60)}`],
  ] as const

  test('aligns wide characters, and has no spaces at the end of lines', () => {
    expect(renderTable(columns, rows.slice(0, 1), piped)).toBe('PID  NAME  COMMAND\n  7  日本  first\n')
    expect(renderTable(columns, rows, piped)).toContain('   7  日本  first\n4242  node  node x')
  })

  test('cuts nothing unless the output is a terminal', () => {
    expect(renderTable(columns, rows, piped)).toContain('x'.repeat(60))
    const lines = renderTable(columns, rows, createUi(new Screen(true, 40), new Screen(), utf8)).split('\n')
    expect(Math.max(...lines.map(textWidth))).toBe(40)
    expect(lines.at(-2)).toMatch(/x…$/)
  })

  test('fits even the narrowest terminal', () => {
    for (let width = 1; width < 40; width++) {
      const lines = renderTable(columns, rows, createUi(new Screen(true, width), new Screen(), utf8)).split('\n')
      expect(Math.max(...lines.map(textWidth))).toBeLessThanOrEqual(width)
    }
  })

  test('is empty without rows', () => expect(renderTable(columns, [], piped)).toBe(''))
})

describe('colour', () => {
  const terminal = { isTTY: true }
  const file = { isTTY: false }

  test.each([
    ['a terminal has it', terminal, {}, true],
    ['a file has none', file, {}, false],
    ['NO_COLOR turns it off', terminal, { NO_COLOR: '1' }, false],
    ['an empty NO_COLOR does not', terminal, { NO_COLOR: '' }, true],
    ['FORCE_COLOR turns it on', file, { FORCE_COLOR: '1' }, true],
    ['FORCE_COLOR=0 turns it off', terminal, { FORCE_COLOR: '0' }, false],
    ['NO_COLOR outdoes FORCE_COLOR', file, { NO_COLOR: '1', FORCE_COLOR: '1' }, false],
    ['a dumb terminal has none', terminal, { TERM: 'dumb' }, false],
    ['CI alone changes nothing', file, { CI: 'true' }, false],
  ])('%s', (_title, stream, env, expected) => {
    expect(wantsColour(stream, env)).toBe(expected)
    expect(coloursFor(stream, env).red('x')).toBe(expected ? '\u001b[31mx\u001b[39m' : 'x')
  })
})

describe('isUtf8Locale()', () => {
  test('heeds LC_ALL before LC_CTYPE before LANG', () => {
    expect(isUtf8Locale({ LANG: 'en_GB.UTF-8' })).toBe(true)
    expect(isUtf8Locale({ LANG: 'en_GB.utf8', LC_ALL: 'C' })).toBe(false)
    expect(isUtf8Locale({ LC_CTYPE: 'C.UTF-8', LANG: 'C', LC_ALL: '' })).toBe(true)
    expect(isUtf8Locale({})).toBe(false)
  })
})

describe('withProgress()', () => {
  beforeEach(() => jest.useFakeTimers())
  afterEach(() => jest.useRealTimers())

  async function runFor(ms: number, screen: Screen): Promise<void> {
    let finish: () => void = () => undefined
    const task = () =>
      new Promise<void>((resolve) => {
        finish = resolve
      })
    const done = withProgress(createUi(new Screen(), screen, utf8), () => 'waiting', task)
    await jest.advanceTimersByTimeAsync(ms)
    finish()
    await done
  }

  test('says nothing in the first second', async () => {
    const screen = new Screen(true)
    await runFor(900, screen)
    expect(screen.text).toBe('')
  })

  test('keeps one line on a terminal, and clears it at the end', async () => {
    const screen = new Screen(true)
    await runFor(2500, screen)
    expect(screen.text).toBe('\r\u001b[Kwaiting (1 s)\r\u001b[Kwaiting (2 s)\r\u001b[K')
  })

  test('clears the line also when the task fails', async () => {
    const screen = new Screen(true)
    const done = withProgress(
      createUi(new Screen(), screen, utf8),
      () => 'waiting',
      async () => {
        await jest.advanceTimersByTimeAsync(1500)
        throw new Error('no')
      },
    )
    await expect(done).rejects.toThrow('no')
    expect(screen.text).toMatch(/\r\u001b\[K$/)
  })

  test('says nothing where the error stream is not a terminal', async () => {
    const screen = new Screen(false)
    await runFor(5000, screen)
    expect(screen.text).toBe('')
  })
})

describe('durations and sizes', () => {
  test.each([
    [0, '0 ms'],
    [-5, '0 ms'],
    [999, '999 ms'],
    [4200, '4.2 s'],
    [192_000, '3m 12s'],
    [3_600_000, '1h 0m'],
    [190_800_000, '2d 5h'],
  ])('%i ms are %s', (ms, text) => expect(duration(ms)).toBe(text))

  test('an age is never negative', () => expect(age(new Date(Date.now() + 60_000))).toBe('0 ms'))
  test('sizes have binary units', () => expect([512, 3_565_158].map(bytes)).toEqual(['512 B', '3.4 MiB']))
})

describe('shellWords()', () => {
  test.each([
    ['run dev', ['run', 'dev']],
    ['  --config "my file.json"  ', ['--config', 'my file.json']],
    [String.raw`a\ b 'c "d"' "e\"f" g'h'i`, ['a b', 'c "d"', 'e"f', 'ghi']],
    ["'' x", ['', 'x']],
    ['', []],
  ])('takes %j apart', (text, words) => expect(shellWords('--x', text)).toEqual(words))

  test('refuses a quote that does not end', () => {
    expect(() => shellWords('--args-sequence', 'a "b')).toThrow('--args-sequence: a quote does not end')
  })
})
