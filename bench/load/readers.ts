import type * as net from 'node:net'
import { batchHeaderBytes, computeCrc } from '../../protocol/records/batch.ts'
import { Checksum } from './checksum.ts'
import type { ReaderConnection, ReadJob, ReadResult } from './jobs.ts'
import { bufferOf, Sockets, type Receiver } from './sockets.ts'

/** One answer in this many has the CRCs of its batches checked. */
const checkEvery = 256

/**
 * An answer to a fetch of version 16 with one partition, behind its size:
 *
 *    4 tag buffer of the header   5 throttle time   9 error code   11 session id   15 count of topics + 1
 *   16 topic id   32 count of partitions + 1   33 partition   37 error code   39 high watermark
 *   47 last stable offset   55 log start offset   63 count of aborted transactions + 1, 0 without
 *   64 preferred read replica   68 size of the records + 1, a varint   then the records
 *
 * An error at the top comes with no topics.
 */
const topErrorAt = 9
const topicCountAt = 15
const errorAt = 37
const highWatermarkAt = 39
const abortedAt = 63
const recordsSizeAt = 68

const baseOffsetAt = 0
const lengthAt = 8
const crcAt = 17
const lastOffsetDeltaAt = 23
const recordCountAt = 57
const overheadBytes = 12

/** Sums of what was read. */
export interface Totals {
  receivedBytes: number
  recordBytes: number
  records: number
  answers: number
  readonly checksum: Checksum
}

/** Reads a partition, one request at a time. */
export class Reader implements Receiver {
  nextOffset: number
  /** Of the last answer. */
  highWatermark = -1
  readonly #options: ReaderConnection
  readonly #frame: Buffer
  readonly #isThorough: boolean
  readonly #totals: Totals
  /** One answer, and where the next byte of it goes. */
  readonly #answer: Buffer
  #filled = 0
  #socket: net.Socket | undefined
  readonly #advanced: (reader: Reader) => boolean
  readonly #stalled: (reader: Reader) => void

  /**
   * `advanced` is called after each answer that brought records, and says whether to go on; `stalled` after each that
   * brought none, before it is asked for again.
   */
  constructor(
    options: ReaderConnection,
    {
      totals,
      isThorough,
      advanced,
      stalled = () => undefined,
    }: {
      totals: Totals
      isThorough: boolean
      advanced: (reader: Reader) => boolean
      stalled?: (reader: Reader) => void
    },
  ) {
    this.#options = options
    this.nextOffset = options.fromOffset
    this.#frame = Buffer.from(bufferOf(options.frame))
    this.#isThorough = isThorough
    this.#totals = totals
    this.#advanced = advanced
    this.#stalled = stalled
    this.#answer = Buffer.allocUnsafeSlow(options.answerBytesMax)
  }

  async connect(sockets: Sockets): Promise<void> {
    this.#socket = await sockets.connect(this.#options, this)
  }

  ask(): void {
    this.#frame.writeBigInt64BE(BigInt(this.nextOffset), this.#options.offsetAt)
    // The frame may still be on its way when the next one is written only if an answer came before it was sent.
    this.#socket?.write(this.#frame)
  }

  buffer(): Buffer {
    return this.#filled === 0 ? this.#answer : this.#answer.subarray(this.#filled)
  }

  received(bytes: number): void {
    this.#filled += bytes
    if (this.#filled < 4) return
    const end = 4 + this.#answer.readInt32BE(0)
    if (end > this.#answer.length) throw new Error(`An answer has ${end} bytes`)
    if (this.#filled < end) return
    this.#filled = 0
    this.#totals.receivedBytes += end
    this.#totals.answers += 1
    const before = this.nextOffset
    this.#take(this.#answer.subarray(4, end))
    if (this.nextOffset === before) {
      this.#stalled(this)
      this.ask()
    } else if (this.#advanced(this)) this.ask()
  }

  #take(answer: Buffer): void {
    const error = answer.readInt16BE(topErrorAt) || answer.readInt16BE(errorAt)
    if (error !== 0) throw new Error(`A fetch was answered with error ${error}`)
    // 1: none. 2: one.
    if (answer[topicCountAt] !== 2) throw new Error('A fetch was answered without its topic')
    if ((answer[abortedAt] ?? 0) > 1) throw new Error('There are aborted transactions')
    this.highWatermark = Number(answer.readBigInt64BE(highWatermarkAt))
    const { value, next } = unsignedVarint(answer, recordsSizeAt)
    const end = next + Math.max(value - 1, 0)
    const isChecked = this.#isThorough || this.#totals.answers % checkEvery === 1
    let at = next
    // The last batch may be cut off, and comes again.
    while (at + batchHeaderBytes <= end && this.nextOffset < this.#options.untilOffset) {
      const sizeBytes = answer.readInt32BE(at + lengthAt) + overheadBytes
      if (at + sizeBytes > end) break
      this.#takeBatch(answer, { at, sizeBytes, isChecked })
      at += sizeBytes
    }
  }

  #takeBatch(
    answer: Buffer,
    { at, sizeBytes, isChecked }: { at: number; sizeBytes: number; isChecked: boolean },
  ): void {
    const baseOffset = Number(answer.readBigInt64BE(at + baseOffsetAt))
    if (baseOffset !== this.nextOffset)
      throw new Error(`Offset ${this.nextOffset} was wanted and ${baseOffset} came`)
    const crc = answer.readUInt32BE(at + crcAt)
    if (isChecked && computeCrc(answer, at, sizeBytes) !== crc)
      throw new Error(`The batch at offset ${baseOffset} has a wrong CRC`)
    this.nextOffset = baseOffset + answer.readInt32BE(at + lastOffsetDeltaAt) + 1
    this.#totals.records += answer.readInt32BE(at + recordCountAt)
    this.#totals.recordBytes += sizeBytes
    this.#totals.checksum.add(crc)
  }
}

function unsignedVarint(bytes: Buffer, from: number): { value: number; next: number } {
  let [value, shift, at] = [0, 0, from]
  for (;;) {
    const byte = bytes[at++] ?? 0
    value += (byte & 0x7f) * 2 ** shift
    if (byte < 0x80) return { value, next: at }
    shift += 7
  }
}

/** A leader that is new may not know for a while what is committed. */
const stalledMsMax = 5_000

/** What was written twice follows what was sent. */
function checkEnd({ untilOffset, behindMax }: ReaderConnection, highWatermark: number): void {
  const behind = highWatermark - untilOffset
  if (behindMax === undefined || behind <= behindMax) return
  throw new Error(`${behind - behindMax} records are there that nobody sent`)
}

export function noTotals(): Totals {
  return { receivedBytes: 0, recordBytes: 0, records: 0, answers: 0, checksum: new Checksum() }
}

export async function prepareReaders(job: ReadJob): Promise<() => Promise<ReadResult>> {
  const sockets = new Sockets()
  const totals = noTotals()
  const { isThorough } = job
  const finished: Promise<void>[] = []
  const readers = job.connections.map((connection) => {
    let timesLeft = connection.times
    let isOver: () => void = () => undefined
    finished.push(new Promise<void>((resolve) => (isOver = resolve)))
    const advanced = (reader: Reader): boolean => {
      if (reader.nextOffset < connection.untilOffset) return true
      if (reader.nextOffset > connection.untilOffset)
        throw new Error(`Offset ${connection.untilOffset} is in the middle of a batch`)
      checkEnd(connection, reader.highWatermark)
      timesLeft -= 1
      reader.nextOffset = connection.fromOffset
      if (timesLeft === 0) isOver()
      return timesLeft > 0
    }
    let stalledSinceMs: number | undefined
    const stalled = ({ nextOffset, highWatermark }: Reader): void => {
      if (!isThorough || highWatermark > nextOffset) return
      stalledSinceMs ??= performance.now()
      if (performance.now() - stalledSinceMs < stalledMsMax) return
      const { fromOffset, untilOffset } = connection
      throw new Error(`${nextOffset - fromOffset} of ${untilOffset - fromOffset} records are there`)
    }
    const reader = new Reader(connection, { totals, isThorough, advanced, stalled })
    if (connection.untilOffset <= connection.fromOffset) isOver()
    return { reader, isEmpty: connection.untilOffset <= connection.fromOffset }
  })
  await Promise.all(readers.map(({ reader }) => reader.connect(sockets)))
  return async () => {
    const beganMs = performance.now()
    try {
      for (const { reader, isEmpty } of readers) if (!isEmpty) reader.ask()
      await Promise.race([Promise.all(finished), sockets.failed])
      const elapsedMs = performance.now() - beganMs
      const { checksum, ...sums } = totals
      return { elapsedMs, ...sums, checksum: checksum.toString() }
    } finally {
      sockets.close()
    }
  }
}
