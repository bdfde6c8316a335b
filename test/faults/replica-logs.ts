/**
 * The logs of all replicas, compared byte for byte after everything has stopped. Where segments begin is each replica's
 * own matter, so it is the bytes of all segments in a row that must be the same.
 */
import { closeSync, existsSync, openSync, readSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

const chunkBytes = 1 << 20

export interface ReplicaComparison {
  readonly faults: string[]
  /** Of one replica each, all partitions together. */
  readonly byteCount: number
}

/** `folders` are the data directories of brokers that all have replicas of all partitions. */
export function compareReplicas(
  folders: readonly string[],
  topic: string,
  partitionCount: number,
): ReplicaComparison {
  const faults: string[] = []
  let byteCount = 0
  for (let partition = 0; partition < partitionCount; partition++) {
    const name = `${topic}-${partition}`
    const missing = folders.filter((folder) => !existsSync(join(folder, name)))
    faults.push(...missing.map((folder) => `${join(folder, name)} is not there`))
    if (missing.length > 0) continue
    const [first, ...others] = folders.map((folder) => new LogBytes(join(folder, name)))
    if (first === undefined) continue
    byteCount += first.length
    for (const other of others) {
      const fault = difference(first, other)
      if (fault !== undefined) faults.push(fault)
    }
  }
  return { faults, byteCount }
}

function difference(one: LogBytes, other: LogBytes): string | undefined {
  const shared = Math.min(one.length, other.length)
  for (let at = 0; at < shared; at += chunkBytes) {
    const size = Math.min(chunkBytes, shared - at)
    const [left, right] = [one.read(at, size), other.read(at, size)]
    if (left.equals(right)) continue
    const index = left.findIndex((byte, position) => byte !== right[position])
    return `${one.folder} and ${other.folder} differ from byte ${at + index} on`
  }
  if (one.length === other.length) return undefined
  return `${one.folder} has ${one.length} bytes, ${other.folder} has ${other.length}`
}

class LogBytes {
  readonly folder: string
  readonly length: number
  readonly #segments: { readonly path: string; readonly start: number; readonly end: number }[] = []

  constructor(folder: string) {
    this.folder = folder
    let start = 0
    for (const file of readdirSync(folder).toSorted()) {
      if (!file.endsWith('.log')) continue
      const path = join(folder, file)
      const end = start + statSync(path).size
      this.#segments.push({ path, start, end })
      start = end
    }
    this.length = start
  }

  read(from: number, size: number): Buffer {
    const bytes = Buffer.alloc(size)
    for (const { path, start, end } of this.#segments) {
      const [low, high] = [Math.max(from, start), Math.min(from + size, end)]
      if (low >= high) continue
      const descriptor = openSync(path, 'r')
      readSync(descriptor, bytes, low - from, high - low, low - start)
      closeSync(descriptor)
    }
    return bytes
  }
}
