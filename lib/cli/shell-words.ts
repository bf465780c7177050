import { UsageError } from './answer'

const word = /\s*((?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\])+)/suy
const piece = /'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)|([^\s'"\\]+)/gsu

/**
 * Returns the words of a text, told apart as a shell does: by spaces outside quotes, a backslash taking the next
 * character as it is. Nothing is expanded. A quote that does not end is refused.
 */
export function shellWords(option: string, text: string): string[] {
  const words: string[] = []
  const end = text.trimEnd().length
  for (let at = 0; at < end; at = word.lastIndex) {
    word.lastIndex = at
    const found = word.exec(text)
    if (!found) throw new UsageError(`${option}: a quote does not end in ${JSON.stringify(text)}`)
    words.push(unquote(found[1] ?? ''))
  }
  return words
}

function unquote(text: string): string {
  return text.replace(
    piece,
    (_all, single?: string, double?: string, escaped?: string, bare?: string) =>
      single ?? double?.replace(/\\(["\\$`])/g, '$1') ?? escaped ?? bare ?? '',
  )
}
