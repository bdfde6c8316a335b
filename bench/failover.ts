// What a producer and a consumer with default settings notice of a broker's death, freeze and planned end, and of the
// controller's death.
import { createTopics } from '../test/clients/admin.ts'
import { ClusterProcess, type ClusterNode } from '../test/clients/cluster-process.ts'
import { pause } from '../test/clients/processes.ts'
import { Kafka, string, topic as topicOf } from '../client/index.ts'
import { publish, type Row } from './lib/report.ts'
import { spread } from './lib/statistics.ts'
import { withFolder } from './lib/work-folder.ts'

const partitionCount = 6
const sendEveryMs = 5
/** Long enough for whatever happened to be over. */
const settledMs = 2000
const frozenMs = 20_000

interface Outage {
  /** The longest time that a partition had no acknowledged record, or no record read. */
  readonly producedMs: number
  readonly consumedMs: number
  /** Told to the application. */
  readonly errorCount: number
}

interface Event {
  readonly name: string
  readonly wantedMs: number
  /** Strikes, and makes good again. */
  readonly strike: (cluster: ClusterProcess, victim: ClusterNode) => Promise<void>
}

const events: readonly Event[] = [
  {
    name: 'kill -9 of a broker',
    wantedMs: 3000,
    async strike(_, victim) {
      await victim.kill()
      await pause(4000)
      await victim.start()
    },
  },
  {
    name: 'a frozen broker',
    wantedMs: 11_000,
    async strike(_, victim) {
      await victim.suspend()
      await pause(frozenMs)
      victim.resume()
    },
  },
  {
    name: 'a broker stopped by SIGTERM',
    wantedMs: 500,
    async strike(_, victim) {
      await victim.stop()
      await victim.start()
    },
  },
  {
    name: 'kill -9 of the controller',
    wantedMs: 500,
    async strike({ controller }) {
      await controller.kill()
      await pause(3000)
      await controller.start()
    },
  },
]

export async function benchFailover(options: { rounds: number }): Promise<void> {
  await withFolder(async (directory) => {
    const cluster = await ClusterProcess.start({ directory })
    try {
      const rows: Row[] = []
      for (const event of events) rows.push(...(await measure(cluster, event, options.rounds)))
      rows.push(await metadataChange(cluster, options.rounds))
      const setting = { partitions: partitionCount, replicas: 3, client: 'SDK, defaults' }
      publish({ name: 'failover as clients see it', setting, rows })
    } finally {
      await cluster.kill()
    }
  })
}

async function measure(cluster: ClusterProcess, event: Event, rounds: number): Promise<Row[]> {
  const outages: Outage[] = []
  for (let round = 0; round < rounds; round++) {
    const name = `failover-${event.name.replaceAll(/\W+/g, '-')}-${round}`
    await createReplicated(cluster, name)
    outages.push(await outageOf(cluster, name, event, round))
    await cluster.inSync(name)
  }
  const errorCount = outages.reduce((sum, outage) => sum + outage.errorCount, 0)
  const row = (what: string, values: readonly number[]): Row => {
    const figures = spread(values)
    const met = figures.most <= event.wantedMs && errorCount === 0
    const text = `<= ${event.wantedMs}, no errors (${errorCount})`
    return { name: `${event.name}: ${what}`, unit: 'ms', figures, target: { text, met } }
  }
  return [
    row(
      'not produced',
      outages.map(({ producedMs }) => producedMs),
    ),
    row(
      'not consumed',
      outages.map(({ consumedMs }) => consumedMs),
    ),
  ]
}

async function outageOf(
  cluster: ClusterProcess,
  name: string,
  event: Event,
  round: number,
): Promise<Outage> {
  const topic = topicOf(name, { value: string() })
  const kafka = new Kafka({ brokers: cluster.bootstrap.split(',') })
  const [produced, consumed] = [new Gaps(), new Gaps()]
  let errorCount = 0
  const failed = (): void => {
    errorCount++
  }
  const consumer = kafka.consumer()
  consumer.assign(
    Array.from({ length: partitionCount }, (_, partition) => ({ topic: name, partition, from: 0 })),
  )
  const reading = (async () => {
    for await (const { partition } of consumer.batches(topic)) consumed.note(partition)
  })().catch(failed)
  const producer = kafka.producer()
  let partition = 0
  const timer = setInterval(() => {
    const place = partition++ % partitionCount
    const value = `${performance.now()}`
    producer.send(topic, { value, partition: place }).then(() => produced.note(place), failed)
  }, sendEveryMs)
  await pause(settledMs)
  produced.begin()
  consumed.begin()
  await event.strike(cluster, cluster.broker(1 + (round % cluster.brokers.length)))
  await pause(settledMs)
  clearInterval(timer)
  const outage = { producedMs: produced.longestMs(), consumedMs: consumed.longestMs() }
  await producer.close()
  await consumer.close()
  await reading
  await kafka.close()
  return { ...outage, errorCount }
}

/** From the kill of the controller, which is started again at once, until a topic is there. */
async function metadataChange(cluster: ClusterProcess, rounds: number): Promise<Row> {
  const samples: number[] = []
  for (let round = 0; round < rounds; round++) {
    const beganMs = performance.now()
    await cluster.controller.kill()
    const starting = cluster.controller.start()
    const kafka = new Kafka({ brokers: cluster.bootstrap.split(',') })
    await kafka.admin().createTopic({ name: `after-crash-${round}`, partitions: 1 })
    samples.push(performance.now() - beganMs)
    await starting
    await kafka.close()
  }
  const figures = spread(samples)
  const target = { text: '<= 5000', met: figures.most <= 5000 }
  return { name: 'kill -9 of the controller: next topic created', unit: 'ms', figures, target }
}

async function createReplicated(cluster: ClusterProcess, topic: string): Promise<void> {
  const configEntries = [{ name: 'min.insync.replicas', value: '2' }]
  const created = { topic, numPartitions: partitionCount, replicationFactor: 3, configEntries }
  await createTopics(cluster.bootstrap, [created])
  await cluster.inSync(topic)
}

/** The longest pause between two events of one partition since `begin`. */
class Gaps {
  readonly #lastMs = new Map<number, number>()
  #longestMs = 0

  begin(): void {
    this.#longestMs = 0
  }

  note(partition: number): void {
    const nowMs = performance.now()
    this.#longestMs = Math.max(this.#longestMs, nowMs - (this.#lastMs.get(partition) ?? nowMs))
    this.#lastMs.set(partition, nowMs)
  }

  longestMs(): number {
    const nowMs = performance.now()
    const open = [...this.#lastMs.values()].map((lastMs) => nowMs - lastMs)
    return Math.round(Math.max(this.#longestMs, ...open))
  }
}
