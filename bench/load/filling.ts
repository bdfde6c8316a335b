// Data for scenarios that measure something else than producing: batches of records to some partitions, remembered for
// the verification.
import type { Verified } from '../harness/scenario.ts'
import { batchSet, type Batch } from './batch-set.ts'
import { produceFrame, type ProduceFrame } from './frames.ts'
import type { Generator } from './generator.ts'
import type { ProduceJob } from './jobs.ts'
import { nothingSent, readBack } from './read-back.ts'
import type { Topic } from './topics.ts'

export interface FillOptions {
  /** Of each partition that is filled. */
  readonly batchesEach: number
  /** Absent: all of them. */
  readonly partitions?: readonly number[]
  /** Requests under way on each connection. */
  readonly depth: number
}

export interface VerifyOptions {
  readonly leaders?: Topic['leaders']
  readonly behindMax?: readonly number[]
}

/** Partitions of one leader that share a connection. */
const partitionsPerConnection = 1000

export class Filling {
  readonly topic: Topic
  readonly #batches: readonly Batch[]
  readonly #sent: ReturnType<typeof nothingSent>
  /** Since the last look at what was new, and where that began. */
  #new: ReturnType<typeof nothingSent>
  #newFrom: readonly number[]
  readonly #batchBytesMax: number

  constructor(topic: Topic, size: { readonly batchBytes: number; readonly recordBytes: number }) {
    this.topic = topic
    this.#batches = batchSet(size.batchBytes, size.recordBytes)
    this.#batchBytesMax = Math.max(...this.#batches.map(({ bytes }) => bytes.length))
    this.#sent = nothingSent(topic.leaders.length)
    this.#new = nothingSent(topic.leaders.length)
    this.#newFrom = this.#new.map(() => 0)
  }

  get recordsPerBatch(): number {
    return this.#batches[0]?.records ?? 0
  }

  /** acks=all. Counts as sent: whoever asks for it must run it. */
  job({ batchesEach, partitions, depth }: FillOptions): ProduceJob {
    const wanted = partitions ?? this.topic.leaders.map((_, partition) => partition)
    const connections: ProduceJob['connections'][number][] = []
    for (const own of this.#byLeader(wanted)) {
      const leader = this.topic.leaders[own[0] ?? 0]
      if (leader === undefined) throw new Error(`${this.topic.name} has no leader`)
      const frames = this.#frames(own, batchesEach)
      const count = own.length * batchesEach
      const [first] = frames
      connections.push({
        ...leader,
        frames: frames.map(({ frame }) => frame),
        count,
        depth,
        errorAt: first?.errorAt,
      })
    }
    return { kind: 'produce', connections }
  }

  async run(generator: Generator, options: FillOptions): Promise<void> {
    await generator.run(this.job(options))
  }

  /** Reads everything back that was sent, from those who lead now. `behindMax`: see `readBack`. */
  verify(
    generator: Generator,
    { leaders = this.topic.leaders, behindMax = [] }: VerifyOptions = {},
  ): Promise<Verified> {
    const [sent, batchBytesMax] = [this.#sent, this.#batchBytesMax]
    return readBack(generator, { ...this.topic, leaders }, { sent, batchBytesMax, behindMax })
  }

  /** Reads what was sent since the last time: of topics that forget what is older. */
  async verifyNew(generator: Generator): Promise<Verified> {
    const verified = await readBack(generator, this.topic, {
      sent: this.#new,
      batchBytesMax: this.#batchBytesMax,
      fromOffsets: this.#newFrom,
    })
    this.#newFrom = this.#sent.map(({ records }) => records)
    this.#new = nothingSent(this.topic.leaders.length)
    return verified
  }

  /**
   * In the order in which they are sent, round and round: each partition gets the batches of the set in turn, from another
   * one on, so that one that is lost is not made up for by one that came twice.
   */
  #frames(partitions: readonly number[], countEach: number): ProduceFrame[] {
    const { length } = this.#batches
    const frames: ProduceFrame[] = []
    for (let turn = 0; turn < Math.min(length, countEach); turn++) {
      const count = Math.ceil((countEach - turn) / length)
      for (const partition of partitions) {
        const batch = this.#batches[(partition + turn) % length]
        if (batch === undefined) throw new Error('There is no batch')
        this.#note(partition, batch, count)
        const { name: topic } = this.topic
        frames.push(produceFrame({ topic, partition, batch: batch.bytes, acks: -1 }))
      }
    }
    return frames
  }

  #note(partition: number, { records, crc }: Batch, count: number): void {
    for (const sent of [this.#sent[partition], this.#new[partition]]) {
      if (sent === undefined) throw new Error(`${this.topic.name} has no partition ${partition}`)
      sent.records += records * count
      sent.checksum.add(crc, count)
    }
  }

  #byLeader(wanted: readonly number[]): number[][] {
    const groups: number[][] = []
    const open = new Map<string, number[]>()
    for (const partition of wanted) {
      const leader = this.topic.leaders[partition]
      const key = `${leader?.host}:${leader?.port}`
      let group = open.get(key)
      if (group === undefined || group.length === partitionsPerConnection) {
        group = []
        groups.push(group)
        open.set(key, group)
      }
      group.push(partition)
    }
    return groups
  }
}
