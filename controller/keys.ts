/**
 * Keys of the metadata log in a store, below the prefix of the cluster (so that clusters may share a store):
 *
 *   id             [clusterId, formatVersion, restoreGeneration]        written once
 *   epoch          [epoch, nodeId, incarnation]                         by each election; its revision is the fence
 *   leader         [nodeId, incarnation, epoch, offset, endpoints, resigned]   by each commit
 *   log/OFFSET     [version, epoch, batchId, wallMs, [record...]]       one batch, offset in 16 digits
 *   snap/OFFSET/CHUNK   [record...]                                     part of a snapshot
 *   snaphead       [offset, epoch, chunkCount, crc32c, featureLevel]    which snapshot holds
 */
export class MetadataKeys {
  readonly #prefix: string

  constructor(cluster: string) {
    this.#prefix = `/${cluster}/`
  }

  get id(): string {
    return `${this.#prefix}id`
  }

  get epoch(): string {
    return `${this.#prefix}epoch`
  }

  get leader(): string {
    return `${this.#prefix}leader`
  }

  get snapshotHead(): string {
    return `${this.#prefix}snaphead`
  }

  batch(offset: number): string {
    return `${this.#prefix}log/${digits(offset)}`
  }

  /** Behind the last batch there can be. */
  get batchEnd(): string {
    return `${this.#prefix}log/:`
  }

  snapshotChunk(offset: number, chunk: number): string {
    return `${this.#prefix}snap/${digits(offset)}/${digits(chunk)}`
  }

  /** Behind the last chunk of a snapshot, and before any later one. */
  snapshotEnd(offset: number): string {
    return `${this.#prefix}snap/${digits(offset)}/:`
  }

  offsetOf(batchKey: string): number {
    return Number(batchKey.slice(batchKey.lastIndexOf('/') + 1))
  }
}

/** Sixteen digits, so that the order of keys is that of offsets up to 2^53. */
function digits(offset: number): string {
  return String(offset).padStart(16, '0')
}

/** A store holds one cluster. */
export const clusterKeys = new MetadataKeys('millrace')
