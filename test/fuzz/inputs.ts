/** Input number n of a seed: always the same bytes, but for topic ids and timestamps. */
import { apis } from '../../protocol/apis.ts'
import type { AnyApi } from '../../protocol/schema/api.ts'
import { Random } from '../clients/random.ts'
import {
  batchMutatorNames,
  batchMutators,
  craftedBatch,
  decompressionBombs,
  goodBatch,
  withGoodCrc,
} from './batch-mutators.ts'
import { frameMutators, lyingSize, randomBytes } from './frame-mutators.ts'
import { SiteEncoder } from './site-encoder.ts'
import type { EncodedRequest } from './site-encoder.ts'
import { randomMessage } from './values.ts'
import type { World } from './values.ts'

export interface Input {
  readonly index: number
  /** What was done to it. */
  readonly description: string
  readonly bytes: Buffer
  /**
   * What to do after sending: wait for an answer (or the broker closes); close at once; or stay
   * silent, as the stream cannot go on.
   */
  readonly after: 'answer' | 'close' | 'silence'
  /** A conversation that needs answers: `fetch-session`. */
  readonly conversation?: 'fetch-session'
}

/** How often an API comes up; those that cost a disk flush or change topics, less often. */
const weights: Readonly<Record<string, number>> = {
  Produce: 30,
  Fetch: 24,
  ListOffsets: 6,
  Metadata: 6,
  ApiVersions: 4,
  OffsetForLeaderEpoch: 4,
  DescribeConfigs: 3,
  CreateTopics: 0.6,
  DeleteTopics: 0.2,
  CreatePartitions: 0.3,
  DeleteRecords: 1,
  AlterConfigs: 0.4,
  IncrementalAlterConfigs: 0.4,
  InitProducerId: 1,
}

type Kind = (generator: InputGenerator, random: Random, index: number) => Omit<Input, 'index'>

/** Produce, and what its batch is like. */
const spoiledBatch: Kind = (generator, random, index) => {
  const mutators = Array.from({ length: random.pick([1, 1, 1, 2]) }, () =>
    random.pick(batchMutatorNames),
  )
  let batch: Buffer = Buffer.from(goodBatch(random, generator.nowMs))
  for (const name of mutators) {
    if (batch.length >= 61) batch = batchMutators[name]!(batch, random)
  }
  const fixed = random.chance(0.7)
  if (fixed) batch = withGoodCrc(Buffer.from(batch))
  const crc = fixed ? 'good CRC' : 'as it is'
  return generator.produce(batch, `batch ${mutators.join('+')}, ${crc}`, random, index)
}

const kinds: readonly [weight: number, kind: Kind][] = [
  [
    14,
    (generator, random, index) => {
      const { api, version, request } = generator.request(random, index)
      return answer(`good ${api.name} v${version}`, request.frame)
    },
  ],
  [
    42,
    (generator, random, index) => {
      const { api, version, request } = generator.request(random, index)
      const [name, mutator] = random.pick(Object.entries(frameMutators))
      return answer(`${name} ${api.name} v${version}`, mutator(request, random))
    },
  ],
  [
    7,
    (generator, random, index) => {
      const { api, version, request } = generator.request(random, index)
      const [first, last] = api.advertised
      const said = first + random.below(last - first + 1)
      const bytes = Buffer.from(request.frame)
      bytes.writeInt16BE(said, 6)
      return answer(`${api.name} v${version} called v${said}`, bytes)
    },
  ],
  [22, spoiledBatch],
  [
    6,
    (generator, random, index) =>
      generator.produce(
        craftedBatch(random, generator.nowMs),
        'batch with crafted records',
        random,
        index,
      ),
  ],
  [
    0.05,
    (generator, random, index) =>
      generator.produce(random.pick(generator.bombs), 'decompression bomb', random, index),
  ],
  [
    3,
    (generator, random, index) => {
      const { api, request } = generator.request(random, index)
      const cut = request.frame.subarray(0, 1 + random.below(request.frame.length))
      return { description: `${api.name} and gone`, bytes: cut, after: 'close' }
    },
  ],
  [
    2,
    (generator, random, index) => {
      const { api, request } = generator.request(random, index)
      const bytes = lyingSize(request.frame, random)
      return { description: `${api.name} with a lying size`, bytes, after: 'silence' }
    },
  ],
  [
    0.5,
    (generator, random, index) => {
      const { api, request } = generator.request(random, index)
      const half = request.frame.subarray(0, 1 + random.below(request.frame.length - 1))
      return { description: `half of ${api.name}, then nothing`, bytes: half, after: 'silence' }
    },
  ],
  [1, (_, random) => ({ ...stranger(random), after: 'silence' })],
  [
    3,
    (generator, random, index) => {
      const { request } = generator.requestOf('Fetch', random, index, 7)
      const bytes = request.frame
      return { description: 'fetch session', bytes, after: 'answer', conversation: 'fetch-session' }
    },
  ],
]

export class InputGenerator {
  readonly nowMs: number
  readonly bombs: readonly Buffer[]
  readonly #seed: number
  readonly #world: World
  readonly #encoder = new SiteEncoder()
  readonly #apis: readonly AnyApi[]
  readonly #kindsTotal = kinds.reduce((sum, [weight]) => sum + weight, 0)

  /** `served` are the API keys that the broker advertises, `nowMs` is the time of the records. */
  constructor(
    seed: number,
    served: ReadonlySet<number>,
    world: Omit<World, 'records'>,
    nowMs: number,
  ) {
    this.#seed = seed
    this.nowMs = nowMs
    this.bombs = decompressionBombs(nowMs)
    this.#apis = [...apis.values()].filter(({ key }) => served.has(key))
    this.#world = {
      get topics() {
        return world.topics
      },
      get topicIds() {
        return world.topicIds
      },
      records: (random) => (random.chance(0.03) ? null : goodBatch(random, nowMs)),
    }
  }

  input(index: number): Input {
    const random = new Random(Math.imul(this.#seed, 0x9e3779b1) ^ Math.imul(index, 0x85ebca6b))
    let left = (random.bits() / 2 ** 32) * this.#kindsTotal
    let [, chosen] = kinds[0]!
    for (const [weight, kind] of kinds) {
      chosen = kind
      left -= weight
      if (left < 0) break
    }
    return { index, ...chosen(this, random, index) }
  }

  request(random: Random, index: number) {
    let left = random.below(1_000_000) / 1_000_000
    const total = this.#apis.reduce((sum, { name }) => sum + (weights[name] ?? 2), 0)
    let [chosen] = this.#apis
    for (const api of this.#apis) {
      chosen = api
      left -= (weights[api.name] ?? 2) / total
      if (left < 0) break
    }
    return this.requestOf(chosen!.name, random, index)
  }

  requestOf(name: string, random: Random, index: number, versionMin = 0) {
    const api = this.#apis.find((each) => each.name === name)!
    const first = Math.max(versionMin, api.versions[0])
    const version = first + random.below(api.versions[1] - first + 1)
    const message = randomMessage(api.request.fields, version, random, this.#world)
    return { api, version, request: this.#encode(api, version, index, message) }
  }

  /** A Produce request around one batch. */
  produce(batch: Buffer, what: string, random: Random, index: number): Omit<Input, 'index'> {
    const api = this.#apis.find(({ name }) => name === 'Produce')!
    const [first, last] = api.versions
    const version = first + random.below(last - first + 1)
    const topic = random.below(this.#world.topics.length)
    const name = this.#world.topics[topic]
    const topicId = this.#world.topicIds[topic] ?? this.#world.topicIds[0]
    const partitionData = [{ index: random.below(3), records: batch }]
    const topicData = [{ name, topicId, partitionData }]
    const message = { transactionalId: null, acks: -1, timeoutMs: 1000, topicData }
    const request = this.#encode(api, version, index, message)
    return answer(`Produce v${version} to ${name}: ${what}`, request.frame)
  }

  #encode(api: AnyApi, version: number, index: number, message: object): EncodedRequest {
    const flexible = version >= api.flexible
    const layout = { key: api.key, version, flexible, fields: api.request.fields }
    return this.#encoder.encode(layout, index, message)
  }
}

function answer(description: string, bytes: Buffer): Omit<Input, 'index'> {
  return { description, bytes, after: 'answer' }
}

/** Other protocols at our door. */
function stranger(random: Random): { description: string; bytes: Buffer } {
  const hello = Buffer.concat([
    Buffer.of(0x16, 0x03, 0x01, 0x00, 0xf4, 0x01, 0x00, 0x00, 0xf0, 0x03, 0x03),
    randomBytes(random, 239),
  ])
  return random.pick([
    { description: 'TLS hello', bytes: hello },
    { description: 'HTTP', bytes: Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n') },
    { description: 'SSH', bytes: Buffer.from('SSH-2.0-OpenSSH_9.2\r\n') },
    { description: 'noise', bytes: randomBytes(random, 1 + random.below(2000)) },
    { description: 'zeros', bytes: Buffer.alloc(1 + random.below(5000)) },
  ])
}
