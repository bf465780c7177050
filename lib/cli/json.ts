import { harmlessJson } from './text'

/**
 * Returns one JSON document with a line break at its end. Characters that a terminal would act on are written as `\u`
 * escapes, so that the document can be looked at; parsed, they are what they were.
 */
export function toJson(value: unknown): string {
  return `${harmlessJson(JSON.stringify(value, undefined, 2))}\n`
}
