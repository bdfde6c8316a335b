// The controller alone, in this process, on LMDB: 100,000 partitions, 6 brokers that only send heartbeats.
import { silentLogger } from '../../base/logger.ts'
import { createRealEnv } from '../../base/real/real-env.ts'
import { configSchema, loadBrokerConfig } from '../../broker/config.ts'
import type { ClusterImage } from '../../broker/metadata/image.ts'
import { Controller } from '../../controller/controller.ts'
import { openStore } from '../../controller/controller-process.ts'
import type { Row } from '../lib/report.ts'
import { spread } from '../lib/statistics.ts'
import { eventually } from '../lib/waiting.ts'
import { withFolder } from '../lib/work-folder.ts'

const brokerCount = 6
const topicCount = 1000
const partitionsPerTopic = 100
/** Under way at once. */
const topicsAtOnce = 10
const sessionTimeoutMs = 3000
const heartbeatIntervalMs = 500
const loadedMsWanted = 1000
const ledMsWanted = 1000

interface Sample {
  readonly createdMs: number
  readonly loadedMs: number
  readonly ledMs: number
}

export async function benchController(options: { rounds: number }): Promise<Row[]> {
  const samples: Sample[] = []
  for (let round = 0; round < options.rounds; round++)
    samples.push(await withFolder((folder) => sampleOf(folder)))
  const of = (pick: (sample: Sample) => number): Row['figures'] => spread(samples.map(pick))
  const [loaded, led] = [of(({ loadedMs }) => loadedMs), of(({ ledMs }) => ledMs)]
  const partitions = topicCount * partitionsPerTopic
  return [
    {
      name: `controller: ${partitions} partitions created`,
      unit: 'ms',
      figures: of(({ createdMs }) => createdMs),
    },
    {
      name: `controller: ${partitions} partitions loaded after failover`,
      unit: 'ms',
      figures: loaded,
      target: { text: `< ${loadedMsWanted}`, met: loaded.median < loadedMsWanted },
    },
    {
      name: 'controller: one of 6 brokers dies, re-led after its session ended',
      unit: 'ms',
      figures: led,
      target: { text: `< ${ledMsWanted}`, met: led.median < ledMsWanted },
    },
  ]
}

async function sampleOf(folder: string): Promise<Sample> {
  const first = await openController(folder)
  const brokers = await Brokers.register(first)
  const createdMs = await timed(() => createAll(first))
  brokers.stop()
  await first.close()
  const beganMs = performance.now()
  const second = await openController(folder)
  const loadedMs = performance.now() - beganMs
  if (second.image.partitionCount !== topicCount * partitionsPerTopic)
    throw new Error(`${second.image.partitionCount} partitions were loaded`)
  brokers.beat(second)
  const ledMs = await brokers.die(second, brokerCount)
  brokers.stop()
  await second.close()
  return { createdMs, loadedMs, ledMs }
}

async function openController(folder: string): Promise<Controller> {
  const env = createRealEnv()
  const config = loadBrokerConfig({ sets: { 'log.dirs': folder } })
  return Controller.open({
    env,
    store: await openStore(env, config),
    nodeId: 100,
    config,
    schema: configSchema,
    logger: silentLogger,
    sessions: { timeoutMs: sessionTimeoutMs, heartbeatIntervalMs },
  })
}

async function createAll(controller: Controller): Promise<void> {
  for (let topic = 0; topic < topicCount; topic += topicsAtOnce) {
    const topics = Array.from({ length: topicsAtOnce }, (_, index) => ({
      name: `topic-${topic + index}`,
      partitionCount: partitionsPerTopic,
      replicationFactor: 3,
      assignments: [],
      configs: [],
    }))
    const outcomes = await controller.createTopics(topics, { validateOnly: false })
    for (const outcome of outcomes) if (!outcome.ok) throw new Error(outcome.message)
  }
}

/** Brokers that have no partitions but heartbeats. */
class Brokers {
  readonly #epochs: ReadonlyMap<number, number>
  readonly #lastMs = new Map<number, number>()
  readonly #living: Set<number>
  #timer: NodeJS.Timeout | undefined

  private constructor(epochs: ReadonlyMap<number, number>) {
    this.#epochs = epochs
    this.#living = new Set(epochs.keys())
  }

  /** And waits until they serve. */
  static async register(controller: Controller): Promise<Brokers> {
    const epochs = new Map<number, number>()
    for (let brokerId = 1; brokerId <= brokerCount; brokerId++) {
      const outcome = await controller.registerBroker({
        brokerId,
        incarnation: `${brokerId}`.padStart(32, '0'),
        listeners: [
          { name: 'PLAINTEXT', host: 'localhost', port: brokerId, securityProtocol: 'PLAINTEXT' },
        ],
        rack: null,
        host: `machine-${brokerId}`,
      })
      if (!outcome.ok) throw new Error(outcome.message)
      epochs.set(brokerId, outcome.epoch)
    }
    const brokers = new Brokers(epochs)
    brokers.beat(controller)
    await eventually('brokers serve', () =>
      [...controller.image.brokers.values()].every(({ fenced }) => !fenced),
    )
    return brokers
  }

  beat(controller: Controller): void {
    const beat = (): void => {
      for (const brokerId of this.#living) void this.#heartbeat(controller, brokerId)
    }
    beat()
    this.#timer = setInterval(beat, heartbeatIntervalMs)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** From the end of its session until everything it led has another leader. */
  async die(controller: Controller, brokerId: number): Promise<number> {
    await this.#heartbeat(controller, brokerId)
    this.#living.delete(brokerId)
    const endMs = (this.#lastMs.get(brokerId) ?? NaN) + sessionTimeoutMs
    await eventually('others lead', () => isLedByOthers(controller.image, brokerId))
    return Math.max(performance.now() - endMs, 0)
  }

  async #heartbeat(controller: Controller, brokerId: number): Promise<void> {
    this.#lastMs.set(brokerId, performance.now())
    const outcome = await controller.heartbeat({
      brokerId,
      brokerEpoch: this.#epochs.get(brokerId) ?? -1,
      appliedOffset: controller.image.offset,
      wantFence: false,
      wantShutdown: false,
    })
    if (!outcome.ok) throw new Error(outcome.message)
  }
}

function isLedByOthers(image: ClusterImage, brokerId: number): boolean {
  if (image.brokers.get(brokerId)?.fenced !== true) return false
  for (const { partitions } of image.topicsById.values()) {
    for (const { leader, isr } of partitions)
      if (leader === brokerId || leader === -1 || isr.includes(brokerId)) return false
  }
  return true
}

async function timed(act: () => Promise<void>): Promise<number> {
  const beganMs = performance.now()
  await act()
  return performance.now() - beganMs
}
