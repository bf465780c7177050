import { type Colours, coloursFor } from './colour'

/** The part of an output stream that the command uses. */
export interface Output {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/** Where and how a command may print. */
export interface Ui {
  readonly out: Output
  readonly err: Output
  readonly colours: Colours
  /** Columns of the terminal; `undefined` when the output is not one, and nothing is then cut. */
  readonly width: number | undefined
  /** Whether characters outside ASCII can be shown. */
  readonly unicode: boolean
}

/** Tells whether the locale says UTF-8, by POSIX precedence: LC_ALL, then LC_CTYPE, then LANG. */
export function isUtf8Locale(env: NodeJS.ProcessEnv): boolean {
  return /utf-?8/i.test(env.LC_ALL || env.LC_CTYPE || env.LANG || '')
}

/** Returns how to print on these streams in this environment. */
export function createUi(out: Output, err: Output, env: NodeJS.ProcessEnv = process.env): Ui {
  return {
    out,
    err,
    colours: coloursFor(out, env),
    width: out.isTTY && out.columns ? out.columns : undefined,
    unicode: isUtf8Locale(env),
  }
}

/** Returns the mark that stands for text cut off. */
export function ellipsis(ui: Ui): string {
  return ui.unicode ? '…' : '~'
}
