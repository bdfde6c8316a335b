/** One of the two brokers that answer version steps: what is its own (ids, addresses, texts for people) stays inside. */
import { CreateTopics } from '../../protocol/messages/create-topics.ts'
import { ApiVersions } from '../../protocol/messages/api-versions.ts'
import { FindCoordinator } from '../../protocol/messages/find-coordinator.ts'
import { InitProducerId } from '../../protocol/messages/init-producer-id.ts'
import { Metadata } from '../../protocol/messages/metadata.ts'
import { OffsetCommit } from '../../protocol/messages/offset-commit.ts'
import type { AnyApi, RequestInputOf, ResponseOf } from '../../protocol/schema/api.ts'
import type { AnyField, Fields } from '../../protocol/schema/field.ts'
import { WireClient } from '../support/wire-client.ts'
import { pause } from './processes.ts'
import { zeroId, type VersionStep } from './version-step.ts'

/** What every step may use: `sweep` has two partitions, `plain` one. The records of some steps are old. */
const configs = [{ name: 'retention.ms', value: '-1' }]
const topics = [
  { name: 'sweep', numPartitions: 2, replicationFactor: 1, assignments: [], configs },
  { name: 'plain', numPartitions: 1, replicationFactor: 1, assignments: [], configs },
]

const alwaysUnlike = ['throttleTimeMs', 'errorMessage', 'batchIndexErrorMessage', 'clientHost']
/** A UUID, in either of the ways that Kafka writes it. */
const madeByBroker = /[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$|^[\w-]{22}$/
const memberFields = new Set(['memberId', 'leader'])
/** Apache Kafka says UNKNOWN_SERVER_ERROR where an input was not thought of, ours INVALID_REQUEST. */
const unknownServerError = -1
const invalidRequest = 42
const startMsMax = 30_000

type Address = { readonly host: string; readonly port: number }

export class VersionClient {
  readonly #address: Address
  #wire: WireClient
  readonly #versions = new Map<number, { readonly min: number; readonly max: number }>()
  readonly #realByToken = new Map<string, string>()
  readonly #tokenByReal = new Map<string, string>()
  /** How many ids of members each group has seen. */
  readonly #memberCounts = new Map<string, number>()

  private constructor(address: Address, wire: WireClient) {
    this.#address = address
    this.#wire = wire
  }

  /** Resolves when the topics are there, and everything that a new broker does at the first request for it. */
  static async connect(address: Address): Promise<VersionClient> {
    const client = new VersionClient(address, await WireClient.connect(address))
    await client.#prepare()
    return client
  }

  serves({ api, version }: VersionStep): boolean {
    const known = this.#versions.get(api.key)
    return known !== undefined && known.min <= version && version <= known.max
  }

  /** The answer without what differs by nature; a text when the broker closes the connection instead. */
  async ask({ api, version, request, unlike }: VersionStep): Promise<unknown> {
    const asked = this.#real(carried(api.request.fields, version, request), version) as object
    const groupId = 'groupId' in asked ? String(asked.groupId) : ''
    try {
      const answer: unknown = await this.#wire.send(api, version, asked)
      return this.#comparable(answer, { unlike: new Set([...alwaysUnlike, ...unlike]), groupId })
    } catch (error) {
      this.#wire.close()
      this.#wire = await WireClient.connect(this.#address)
      return `failed: ${error instanceof Error ? error.message : String(error)}`
    }
  }

  close(): void {
    this.#wire.close()
  }

  async #prepare(): Promise<void> {
    const { apiKeys } = await this.#wire.send(ApiVersions, 0, {})
    for (const { apiKey, minVersion, maxVersion } of apiKeys)
      this.#versions.set(apiKey, { min: minVersion, max: maxVersion })
    await this.#wire.send(CreateTopics, 7, { topics, timeoutMs: 10_000, validateOnly: false })
    const known = await this.#untilGood(Metadata, 12, {
      topics: topics.map(({ name }) => ({ name, topicId: zeroId })),
      allowAutoTopicCreation: false,
      includeTopicAuthorizedOperations: false,
    })
    for (const { name, topicId } of known.topics) this.#learn(`id:${String(name)}`, String(topicId))
    await this.#untilGood(FindCoordinator, 3, { key: 'any', keyType: 0 })
    await this.#untilGood(InitProducerId, 2, { transactionalId: null, transactionTimeoutMs: 1000 })
    // Enough groups for every partition of __consumer_offsets to have one: each is loaded at its first request.
    for (let index = 0; index < 30; index++) {
      const partitions = [{ partitionIndex: 0, committedOffset: 0, committedMetadata: '' }]
      const committed = [{ name: 'sweep', partitions }]
      const groupId = `prepared-${index}`
      await this.#untilGood(OffsetCommit, 8, { groupId, memberId: '', topics: committed })
    }
  }

  /** A broker that has just started refuses some requests for a moment. */
  async #untilGood<A extends AnyApi>(
    api: A,
    version: number,
    request: RequestInputOf<A>,
  ): Promise<ResponseOf<A>> {
    const deadline = performance.now() + startMsMax
    for (;;) {
      const answer = await this.#wire.send(api, version, request)
      const text = JSON.stringify(answer)
      if (!/"errorCode":(?!0\b)|"leaderId":-1/.test(text)) return answer
      if (performance.now() > deadline) throw new Error(`${api.name} still answers ${text}`)
      await pause(50)
    }
  }

  #learn(token: string, real: string): void {
    this.#realByToken.set(token, real)
    this.#tokenByReal.set(real, token)
  }

  #real(value: unknown, version: number): unknown {
    if (typeof value === 'string') {
      const text = value.replaceAll('%v', String(version))
      return this.#realByToken.get(text) ?? text
    }
    if (value instanceof Uint8Array || typeof value !== 'object' || value === null) return value
    if (Array.isArray(value)) return value.map((each) => this.#real(each, version))
    const entries = Object.entries(value).map(([key, each]) => [key, this.#real(each, version)])
    return Object.fromEntries(entries)
  }

  #comparable(
    value: unknown,
    about: { readonly unlike: ReadonlySet<string>; readonly groupId: string },
    name = '',
  ): unknown {
    if (typeof value === 'string') return this.#token(value, name, about.groupId)
    if (name === 'errorCode') return value === unknownServerError ? invalidRequest : value
    if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
    if (Array.isArray(value)) {
      const items = value.map((each) => this.#comparable(each, about, name))
      return items.toSorted((one, other) => (textOf(one) < textOf(other) ? -1 : 1))
    }
    if (typeof value !== 'object' || value === null) return value
    const entries = Object.entries(value)
      .filter(([key, each]) => !about.unlike.has(key) && each !== undefined)
      .map(([key, each]) => [key, this.#comparable(each, about, key)])
    return Object.fromEntries(entries)
  }

  #token(text: string, field: string, groupId: string): string {
    const isNew = memberFields.has(field) && madeByBroker.test(text) && !this.#tokenByReal.has(text)
    if (isNew) {
      const count = (this.#memberCounts.get(groupId) ?? 0) + 1
      this.#memberCounts.set(groupId, count)
      this.#learn(`${groupId}/${count}`, text)
    }
    return this.#tokenByReal.get(text) ?? text
  }
}

function textOf(value: unknown): string {
  return JSON.stringify(value) ?? ''
}

/** `value` without the fields that `version` does not have; what can't be null there is empty. */
function carried(fields: Fields, version: number, value: object): object {
  const entries = Object.entries(value).flatMap(([name, each]): [string, unknown][] => {
    const field = fields[name]
    if (field === undefined) throw new Error(`no field ${name}`)
    return field.isIn(version) ? [[name, carriedBy(field, version, each)]] : []
  })
  return Object.fromEntries(entries)
}

function carriedBy(field: AnyField, version: number, value: unknown): unknown {
  if (value === null && field.kind === 'array' && !field.isNullableIn(version)) return []
  if (field.fields !== undefined && typeof value === 'object' && value !== null)
    return carried(field.fields, version, value)
  const { item } = field
  if (item !== undefined && Array.isArray(value))
    return value.map((each) => carriedBy(item, version, each))
  return value
}
