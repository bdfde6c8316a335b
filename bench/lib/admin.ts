import { once } from 'node:events'
import * as net from 'node:net'
import { CreateTopics } from '../../protocol/messages/create-topics.ts'
import { decodeResponse, encodeRequest } from '../../protocol/headers.ts'
import { IncrementalAlterConfigs } from '../../protocol/messages/incremental-alter-configs.ts'
import type { AnyApi, RequestInputOf, ResponseOf } from '../../protocol/schema/api.ts'

interface Address {
  readonly host: string
  readonly port: number
}

/** A topic, as IncrementalAlterConfigs numbers kinds of resources, and the operation that sets a value. */
const topicResource = 2
const setOperation = 0

export interface WantedTopic {
  readonly name: string
  readonly partitions: number
  /** Of each partition; absent: 1. */
  readonly replicas?: number
  /** The brokers of every partition, the leader first, instead of a choice of the controller. */
  readonly brokerIds?: readonly number[]
  readonly configs?: Readonly<Record<string, string>>
}

/** Gives the id of the topic. */
export async function createTopic(address: Address, topic: WantedTopic): Promise<string> {
  const configs = Object.entries(topic.configs ?? {}).map(([name, value]) => ({ name, value }))
  const { name, partitions, replicas = 1, brokerIds } = topic
  const assignments =
    brokerIds === undefined
      ? []
      : Array.from({ length: partitions }, (_, partitionIndex) => ({ partitionIndex, brokerIds }))
  const counts =
    brokerIds === undefined
      ? { numPartitions: partitions, replicationFactor: replicas }
      : { numPartitions: -1, replicationFactor: -1 }
  const response = await send(address, CreateTopics, 7, {
    topics: [{ name, ...counts, assignments, configs }],
    timeoutMs: 120_000,
    validateOnly: false,
  })
  const created = response.topics[0]
  if (created === undefined || created.errorCode !== 0) {
    throw new Error(`Creating ${topic.name} failed: ${created?.errorCode} ${created?.errorMessage}`)
  }
  return created.topicId
}

export async function setTopicConfig(
  address: Address,
  topic: string,
  name: string,
  value: string,
): Promise<void> {
  const configs = [{ name, configOperation: setOperation, value }]
  const response = await send(address, IncrementalAlterConfigs, 1, {
    resources: [{ resourceType: topicResource, resourceName: topic, configs }],
    validateOnly: false,
  })
  const changed = response.responses[0]
  if (changed === undefined || changed.errorCode !== 0) {
    throw new Error(`Changing ${topic} failed: ${changed?.errorCode} ${changed?.errorMessage}`)
  }
}

/** One request on a connection of its own. */
export async function send<A extends AnyApi>(
  address: Address,
  api: A,
  version: number,
  request: RequestInputOf<A>,
): Promise<ResponseOf<A>> {
  const socket = net.connect(address.port, address.host)
  await once(socket, 'connect')
  socket.write(encodeRequest(api, version, 1, 'bench', request).finish())
  const frame = await readFrame(socket)
  socket.destroy()
  return decodeResponse(api, version, frame).response
}

async function readFrame(socket: net.Socket): Promise<Buffer> {
  let bytes = Buffer.alloc(0)
  for await (const chunk of socket) {
    bytes = Buffer.concat([bytes, chunk as Buffer])
    if (bytes.length >= 4 && bytes.length >= 4 + bytes.readInt32BE(0))
      return bytes.subarray(4, 4 + bytes.readInt32BE(0))
  }
  throw new Error('The broker closed the connection')
}
