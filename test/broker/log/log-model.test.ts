// Goal: a log answers as the simplest possible one, an array of records, does. Method: random operations on both.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createRealEnv } from '../../../base/real/real-env.ts'
import type { Env } from '../../../base/env.ts'
import type { Payload } from '../../../base/payload.ts'
import { LogDirectories } from '../../../broker/log/log-directories.ts'
import type { PartitionLog } from '../../../broker/log/partition-log.ts'
import {
  append,
  logOptions,
  machine,
  readAll,
  recordsIn,
  take,
  topicId,
  type OpenOptions,
} from './log-support.ts'
import { Seeded } from './seeded.ts'

const steps = Number(process.env['STEPS'] ?? 400)
const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const

interface Stored {
  readonly value: string
  readonly timestamp: number
  /** Of the batch it came in. */
  readonly batchEnd: number
}

interface Model {
  readonly records: Stored[]
  logStart: number
}

/** Everything that may be asked, at random. */
class Run {
  readonly #t: Test
  readonly #random: Seeded
  readonly #until: <T>(promise: Promise<T>) => Promise<T>
  readonly #options: OpenOptions & { env: Env }
  readonly #model: Model = { records: [], logStart: 0 }
  /** Payloads that nobody has released yet, with what they must hold. */
  readonly #out: { readonly payload: Payload; readonly values: readonly string[] }[] = []
  #logs: LogDirectories | undefined

  constructor(
    t: Test,
    random: Seeded,
    options: OpenOptions & { env: Env },
    until: <T>(promise: Promise<T>) => Promise<T>,
  ) {
    this.#t = t
    this.#random = random
    this.#options = options
    this.#until = until
  }

  async run(): Promise<void> {
    await this.#reopen()
    for (let step = 0; step < steps; step++) await this.#step()
    this.#check()
    this.#releaseAll()
    await this.#until(this.#logs!.close())
  }

  get #log(): PartitionLog {
    return this.#logs!.get('topic', 0)!
  }

  async #step(): Promise<void> {
    const random = this.#random
    const action = random.below(100)
    if (action < 50) this.#append()
    else if (action < 75) this.#read()
    else if (action < 83) this.#lookUp()
    else if (action < 86) this.#release()
    else if (action < 88) this.#log.roll()
    else if (action < 91) await this.#until(this.#log.flush())
    else if (action < 93) await this.#until(this.#logs!.checkpoint())
    else if (action < 95) this.#deleteRecords()
    else if (action < 97) this.#truncate()
    else if (action < 98) this.#log.enforceRetention(this.#options.env.clock.wallMs())
    else if (action < 99) this.#check()
    else await this.#reopen()
    this.#t.equal(this.#log.nextOffset, this.#model.records.length)
  }

  #append(): void {
    const random = this.#random
    const { records } = this.#model
    const values = Array.from({ length: 1 + random.below(5) }, () =>
      `${random.below(1e9)}`.repeat(1 + random.below(8)),
    )
    const timestamps = values.map(() => 1e6 + records.length * 3 + random.below(200))
    const result = append(this.#log, values, { codec: codecs[random.below(5)]!, timestamps })
    if (!result.ok) throw new Error(result.message)
    this.#t.equal(result.baseOffset, records.length)
    const batchEnd = result.nextOffset
    for (const [index, value] of values.entries())
      records.push({ value, timestamp: timestamps[index]!, batchEnd })
  }

  #read(): void {
    const random = this.#random
    const { records, logStart } = this.#model
    if (records.length === logStart) return
    const offset = logStart + random.below(records.length - logStart)
    const offsetMax = offset + random.below(60)
    const read = this.#log.read(offset, {
      bytesMax: random.below(3000),
      atLeastOneBatch: random.below(2) === 0,
      offsetMax,
    })
    if (!read.ok) throw new Error(read.message)
    if (read.payload === undefined) {
      this.#t.equal(read.nextOffset, offset)
      return
    }
    this.#t.ok(read.nextOffset <= offsetMax && read.nextOffset > offset)
    this.#t.equal(records[read.nextOffset - 1]?.batchEnd, read.nextOffset, 'a batch border')
    const first = batchStart(records, offset)
    const values = records.slice(first, read.nextOffset).map((record) => record.value)
    if (random.below(3) === 0) this.#out.push({ payload: read.payload, values })
    else this.#t.same(valuesOf(take(read.payload)), values)
  }

  #lookUp(): void {
    const { records, logStart } = this.#model
    if (records.length === 0) return
    const target = 1e6 + this.#random.below(records.length * 3 + 300)
    const end =
      this.#random.below(2) === 0
        ? records.length
        : logStart + this.#random.below(records.length - logStart + 1)
    const offset = records.findIndex(
      (record, index) => index >= logStart && index < end && record.timestamp >= target,
    )
    const expected =
      offset < 0 ? undefined : { offset, timestamp: records[offset]!.timestamp, leaderEpoch: 5 }
    this.#t.same(
      this.#log.offsetForTimestamp(target, end),
      expected,
      `first at or after ${target} below ${end}`,
    )
    const kept = records.slice(logStart)
    const greatest = Math.max(...kept.map((record) => record.timestamp))
    const found = this.#log.maxTimestamp(records.length)
    if (kept.length === 0) this.#t.equal(found, undefined)
    else this.#t.equal(found?.timestamp, greatest)
  }

  #release(): void {
    const held = this.#out.splice(this.#random.below(this.#out.length + 1), 1)[0]
    if (held !== undefined)
      this.#t.same(
        valuesOf(take(held.payload)),
        held.values,
        'a view outlives what happens to its log',
      )
  }

  #deleteRecords(): void {
    const { records, logStart } = this.#model
    const offset = logStart + this.#random.below(Math.min(records.length - logStart, 40) + 1)
    this.#log.deleteRecords(offset)
    this.#model.logStart = offset
  }

  #truncate(): void {
    const { records, logStart } = this.#model
    const offset = Math.max(records.length - this.#random.below(30), logStart)
    if (offset >= records.length) return
    const end = batchStart(records, offset)
    this.#log.truncateTo(offset)
    records.length = end
    this.#model.logStart = Math.min(logStart, end)
  }

  #releaseAll(): void {
    for (const { payload, values } of this.#out.splice(0))
      this.#t.same(valuesOf(take(payload)), values, 'a late release')
  }

  async #reopen(): Promise<void> {
    // Nobody reads on when a process ends.
    this.#releaseAll()
    if (this.#logs !== undefined) await this.#until(this.#logs.close())
    this.#logs = await this.#until(
      LogDirectories.open(logOptions(this.#options.env, this.#options)),
    )
    this.#logs.create('topic', topicId, 0)
    this.#check()
  }

  #check(): void {
    const { records, logStart } = this.#model
    this.#t.equal(this.#log.logStartOffset, logStart)
    this.#t.same(
      readAll(this.#log, logStart, 1 + this.#random.below(5000)).map((record) => record.value),
      records.slice(logStart).map((record) => record.value),
    )
  }
}

function batchStart(records: readonly Stored[], offset: number): number {
  let start = offset
  while (start > 0 && records[start - 1]!.batchEnd === records[offset]!.batchEnd) start--
  return start
}

function valuesOf(bytes: Buffer): string[] {
  return recordsIn(bytes).map((record) => record.value)
}

for (const transfer of ['mmap', 'sendfile', 'read'] as const) {
  const config = {
    segmentBytes: 3000,
    indexIntervalBytes: 300,
    fileDeleteDelayMs: 0,
    retentionMs: -1,
  }
  // So few that files, maps and indexes come and go all the time.
  const limits = { openFilesMax: 3, mapsMax: 2, indexBytesMax: 1000 }

  t.test(`log: as an array would, on a simulated disk, ${transfer}`, async (t) => {
    const random = new Seeded()
    t.comment(`SEED=${random.seed}`)
    const { simulation, env } = machine(random.seed)
    await new Run(t, random, { env, transfer, config, ...limits }, (promise) =>
      simulation.until(promise),
    ).run()
  })

  t.test(`log: as an array would, on a real disk, ${transfer}`, async (t) => {
    const random = new Seeded()
    t.comment(`SEED=${random.seed}`)
    const directory = mkdtempSync(join(tmpdir(), 'millrace-log-'))
    t.teardown(() => rmSync(directory, { recursive: true, force: true }))
    const options = { env: createRealEnv(), directories: [directory], transfer, config, ...limits }
    await new Run(t, random, options, (promise) => promise).run()
  })
}
