// The load generator: one connection, no work per request but the write of a prebuilt frame and a count of bytes.
import * as fs from 'node:fs'
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

/** When requests were due, in their order, and how long their answers took. */
class Latencies {
  readonly values: Float64Array
  readonly #dueMs: Float64Array
  #answered = 0

  constructor(count: number) {
    this.values = new Float64Array(count)
    this.#dueMs = new Float64Array(count)
  }

  sent(index: number, dueMs: number): void {
    this.#dueMs[index] = dueMs
  }

  answeredUpTo(count: number): void {
    const nowMs = performance.now()
    while (this.#answered < count) {
      this.values[this.#answered] = nowMs - (this.#dueMs[this.#answered] ?? nowMs)
      this.#answered += 1
    }
  }
}

/** One sample: a connection, and so many requests on it. */
class Run {
  readonly #request: LoadRequest
  readonly #frames: readonly Buffer[]
  readonly #answers: Answers
  readonly #latencies: Latencies
  readonly #sink: number | undefined
  readonly #resolve: (result: LoadResult) => void
  readonly #socket: net.Socket
  #sent = 0
  #startMs = 0
  #waits = false

  constructor(
    request: LoadRequest,
    resolve: (result: LoadResult) => void,
    reject: (error: unknown) => void,
  ) {
    this.#request = request
    this.#frames = request.frames.map((frame) =>
      Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength),
    )
    this.#answers = new Answers(checker(request.check))
    this.#latencies = new Latencies(request.count)
    this.#sink = request.sink === undefined ? undefined : fs.openSync(request.sink, 'w')
    this.#resolve = resolve
    const { host, port } = request
    const onread = { buffer: readBuffer, callback: (bytes: number) => this.#receive(bytes) }
    this.#socket = net.connect({ host, port, noDelay: true, onread })
    this.#socket.once('connect', () => this.#start())
    this.#socket.once('error', reject)
    this.#socket.once('close', () => reject(new Error('The server closed the connection')))
  }

  #start(): void {
    this.#startMs = performance.now()
    this.#send()
  }

  #send(): void {
    const { count, depth, everyMs } = this.#request
    const nowMs = performance.now()
    this.#socket.cork()
    while (this.#sent < count && this.#sent - this.#answers.count < depth) {
      const dueMs = everyMs === undefined ? nowMs : this.#startMs + this.#sent * everyMs
      if (dueMs > nowMs) {
        this.#wakeIn(dueMs - nowMs)
        break
      }
      this.#latencies.sent(this.#sent, dueMs)
      this.#socket.write(this.#frames[this.#sent++ % this.#frames.length] ?? '')
    }
    this.#socket.uncork()
  }

  #wakeIn(ms: number): void {
    if (this.#waits) return
    this.#waits = true
    setTimeout(() => {
      this.#waits = false
      this.#send()
    }, ms)
  }

  #receive(bytes: number): boolean {
    const chunk = readBuffer.subarray(0, bytes)
    if (this.#sink !== undefined) fs.writeSync(this.#sink, chunk)
    try {
      this.#answers.take(chunk)
    } catch (error) {
      this.#socket.destroy(error instanceof Error ? error : new Error(String(error)))
      return false
    }
    this.#latencies.answeredUpTo(this.#answers.count)
    if (this.#answers.count < this.#request.count) this.#send()
    else this.#finish()
    return true
  }

  #finish(): void {
    const elapsedMs = performance.now() - this.#startMs
    this.#socket.removeAllListeners('close')
    this.#socket.destroy()
    if (this.#sink !== undefined) fs.closeSync(this.#sink)
    const { receivedBytes, checkedCount } = this.#answers
    const latenciesMs = this.#latencies.values
    this.#resolve({ elapsedMs, receivedBytes, checkedCount, latenciesMs })
  }
}

function run(request: LoadRequest): Promise<LoadResult> {
  return new Promise((resolve, reject) => void new Run(request, resolve, reject))
}

process.on('message', (message) => {
  run(message as LoadRequest).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  )
})
