/**
 * Random requests that a broker would mostly accept: by the schema's kinds, and by field names for
 * what a field means. Mutators then spoil them.
 */
import type { Field, Fields } from '../../protocol/schema/field.ts'
import type { Random } from '../clients/random.ts'

type AnyField = Field<any, any, any, any>

/** What the requests are about: topics that the fuzzer owns, never the honest client's. */
export interface World {
  readonly topics: readonly string[]
  /** Ids by topic; as they were when the run began. */
  readonly topicIds: readonly string[]
  /** A record batch or something like it. */
  records(random: Random): Buffer | null
}

const configNames = [
  'retention.ms',
  'retention.bytes',
  'segment.bytes',
  'cleanup.policy',
  'max.message.bytes',
  'compression.type',
  'message.timestamp.type',
  'no.such.config',
] as const
const protocolNames = ['range', 'range', 'cooperative-sticky'] as const
const configValues = ['-1', '1048576', '604800000', 'compact', 'delete', 'lz4', 'x', ''] as const

type Generator = (random: Random, world: World) => unknown

const small: Generator = (random) => random.below(3)
const minusOne: Generator = (random) => (random.chance(0.9) ? -1 : random.below(3) - 1)
const topicName: Generator = (random, world) => random.pick(world.topics)
const groupName: Generator = (random) => random.pick(['fuzz-group', 'fuzz-group-2', 'fuzz-group-3'])
const orNull =
  (generator: Generator, nullChance: number): Generator =>
  (random, world) =>
    random.chance(nullChance) ? null : generator(random, world)
/** Of no member, most of the time. */
const epoch: Generator = (random) => random.pick([-1, -1, -1, 0, 1, 2])
const instance: Generator = orNull(() => 'fuzz-instance', 0.7)
/** Kafka's subscription, version 0, and an assignment, which looks the same but for its partitions. */
const subscription: Generator = (random, world) => {
  const name = Buffer.from(random.pick(world.topics))
  const head = Buffer.from([0, 0, 0, 0, 0, 1, 0, name.length])
  return Buffer.concat([head, name, Buffer.from([255, 255, 255, 255])])
}
const assignment: Generator = (random, world) => {
  const name = Buffer.from(random.pick(world.topics))
  const head = Buffer.from([0, 0, 0, 0, 0, 1, 0, name.length])
  const partitions = [0, 0, 0, 1, 0, 0, 0, random.below(3)]
  return Buffer.concat([head, name, Buffer.from(partitions), Buffer.from([255, 255, 255, 255])])
}
const milliseconds: Generator = (random) => random.below(20)

/** By field name; what is missing here follows its kind. */
const byName: Readonly<Record<string, Generator>> = {
  topic: topicName,
  topicName: (random, world) =>
    random.chance(0.2) ? '__cluster_metadata' : random.pick(world.topics),
  resourceName: (random, world) => (random.chance(0.9) ? random.pick(world.topics) : '1'),
  topicId: (random, world) => random.pick(world.topicIds),
  partition: small,
  partitionIndex: small,
  partitionIndexes: small,
  index: small,
  partitions: small,
  replicaId: minusOne,
  acks: (random) => random.pick([-1, -1, -1, 1, 1, 0]),
  currentLeaderEpoch: minusOne,
  leaderEpoch: (random) => random.below(2),
  lastFetchedEpoch: minusOne,
  fetchOffset: (random) => random.below(50),
  logStartOffset: minusOne,
  offset: (random) => random.below(50),
  partitionMaxBytes: () => 65_536,
  maxBytes: () => 262_144,
  minBytes: (random) => random.below(2),
  maxWaitMs: milliseconds,
  timeoutMs: () => 1000,
  sessionId: () => 0,
  sessionEpoch: (random) => (random.chance(0.7) ? -1 : 0),
  isolationLevel: (random) => random.below(2),
  timestamp: (random) => random.pick([-1, -2, -3, -4, -5, 0, 1_700_000_000_000]),
  transactionalId: (random) => (random.chance(0.95) ? null : 'fuzz'),
  transactionTimeoutMs: () => 60_000,
  producerId: (random) => (random.chance(0.8) ? -1 : random.below(4000)),
  producerEpoch: minusOne,
  numPartitions: (random) => random.pick([-1, 1, 2, 3]),
  count: (random) => random.pick([1, 2, 3, 4]),
  replicationFactor: (random) => random.pick([-1, 1]),
  // A broker's own configs (4) would spoil the honest client's day by right.
  resourceType: () => 2,
  configName: (random) => random.pick(configNames),
  configurationKeys: (random) => random.pick(configNames),
  value: (random) => (random.chance(0.9) ? random.pick(configValues) : null),
  configOperation: (random) => random.below(4),
  validateOnly: (random) => random.chance(0.7),
  keyType: small,
  key: groupName,
  coordinatorKeys: groupName,
  groupId: groupName,
  groupIds: groupName,
  groups: groupName,
  groupsNames: groupName,
  memberId: (random) => random.pick(['', '', '', 'fuzz-member', 'fuzz-member-2']),
  groupInstanceId: instance,
  instanceId: instance,
  memberEpoch: (random) => random.pick([0, 0, 0, 0, -1, -2, 1]),
  generationId: epoch,
  generationIdOrMemberEpoch: epoch,
  sessionTimeoutMs: () => 10_000,
  // -1: as it was.
  rebalanceTimeoutMs: (random) => random.pick([1000, 60_000, 60_000, -1]),
  serverAssignor: orNull((random) => random.pick(['uniform', 'range', 'none']), 0.7),
  subscribedTopicNames: topicName,
  subscribedTopicRegex: orNull((random) => random.pick(['fuzz.*', '.*', '(', '']), 0.7),
  rackId: orNull(() => 'rack', 0.8),
  protocolType: (random) => random.pick(['consumer', 'consumer', 'consumer', 'connect']),
  protocolName: (random) => random.pick(['range', 'range', 'sticky']),
  metadata: subscription,
  assignment,
  committedOffset: (random) => random.below(50),
  committedLeaderEpoch: minusOne,
  committedMetadata: orNull(() => 'fuzz', 0.5),
  retentionTimeMs: minusOne,
  clientSoftwareName: () => 'fuzz',
  clientSoftwareVersion: () => '1.0',
}

/** Lists that make a request invalid when filled at random. */
const alwaysEmpty = new Set(['assignments', 'forgottenTopicsData'])

/** A message with a value for every field that the version carries. */
export function randomMessage(
  fields: Fields,
  version: number,
  random: Random,
  world: World,
  parent = '',
): Record<string, unknown> {
  const message: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(fields)) {
    if (!field.isIn(version)) continue
    if (field.isTagged && random.chance(0.8)) continue
    message[name] = randomValue(name, field, version, random, world, parent)
  }
  return message
}

function randomValue(
  name: string,
  field: AnyField,
  version: number,
  random: Random,
  world: World,
  parent: string,
): unknown {
  if (field.kind === 'array') {
    if (alwaysEmpty.has(name)) return []
    if (field.isNullableIn(version) && random.chance(0.1)) return null
    const count = random.pick([0, 1, 1, 1, 2, 3])
    return Array.from({ length: count }, () =>
      randomValue(name, field.item!, version, random, world, parent),
    )
  }
  if (field.kind === 'struct') {
    if (field.isNullableIn(version) && random.chance(0.5)) return null
    return randomMessage(field.fields!, version, random, world, name)
  }
  if (field.kind === 'records') return world.records(random)
  // "name" is a topic's, except inside lists of configs and of protocols of a group.
  if (name === 'name') {
    if (parent === 'configs') return random.pick(configNames)
    return parent === 'protocols' ? random.pick(protocolNames) : topicName(random, world)
  }
  const generator = byName[name]
  const value = generator === undefined ? byKind(field, random) : generator(random, world)
  if (value === null && !field.isNullableIn(version)) return byKind(field, random)
  return value
}

function byKind({ kind }: AnyField, random: Random): unknown {
  if (kind === 'bool') return random.chance(0.5)
  if (kind === 'uuid') return '00000000000000000000000000000000'
  if (kind === 'string') return random.pick(['', 'fuzz', 'a'.repeat(random.below(300))])
  if (kind === 'bytes') return Buffer.alloc(random.below(40))
  return random.below(4)
}
