import { silentLogger } from '../../base/logger.ts'
import { configSchema, loadBrokerConfig } from '../../broker/config.ts'
import type { ClusterImage } from '../../broker/metadata/image.ts'
import { Controller, type ControllerOptions } from '../../controller/controller.ts'
import { MemoryStore } from '../../controller/store/memory.ts'
import type { NewTopic } from '../../controller/topics.ts'
import type { ListenerAddress } from '../../protocol/metadata-records/records.ts'
import { manualEnv } from './manual-env.ts'

/** A controller of node 1 on a store in memory, unless told otherwise. */
export function openController(options: Partial<ControllerOptions> = {}): Promise<Controller> {
  return Controller.open({
    env: manualEnv(1),
    store: new MemoryStore(),
    logger: silentLogger,
    nodeId: 1,
    config: loadBrokerConfig({}),
    schema: configSchema,
    ...options,
  })
}

export const plaintext = (port = 9092): ListenerAddress => ({
  name: 'PLAINTEXT',
  host: 'localhost',
  port,
  securityProtocol: 'PLAINTEXT',
})

let incarnations = 0

/** Another start of the broker's process, also when another process calls. */
export function nextIncarnation(): string {
  const parts = [process.pid, ++incarnations]
  return parts.map((part) => part.toString(16).padStart(16, '0')).join('')
}

/** A new incarnation each time. It stopped cleanly if it knows its previous epoch. */
export async function register(
  controller: Controller,
  brokerId = 1,
  options: { rack?: string; previousEpoch?: number } = {},
): Promise<number> {
  const outcome = await controller.registerBroker({
    brokerId,
    incarnation: nextIncarnation(),
    listeners: [plaintext(9092 + brokerId)],
    rack: options.rack ?? null,
    host: `machine${brokerId}`,
    previousEpoch: options.previousEpoch ?? -1,
    stoppedCleanly: options.previousEpoch !== undefined,
  })
  if (!outcome.ok) throw new Error(outcome.message)
  return outcome.epoch
}

/** A topic to create: one partition, one replica, unless told otherwise. */
export function newTopic(name: string, options: Partial<NewTopic> = {}): NewTopic {
  return {
    name,
    partitionCount: 1,
    replicationFactor: 1,
    assignments: [],
    configs: [],
    ...options,
  }
}

export const forReal = { validateOnly: false } as const
export const onlyValidate = { validateOnly: true } as const

/** Everything in an image, for comparison. */
export function contents(image: ClusterImage): unknown {
  const names = [...image.topicsByName.keys()]
  return {
    clusterId: image.clusterId,
    nextProducerId: image.nextProducerId,
    partitionCount: image.partitionCount,
    brokers: [...image.brokers],
    topics: names.toSorted().map((name) => image.topicsByName.get(name)),
    ids: Array.from(image.topicsById, ([id, topic]) => `${id} ${topic.name}`).toSorted(),
    configs: names.toSorted().map((name) => pairsIn(image.topicOverrides(name))),
    brokerConfigs: ['', ...image.brokers.keys()].map((broker) => [
      pairsIn(image.brokerOverrides(broker as number | '')),
    ]),
    features: [...image.features],
  }
}

function pairsIn(values: ReadonlyMap<string, string>): string[] {
  return Array.from(values, ([name, value]) => `${name}=${value}`).toSorted()
}
