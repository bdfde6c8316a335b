/**
 * The text that Apache Kafka's checkpoint files have in common:
 *
 *   version
 *   count
 *   one entry per line, `count` times, each line with its end
 *
 * A file cut at any length lacks lines or the last line's end, so it never decodes.
 */

/** Kafka has only ever written version 0. */
const version = '0'

export function encodeLines(lines: readonly string[]): string {
  return `${[version, lines.length, ...lines].join('\n')}\n`
}

/** Undefined when the file is damaged. Java on Windows ends lines with CR LF. */
export function decodeLines(text: string): string[] | undefined {
  const lines = text.split(/\r?\n/)
  if (lines.pop() !== '') return undefined
  const [versionLine, countLine, ...entries] = lines
  if (versionLine !== version || countLine !== String(entries.length)) return undefined
  return entries
}

/** Undefined unless `text` is a decimal number from 0 to 2^53 - 1, written as Kafka writes it. */
export function parseNatural(text: string | undefined): number | undefined {
  if (text === undefined || !/^(0|[1-9]\d{0,15})$/.test(text)) return undefined
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : undefined
}
