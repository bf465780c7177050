import { createColors } from 'picocolors'

export type Colours = ReturnType<typeof createColors>

/** What decides whether a stream gets colour; an open terminal has `isTTY` true. */
export interface ColourStream {
  readonly isTTY?: boolean
}

/**
 * Tells whether to colour: `NO_COLOR` (any non-empty value) turns it off, then `FORCE_COLOR` decides (`0` and `false`
 * for off), and without either a terminal that is not `dumb` gets colour. `CI` alone changes nothing: its logs are files.
 */
export function wantsColour(stream: ColourStream, env: NodeJS.ProcessEnv): boolean {
  if (env.NO_COLOR) return false
  const forced = env.FORCE_COLOR
  if (forced !== undefined) return forced !== '0' && forced !== 'false'
  return stream.isTTY === true && env.TERM !== 'dumb'
}

/** Returns the painters for a stream; those of a stream without colour return their text as it is. */
export function coloursFor(stream: ColourStream, env: NodeJS.ProcessEnv): Colours {
  return createColors(wantsColour(stream, env))
}
