import type * as net from 'node:net'
import { LatencyHistogram } from '../harness/histogram.ts'
import { Answers, checkAnswer } from './answers.ts'
import type { PacedJob, PacedProducer, PacedResult } from './jobs.ts'
import { Metronome } from './metronome.ts'
import { noTotals, Reader } from './readers.ts'
import { bufferOf, Sockets, type Receiver } from './sockets.ts'

const readBuffer = Buffer.allocUnsafeSlow(64 * 1024)

/** Requests that are due within this time are due together, at its beginning: every tick costs the generator 35 µs. */
const tickMsMin = 0.25

/** Request i goes to connection i % connections as that one's record i / connections. */
class Schedule {
  readonly connections: number
  readonly count: number
  readonly requestsPerTick: number
  readonly tickMs: number
  readonly #warmUpCount: number
  startMs = 0

  constructor(job: PacedJob) {
    this.connections = job.producers.length
    this.count = job.count
    this.requestsPerTick = Math.ceil((job.requestsPerSecond * tickMsMin) / 1000)
    this.tickMs = (1000 * this.requestsPerTick) / job.requestsPerSecond
    this.#warmUpCount = job.warmUpCount
  }

  get ticks(): number {
    return Math.ceil(this.count / this.requestsPerTick)
  }

  /** How long ago it was due, in µs; undefined: it was one of those that warm up. */
  delayMicros(request: number, nowMs: number): number | undefined {
    if (request < this.#warmUpCount) return undefined
    const dueMs = this.startMs + Math.floor(request / this.requestsPerTick) * this.tickMs
    return (nowMs - dueMs) * 1000
  }

  /** So many requests are a connection's. */
  countOf(connection: number): number {
    return Math.ceil((this.count - connection) / this.connections)
  }
}

class Producer implements Receiver {
  readonly #options: PacedProducer
  readonly #frame: Buffer
  readonly #answers: Answers
  #socket: net.Socket | undefined

  constructor(options: PacedProducer, answered: (nowMs: number) => void) {
    this.#options = options
    this.#frame = bufferOf(options.frame)
    this.#answers = new Answers((bytes, at) => {
      checkAnswer(bytes, at + options.errorAt)
      answered(performance.now())
    })
  }

  async connect(sockets: Sockets): Promise<void> {
    this.#socket = await sockets.connect(this.#options, this)
  }

  send(): void {
    this.#socket?.write(this.#frame)
  }

  buffer(): Buffer {
    return readBuffer
  }

  received(bytes: number): void {
    this.#answers.receive(readBuffer.subarray(0, bytes))
  }
}

/** Counts what has arrived for each request of a kind; resolves when all have. */
class Arrivals {
  readonly histogram = LatencyHistogram.create()
  readonly all: Promise<void>
  readonly #schedule: Schedule
  /** By connection. */
  readonly #counts: number[]
  #left: number
  #isOver: () => void = () => undefined

  constructor(schedule: Schedule) {
    this.#schedule = schedule
    this.#counts = Array.from({ length: schedule.connections }, () => 0)
    this.#left = schedule.count
    this.all = new Promise((resolve) => (this.#isOver = resolve))
  }

  /** The next of a connection, or all up to a count of them. */
  arrived(connection: number, nowMs: number, until?: number): void {
    const from = this.#counts[connection] ?? 0
    const to = until ?? from + 1
    for (let index = from; index < to; index++) {
      const request = index * this.#schedule.connections + connection
      const delay = this.#schedule.delayMicros(request, nowMs)
      if (delay !== undefined) this.histogram.record(delay)
    }
    this.#counts[connection] = to
    this.#left -= to - from
    if (this.#left === 0) this.#isOver()
  }
}

export async function preparePaced(job: PacedJob): Promise<() => Promise<PacedResult>> {
  const sockets = new Sockets()
  const schedule = new Schedule(job)
  const acknowledged = new Arrivals(schedule)
  const endToEnd = job.readers.length === 0 ? undefined : new Arrivals(schedule)
  const sendDelay = LatencyHistogram.create()
  const producers = job.producers.map(
    (options, connection) =>
      new Producer(options, (nowMs) => acknowledged.arrived(connection, nowMs)),
  )
  const totals = noTotals()
  const readers = job.readers.map((options, connection) => {
    const advanced = (reader: Reader): boolean => {
      endToEnd?.arrived(connection, performance.now(), reader.nextOffset - options.fromOffset)
      return reader.nextOffset < options.fromOffset + schedule.countOf(connection)
    }
    return new Reader(options, { totals, isThorough: false, advanced })
  })
  await Promise.all([...producers, ...readers].map((each) => each.connect(sockets)))
  const metronome = new Metronome()
  return async () => {
    try {
      for (const reader of readers) reader.ask()
      const sent = pace({ schedule, metronome }, producers, sendDelay)
      await Promise.race([Promise.all([sent, acknowledged.all, endToEnd?.all]), sockets.failed])
      return {
        elapsedMs: performance.now() - schedule.startMs,
        acknowledged: acknowledged.histogram.encode(),
        ...(endToEnd && { endToEnd: endToEnd.histogram.encode() }),
        sendDelay: sendDelay.encode(),
      }
    } finally {
      await metronome.stop()
      sockets.close()
    }
  }
}

function pace(
  { schedule, metronome }: { schedule: Schedule; metronome: Metronome },
  producers: readonly Producer[],
  sendDelay: LatencyHistogram,
): Promise<void> {
  let request = 0
  const { startMs, over } = metronome.tick(schedule.tickMs, schedule.ticks, (tick) => {
    const until = Math.min((tick + 1) * schedule.requestsPerTick, schedule.count)
    for (; request < until; request++) {
      producers[request % producers.length]?.send()
      const delay = schedule.delayMicros(request, performance.now())
      if (delay !== undefined) sendDelay.record(delay)
    }
  })
  schedule.startMs = startMs
  return over
}
