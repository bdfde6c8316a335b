// The load generator: one connection, no work per request but the write of a prebuilt frame and a count of bytes.
import * as net from 'node:net'
import { decodeResponse } from '../../protocol/headers.ts'
import { Fetch } from '../../protocol/messages/fetch.ts'
import { Produce } from '../../protocol/messages/produce.ts'
import { computeCrc, readBatchHeader } from '../../protocol/records/batch.ts'
import type { LoadRequest, LoadResult } from './load.ts'

/** One answer in this many is kept, decoded and checked. */
const checkEvery = 256

const readBuffer = Buffer.allocUnsafeSlow(1024 * 1024)

/** Counts answers in a stream, and keeps some of them whole. */
class Answers {
  count = 0
  checkedCount = 0
  receivedBytes = 0
  readonly #check: (frame: Buffer) => void
  /** Of the answer being received. */
  #left = 0
  readonly #prefix = Buffer.alloc(4)
  #prefixBytes = 0
  #kept: Buffer | undefined
  #keptBytes = 0

  constructor(check: (frame: Buffer) => void) {
    this.#check = check
  }

  take(chunk: Buffer): void {
    this.receivedBytes += chunk.length
    let at = 0
    while (at < chunk.length)
      at += this.#left === 0 ? this.#takePrefix(chunk, at) : this.#takeBody(chunk, at)
  }

  #takePrefix(chunk: Buffer, at: number): number {
    const taken = chunk.copy(this.#prefix, this.#prefixBytes, at, at + 4 - this.#prefixBytes)
    this.#prefixBytes += taken
    if (this.#prefixBytes === 4) {
      this.#prefixBytes = 0
      this.#left = this.#prefix.readInt32BE(0)
      this.#kept = this.count % checkEvery === 0 ? Buffer.allocUnsafe(this.#left) : undefined
      this.#keptBytes = 0
    }
    return taken
  }

  #takeBody(chunk: Buffer, at: number): number {
    const taken = Math.min(this.#left, chunk.length - at)
    if (this.#kept !== undefined) {
      chunk.copy(this.#kept, this.#keptBytes, at, at + taken)
      this.#keptBytes += taken
    }
    this.#left -= taken
    if (this.#left === 0) {
      this.count += 1
      if (this.#kept !== undefined) {
        this.#check(this.#kept)
        this.checkedCount += 1
      }
    }
    return taken
  }
}

function checker(check: LoadRequest['check']): (frame: Buffer) => void {
  if (check === undefined) return () => undefined
  const { api, version } = check
  return (frame) => (api === 'fetch' ? checkFetched(frame, version) : checkProduced(frame, version))
}

function checkFetched(frame: Buffer, version: number): void {
  for (const topic of decodeResponse(Fetch, version, frame).response.responses) {
    for (const { errorCode, records } of topic.partitions) {
      if (errorCode !== 0 || records === null || records.length === 0)
        throw new Error(`Fetch error ${errorCode}`)
      const header = readBatchHeader(records, 0)
      if (computeCrc(records, 0, header.sizeBytes) !== header.crc)
        throw new Error('A fetched batch has a wrong CRC')
    }
  }
}

function checkProduced(frame: Buffer, version: number): void {
  for (const topic of decodeResponse(Produce, version, frame).response.responses) {
    for (const { errorCode, errorMessage } of topic.partitionResponses) {
      if (errorCode !== 0) throw new Error(`Produce error ${errorCode} ${errorMessage}`)
    }
  }
}

function run(request: LoadRequest): Promise<LoadResult> {
  const { host, port, count, depth } = request
  const frames = request.frames.map((frame) =>
    Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength),
  )
  return new Promise((resolve, reject) => {
    const answers = new Answers(checker(request.check))
    let sent = 0
    let startMs = 0
    const send = (): void => {
      socket.cork()
      while (sent < count && sent - answers.count < depth)
        socket.write(frames[sent++ % frames.length] ?? '')
      socket.uncork()
    }
    const receive = (bytes: number): boolean => {
      try {
        answers.take(readBuffer.subarray(0, bytes))
      } catch (error) {
        socket.destroy(error instanceof Error ? error : new Error(String(error)))
        return false
      }
      if (answers.count < count) {
        send()
        return true
      }
      const elapsedMs = performance.now() - startMs
      const { receivedBytes, checkedCount } = answers
      socket.removeAllListeners('close')
      socket.destroy()
      resolve({ elapsedMs, receivedBytes, checkedCount })
      return true
    }
    const socket = net.connect({
      host,
      port,
      noDelay: true,
      onread: { buffer: readBuffer, callback: receive },
    })
    socket.once('connect', () => {
      startMs = performance.now()
      send()
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('The server closed the connection')))
  })
}

process.on('message', (message) => {
  run(message as LoadRequest).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  )
})
