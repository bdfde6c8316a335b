/** A Fetch request by hand (version 4, the oldest): the record bytes exactly as they were sent. */
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'

import { pause } from './processes.ts'

const fetchKey = 1
const fetchVersion = 4

/** A broker that has just started may not lead its partitions yet, or not know them. */
const notYet = new Set([3, 5, 6, 9])

/** All record bytes of a partition from `offset` to the high watermark. */
export async function fetchAllBytes(
  address: { host: string; port: number },
  topic: string,
  partition: number,
  offset = 0,
): Promise<Buffer> {
  const socket = connect(address.port, address.host)
  await once(socket, 'connect')
  try {
    const parts: Buffer[] = []
    const deadline = performance.now() + 10_000
    for (let position = offset; ;) {
      socket.write(fetchRequest(topic, partition, position))
      const answer = parseResponse(await readFrame(socket))
      if (notYet.has(answer.errorCode) && performance.now() < deadline) {
        await pause(50)
        continue
      }
      if (answer.errorCode !== 0) throw new Error(`Fetch answered with error ${answer.errorCode}`)
      const { records, highWatermark } = answer
      const whole = wholeBatches(records)
      if (whole.sizeBytes > 0) parts.push(records.subarray(0, whole.sizeBytes))
      position = Math.max(position, whole.nextOffset)
      if (position >= highWatermark) return Buffer.concat(parts)
      if (whole.sizeBytes === 0) throw new Error(`nothing at ${position} below ${highWatermark}`)
    }
  } finally {
    socket.destroy()
  }
}

function fetchRequest(topic: string, partition: number, offset: number): Buffer {
  const name = Buffer.from(topic)
  const frame = Buffer.alloc(4 + 10 + 17 + 4 + 2 + name.length + 4 + 4 + 8 + 4)
  let at = frame.writeInt32BE(frame.length - 4)
  at = frame.writeInt16BE(fetchKey, at)
  at = frame.writeInt16BE(fetchVersion, at)
  at = frame.writeInt32BE(1, at) // Correlation id.
  at = frame.writeInt16BE(-1, at) // No client id.
  at = frame.writeInt32BE(-1, at) // Replica id: a consumer.
  at = frame.writeInt32BE(0, at) // Waits 0 ms,
  at = frame.writeInt32BE(0, at) // for 0 bytes.
  at = frame.writeInt32BE(64 << 20, at)
  at = frame.writeInt8(0, at) // Read uncommitted.
  at = frame.writeInt32BE(1, at)
  at = frame.writeInt16BE(name.length, at)
  at += name.copy(frame, at)
  at = frame.writeInt32BE(1, at)
  at = frame.writeInt32BE(partition, at)
  at = frame.writeBigInt64BE(BigInt(offset), at)
  frame.writeInt32BE(1 << 20, at)
  return frame
}

interface Answer {
  readonly errorCode: number
  readonly highWatermark: number
  readonly records: Buffer
}

function parseResponse(frame: Buffer): Answer {
  // Correlation id, throttle time, one topic: its name, one partition: its number.
  const nameLength = frame.readInt16BE(12)
  let at = 14 + nameLength + 4 + 4
  const errorCode = frame.readInt16BE(at)
  const highWatermark = Number(frame.readBigInt64BE(at + 2))
  at += 18 // Error code, high watermark, last stable offset.
  const abortedCount = Math.max(0, frame.readInt32BE(at))
  at += 4 + abortedCount * 16
  const size = Math.max(0, frame.readInt32BE(at))
  return { errorCode, highWatermark, records: frame.subarray(at + 4, at + 4 + size) }
}

/** An answer may end inside a batch. */
function wholeBatches(records: Buffer): { sizeBytes: number; nextOffset: number } {
  let at = 0
  let nextOffset = -1
  while (at + 61 <= records.length) {
    const end = at + 12 + records.readInt32BE(at + 8)
    if (end > records.length) break
    nextOffset = Number(records.readBigInt64BE(at)) + records.readInt32BE(at + 23) + 1
    at = end
  }
  return { sizeBytes: at, nextOffset }
}

async function readFrame(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  let received = 0
  for (;;) {
    const [chunk] = (await once(socket, 'data', { signal: AbortSignal.timeout(20_000) })) as [
      Buffer,
    ]
    chunks.push(chunk)
    received += chunk.length
    if (received < 4) continue
    const all = Buffer.concat(chunks)
    chunks.splice(0, chunks.length, all)
    if (received >= 4 + all.readInt32BE(0)) return all.subarray(4)
  }
}
