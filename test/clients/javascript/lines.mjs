// The files that our client programs read and write: "key TAB value" in, "offset TAB key TAB value" out;
// or, both ways, records with everything that they have (record-file.ts).
import { createReadStream, createWriteStream, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** Groups of at most `count` parsed lines, in order. */
export async function* messagesOf(file, count) {
  let group = []
  for await (const line of createInterface({ input: createReadStream(file) })) {
    const tab = line.indexOf('\t')
    group.push({ key: line.slice(0, tab), value: line.slice(tab + 1) })
    if (group.length === count) {
      yield group
      group = []
    }
  }
  if (group.length > 0) yield group
}

/** One output file per partition. */
export class PartitionFiles {
  #streams

  constructor(folder, partitions) {
    mkdirSync(folder, { recursive: true })
    this.#streams = partitions.map((partition) => createWriteStream(join(folder, `${partition}`)))
  }

  write(partition, offset, key, value) {
    this.#streams[partition].write(`${offset}\t${key}\t${value}\n`)
  }

  async close() {
    for (const stream of this.#streams) {
      await new Promise((resolve) => stream.end(resolve))
    }
  }
}

/** The numbers 0 to count - 1. */
export function range(count) {
  return Array.from({ length: count }, (_, index) => index)
}

/** A line of record-file.ts as kafkajs's message. Headers of one name become an array. */
export function recordOf(line) {
  const [, timestamp, key, value, pairs] = line.split('\t')
  const headers = {}
  for (const pair of pairs === '' ? [] : pairs.split(',')) {
    const [name, content] = pair.split(':').map(decoded)
    headers[name] ??= []
    headers[name].push(content)
  }
  return { timestamp, key: decoded(key), value: decoded(value), headers }
}

/** The other way round. */
export function lineOf({ offset, timestamp, key, value, headers }) {
  const pairs = Object.entries(headers).flatMap(([name, contents]) =>
    [contents].flat().map((content) => `${encoded(Buffer.from(name))}:${encoded(content)}`),
  )
  return `${[offset, timestamp, encoded(key), encoded(value), pairs.join(',')].join('\t')}\n`
}

function decoded(text) {
  return text === '-' ? null : Buffer.from(text, 'base64')
}

function encoded(bytes) {
  return bytes === null ? '-' : bytes.toString('base64')
}
