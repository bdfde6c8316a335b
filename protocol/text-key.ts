import { crc32c } from './bytes/crc32c.ts'

/** Longer ones all have the same hash in V8 if they are equally long. */
const hashedCharactersMax = 16_383

/**
 * What stands for a text of a request in a map or a set: a map of thousands of long names, which no topic can have, would
 * compare each with each.
 */
export function textKey(text: string): string {
  if (text.length <= hashedCharactersMax) return text
  return `${text.slice(0, 200)} ${text.length} ${crc32c(Buffer.from(text))}`
}
