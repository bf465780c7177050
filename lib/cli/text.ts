/**
 * Characters that must not reach a terminal as they are: controls (C0, C1, DEL), lone surrogates (the addon's
 * stand-in for bytes that are not UTF-8), line and paragraph separators, and invisible or direction-changing ones.
 */
const unsafe =
  /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u{61c}\u{200b}\u{200e}\u{200f}\u{202a}-\u{202e}\u{2060}-\u{2069}\u{feff}\u{e0000}-\u{e007f}]/u
const allUnsafe = new RegExp(unsafe.source, 'gu')
const plainArgument = /^[\p{L}\p{M}\p{N}_@%+=:,./^-]+$/u
const named: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

function escapeCharacter(character: string): string {
  const code = character.codePointAt(0) ?? 0
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0')
  if (named[character]) return named[character]
  if (code >= 0xdc80 && code <= 0xdcff) return `\\x${hex(code - 0xdc00, 2)}`
  if (code < 0x80) return `\\x${hex(code, 2)}`
  return code > 0xffff ? `\\U${hex(code, 8)}` : `\\u${hex(code, 4)}`
}

function escapeAll(text: string): string {
  return text.replace(/['\\]/g, '\\$&').replace(allUnsafe, escapeCharacter)
}

/** Returns the text, or its `$'…'` form when it holds anything that a terminal would act on or could not show. */
export function visible(text: string): string {
  return unsafe.test(text) ? `$'${escapeAll(text)}'` : text
}

/** Returns one argument as a shell would take it back. */
export function quoted(argument: string): string {
  if (unsafe.test(argument)) return `$'${escapeAll(argument)}'`
  if (plainArgument.test(argument)) return argument
  return `'${argument.replaceAll("'", "'\\''")}'`
}

/** Returns a command line that a shell would take back. */
export function commandLine(argv: readonly string[]): string {
  return argv.map(quoted).join(' ')
}

/** Replaces in our own sentences what must not reach a terminal, line breaks excepted. */
export function harmless(message: string): string {
  return message.replace(allUnsafe, (character) => (character === '\n' ? character : escapeCharacter(character)))
}

/** Escapes what {@link visible} escapes, as JSON allows it inside strings: the parsed value stays the same. */
export function harmlessJson(json: string): string {
  return json.replace(allUnsafe, (character) => {
    if (character === '\n') return character
    return [...Array(character.length).keys()]
      .map((index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`)
      .join('')
  })
}

const printableAscii = /^[\x20-\x7e]*$/
const zeroWidth = /^[\p{Mn}\p{Me}\u{200c}\u{200d}]/u
const emoji = /^\p{Emoji_Presentation}|^.\u{fe0f}/u
// East Asian Width W and F (Unicode UAX #11), without the emoji that the property above covers.
const wideRanges: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0x33ff],
  [0x3400, 0x4dbf],
  [0x4e00, 0x9fff],
  [0xa000, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe10, 0xfe19],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x17000, 0x18dff],
  [0x1b000, 0x1b2ff],
  [0x1f200, 0x1f2ff],
  [0x20000, 0x3fffd],
]
const segmenter = new Intl.Segmenter('en')

function graphemeWidth(grapheme: string): number {
  if (zeroWidth.test(grapheme)) return 0
  if (emoji.test(grapheme)) return 2
  const code = grapheme.codePointAt(0) ?? 0
  return wideRanges.some(([first, last]) => code >= first && code <= last) ? 2 : 1
}

/** Returns how many terminal columns the text takes: 2 for wide characters, 0 for combining marks. */
export function textWidth(text: string): number {
  if (printableAscii.test(text)) return text.length
  let width = 0
  for (const { segment } of segmenter.segment(text)) width += graphemeWidth(segment)
  return width
}

/** Returns the text, cut to so many columns with a mark at its end when it is longer. */
export function truncate(text: string, width: number, mark: string): string {
  if (textWidth(text) <= width) return text
  const room = width - textWidth(mark)
  if (room < 0) return ''
  let used = 0
  let kept = ''
  for (const { segment } of segmenter.segment(text)) {
    used += graphemeWidth(segment)
    if (used > room) break
    kept += segment
  }
  return kept + mark
}

/** Returns the text filled up with spaces to so many columns. */
export function pad(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const spaces = ' '.repeat(Math.max(0, width - textWidth(text)))
  return align === 'left' ? text + spaces : spaces + text
}
