// The files that our client programs read and write: "key TAB value" in, "offset TAB key TAB value" out.
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
