import type { ClusterImage } from '../../broker/metadata/image.ts'
import { encodeRecord } from '../../protocol/metadata-records/codec.ts'
import type { MetadataRecord } from '../../protocol/metadata-records/records.ts'
import type { ControllerLink } from '../controller-link.ts'
import { estimatedBytes } from '../snapshot.ts'
import { encodeFrame, toBroker } from './frames.ts'

/** Batches in memory for brokers that are behind; those further back get a snapshot. */
const tailBytesMax = 64 * 1024 * 1024
/** A few milliseconds to encode. */
const chunkRecordsMax = 2000
const chunkBytesMax = 1024 * 1024

type Frame = readonly Buffer[]

interface TailEntry {
  /** Of the controller that wrote it. */
  readonly epoch: number
  readonly frame: Frame
  readonly bytes: number
}

/**
 * What brokers hear of the metadata log: each batch and each snapshot is encoded once, whoever gets it.
 *
 * I1: the tail holds the batches from `#firstOffset` up to the image's offset, without holes.
 */
export class MetadataFeed {
  readonly #image: ClusterImage
  #tail: TailEntry[] = []
  #tailBytes = 0
  #firstOffset: number
  /** Of the batch before the tail. */
  #epochBefore: number
  /** The snapshot that somebody is being sent. */
  #snapshot: Snapshot | undefined
  #generation = 0
  readonly #unsubscribe: () => void

  /** `grown` is called when there may be more for everybody. */
  constructor(controller: ControllerLink, grown: () => void) {
    this.#image = controller.image
    this.#firstOffset = this.#image.offset + 1
    this.#epochBefore = this.#image.controllerEpoch
    this.#unsubscribe = controller.subscribe(
      (records) => {
        this.#add(records)
        grown()
      },
      () => {
        this.#restart()
        grown()
      },
    )
  }

  close(): void {
    this.#unsubscribe()
  }

  get generation(): number {
    return this.#generation
  }

  /** Whether single batches can bring somebody up to date who has everything up to this one, of that epoch. */
  covers(epoch: number, offset: number): boolean {
    if (offset < this.#firstOffset - 1 || offset > this.#image.offset) return false
    return this.#epochAt(offset) === epoch
  }

  /** Undefined: it is not written yet, or too long ago. */
  delta(offset: number): Frame | undefined {
    return this.#tail[offset - this.#firstOffset]?.frame
  }

  /** Whether the tail begins behind this batch. */
  isBehind(offset: number): boolean {
    return offset < this.#firstOffset
  }

  /** The one that others are being sent as well, as long as deltas continue it. `release` must follow. */
  takeSnapshot(): Snapshot {
    const shared = this.#snapshot
    if (shared !== undefined && shared.users > 0 && shared.offset >= this.#firstOffset - 1) {
      shared.users++
      return shared
    }
    this.#snapshot = new Snapshot(this.#image)
    return this.#snapshot
  }

  release(snapshot: Snapshot): void {
    snapshot.users--
    if (snapshot.users === 0 && this.#snapshot === snapshot) this.#snapshot = undefined
  }

  #epochAt(offset: number): number {
    return this.#tail[offset - this.#firstOffset]?.epoch ?? this.#epochBefore
  }

  #add(records: readonly MetadataRecord[]): void {
    const { offset, controllerEpoch } = this.#image
    if (offset !== this.#firstOffset + this.#tail.length) return this.#restart()
    const frame = encodeFrame([toBroker.delta, offset, records.map(encodeRecord)])
    const bytes = frame.reduce((sum, part) => sum + part.length, 0)
    this.#tail.push({ epoch: controllerEpoch, frame, bytes })
    this.#tailBytes += bytes
    if (this.#tailBytes > tailBytesMax) this.#trim()
  }

  /** A quarter at a time, since the array moves. */
  #trim(): void {
    let count = 0
    for (const { epoch, bytes } of this.#tail) {
      if (this.#tailBytes <= (tailBytesMax * 3) / 4) break
      this.#tailBytes -= bytes
      this.#epochBefore = epoch
      count++
    }
    this.#tail.splice(0, count)
    this.#firstOffset += count
  }

  /** The image was replaced as a whole: everybody starts anew. */
  #restart(): void {
    this.#tail = []
    this.#tailBytes = 0
    this.#firstOffset = this.#image.offset + 1
    this.#epochBefore = this.#image.controllerEpoch
    this.#snapshot = undefined
    this.#generation++
  }
}

/** The image as of one offset, in frames that are encoded when first asked for. */
class Snapshot {
  readonly offset: number
  users = 1
  readonly #chunks: (readonly MetadataRecord[])[] = []
  readonly #frames: Frame[] = []

  constructor(image: ClusterImage) {
    this.offset = image.offset
    let chunk: MetadataRecord[] = []
    let bytes = 0
    for (const record of image.toRecords()) {
      chunk.push(record)
      bytes += estimatedBytes(record)
      if (chunk.length < chunkRecordsMax && bytes < chunkBytesMax) continue
      this.#chunks.push(chunk)
      chunk = []
      bytes = 0
    }
    if (chunk.length > 0 || this.#chunks.length === 0) this.#chunks.push(chunk)
  }

  get chunkCount(): number {
    return this.#chunks.length
  }

  frame(index: number): Frame {
    const known = this.#frames[index]
    if (known !== undefined) return known
    const records = (this.#chunks[index] ?? []).map(encodeRecord)
    const isLast = index === this.#chunks.length - 1 ? 1 : 0
    const frame = encodeFrame([toBroker.snapshot, this.offset, isLast, records])
    this.#frames[index] = frame
    return frame
  }
}

/** How far one broker is. */
export class FeedCursor {
  readonly #feed: MetadataFeed
  /** The batch that is sent next, unless a snapshot comes first. */
  #nextOffset: number
  #generation: number
  #snapshot: Snapshot | undefined
  #chunk = 0

  constructor(feed: MetadataFeed, from: { readonly epoch: number; readonly offset: number }) {
    this.#feed = feed
    this.#generation = feed.generation
    this.#nextOffset = from.offset + 1
    if (!feed.covers(from.epoch, from.offset)) this.#startSnapshot()
  }

  /** What to send next, and whether it cost time to make; undefined: nothing for now. */
  next(): { readonly frame: Frame; readonly isChunk: boolean } | undefined {
    if (this.#generation !== this.#feed.generation) this.#startSnapshot()
    const snapshot = this.#snapshot
    if (snapshot !== undefined) {
      const frame = snapshot.frame(this.#chunk++)
      if (this.#chunk === snapshot.chunkCount) {
        this.#nextOffset = snapshot.offset + 1
        this.close()
      }
      return { frame, isChunk: true }
    }
    const frame = this.#feed.delta(this.#nextOffset)
    if (frame === undefined) {
      if (!this.#feed.isBehind(this.#nextOffset)) return undefined
      this.#startSnapshot()
      return this.next()
    }
    this.#nextOffset++
    return { frame, isChunk: false }
  }

  close(): void {
    if (this.#snapshot !== undefined) this.#feed.release(this.#snapshot)
    this.#snapshot = undefined
  }

  #startSnapshot(): void {
    this.close()
    this.#generation = this.#feed.generation
    this.#snapshot = this.#feed.takeSnapshot()
    this.#chunk = 0
  }
}
