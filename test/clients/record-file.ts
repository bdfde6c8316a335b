/**
 * Records as text, for the client programs' `send` and `receive`: one a line, so that what was received is the same
 * file as what was sent.
 *
 *   offset TAB timestamp TAB key TAB value TAB headers
 *
 * Keys and values are in base64, null is "-"; headers are name:value, both in base64, separated by commas.
 */
export interface PlainRecord {
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly (readonly [name: string, value: Buffer | null])[]
}

export function lineOf(offset: number, { timestamp, key, value, headers }: PlainRecord): string {
  const pairs = headers.map(
    ([name, content]) => `${encoded(Buffer.from(name))}:${encoded(content)}`,
  )
  return [offset, timestamp, encoded(key), encoded(value), pairs.join(',')].join('\t')
}

export function fileOf(records: readonly PlainRecord[]): string {
  return records.map((record, offset) => `${lineOf(offset, record)}\n`).join('')
}

/** What differs between two such files, short enough to be read; undefined when nothing does. */
export function differenceOf(found: string, wanted: string): string | undefined {
  if (found === wanted) return undefined
  const [left, right] = [found.split('\n'), wanted.split('\n')]
  const line = right.findIndex((each, index) => each !== left[index])
  if (line < 0) return `${left.length} lines instead of ${right.length}`
  const cut = (text = 'nothing'): string =>
    text
      .split('\t')
      .map((each) => each.slice(0, 60))
      .join(' ')
  return `line ${line}: ${cut(left[line])}\n instead of: ${cut(right[line])}`
}

function encoded(bytes: Buffer | null): string {
  return bytes === null ? '-' : bytes.toString('base64')
}
