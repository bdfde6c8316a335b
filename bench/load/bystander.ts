// A client that sends single records at a steady rate while something else goes on: what it notices.
import type { RunningPeer } from '../harness/peer.ts'
import type { Verified } from '../harness/scenario.ts'
import { singleRecordBatch, type Batch } from './batch-set.ts'
import { produceFrame } from './frames.ts'
import { Generator } from './generator.ts'
import type { PacedJob } from './jobs.ts'
import { nothingSent, readBack } from './read-back.ts'
import type { Processes } from '../harness/peer.ts'
import { makeTopic, uniqueName, type Topic } from './topics.ts'

const batchBytes = 1024
/** Of a run, requests that do not count. */
const warmUpSeconds = 0.3

export class Bystander {
  readonly #generator: Generator
  readonly #topic: Topic
  readonly #batch: Batch = singleRecordBatch(batchBytes)
  readonly #sent = nothingSent(1)

  private constructor(generator: Generator, topic: Topic) {
    this.#generator = generator
    this.#topic = topic
  }

  static async create(running: RunningPeer, processes: Processes): Promise<Bystander> {
    const topic = await makeTopic(running, { name: uniqueName('bystander'), partitions: 1 })
    return new Bystander(new Generator(processes), topic)
  }

  get processId(): number {
    return this.#generator.processId
  }

  /** Gives latencies of acknowledgements (acks=all), encoded, from when requests were due. */
  async run(requestsPerSecond: number, seconds: number): Promise<string> {
    const [leader] = this.#topic.leaders
    const [sent] = this.#sent
    if (leader === undefined || sent === undefined) throw new Error('The bystander has no topic')
    const { name } = this.#topic
    const { bytes, crc } = this.#batch
    const produce = produceFrame({ topic: name, partition: 0, batch: bytes, acks: -1 })
    const count = Math.round(requestsPerSecond * seconds)
    const job: PacedJob = {
      kind: 'paced',
      producers: [{ ...leader, ...produce }],
      readers: [],
      requestsPerSecond,
      count,
      warmUpCount: Math.round(requestsPerSecond * warmUpSeconds),
    }
    sent.records += count
    sent.checksum.add(crc, count)
    const { acknowledged } = await this.#generator.run(job)
    return acknowledged
  }

  verify(): Promise<Verified> {
    const sent = this.#sent
    return readBack(this.#generator, this.#topic, { sent, batchBytesMax: batchBytes })
  }

  close(): Promise<void> {
    return this.#generator.close()
  }
}
