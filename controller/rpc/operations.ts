/** Every operation of the controller as it travels. Numbers are never reused; a new field goes behind the old ones. */
import type { Uuid } from '../../base/uuid.ts'
import type { ListenerAddress } from '../../protocol/metadata-records/records.ts'
import type { BrokerRegistration } from '../brokers.ts'
import type { ConfigChange, ConfigReplacement } from '../configs.ts'
import type {
  AlteredPartition,
  AlterPartitionsRequest,
  AlterReassignmentsRequest,
  BrokerHeartbeat,
  ControllerLink,
  ElectedLeaders,
  ElectLeadersRequest,
  HeartbeatAnswer,
  PartitionAlteration,
  ProducerIdBlock,
  QuorumDescription,
  UpdateFeaturesRequest,
  Validation,
} from '../controller-link.ts'
import type { Outcome, Refusal } from '../outcome.ts'
import type { CreatedTopic, NewPartitions, NewTopic } from '../topics.ts'
import {
  boolean,
  errorInfo,
  id,
  integer,
  list,
  nullable,
  object,
  oneOf,
  optional,
  outcome,
  text,
  tuple,
  type Shape,
} from './shapes.ts'

export interface Operation<Arguments extends readonly unknown[], Answer> {
  readonly number: number
  readonly name: string
  readonly arguments: Shape<Arguments>
  readonly answer: Shape<Answer>
  call(controller: ControllerLink, given: Arguments): Promise<Answer>
  /** The answer when the controller can't be asked. */
  refused(refusal: Refusal, given: Arguments): Answer
  /** How long a broker waits. */
  readonly timeoutMs: number
  /** The broker that speaks, for requests that tell. */
  brokerIdOf?(given: Arguments): number
}

/** Of brokers: the next heartbeat or proposal is worth more than an old answer. */
const promptMs = 5_000
/** Of users: they wait for many partitions rather than ask again. */
const patientMs = 30_000

const one = <T>(refusal: Refusal): Outcome<T> => refusal
const forEach = <T>(
  refusal: Refusal,
  [things]: readonly [readonly unknown[], ...unknown[]],
): readonly Outcome<T>[] => things.map(() => refusal)

const nothing = outcome<object>({})
const nameAndValue = object<{ readonly name: string; readonly value: string | null }>({
  name: text,
  value: nullable(text),
})
const validation = object<Validation>({ validateOnly: boolean })

const registration = object<BrokerRegistration>({
  brokerId: integer,
  incarnation: id,
  listeners: list(
    object<ListenerAddress>({
      name: text,
      host: text,
      port: integer,
      securityProtocol: oneOf(['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL']),
    }),
  ),
  rack: nullable(text),
  host: text,
  previousEpoch: optional(integer),
  clusterId: optional(text),
  stoppedCleanly: optional(boolean),
})

const registerBroker: Operation<[BrokerRegistration], Outcome<{ readonly epoch: number }>> = {
  number: 1,
  name: 'registerBroker',
  arguments: tuple(registration),
  answer: outcome({ epoch: integer }),
  call: (controller, [request]) => controller.registerBroker(request),
  refused: one,
  timeoutMs: promptMs,
  brokerIdOf: ([request]) => request.brokerId,
}

const heartbeat: Operation<[BrokerHeartbeat], Outcome<HeartbeatAnswer>> = {
  number: 2,
  name: 'heartbeat',
  arguments: tuple(
    object<BrokerHeartbeat>({
      brokerId: integer,
      brokerEpoch: integer,
      appliedOffset: integer,
      wantFence: boolean,
      wantShutdown: boolean,
      offline: optional(list(object({ topicId: id, index: integer }))),
    }),
  ),
  answer: outcome<HeartbeatAnswer>({
    isFenced: boolean,
    isCaughtUp: boolean,
    shouldShutdown: boolean,
    suspended: boolean,
  }),
  call: (controller, [request]) => controller.heartbeat(request),
  refused: one,
  timeoutMs: promptMs,
  brokerIdOf: ([request]) => request.brokerId,
}

const alterPartitions: Operation<
  [AlterPartitionsRequest],
  Outcome<{ readonly results: readonly Outcome<AlteredPartition>[] }>
> = {
  number: 3,
  name: 'alterPartitions',
  arguments: tuple(
    object<AlterPartitionsRequest>({
      brokerId: integer,
      brokerEpoch: integer,
      partitions: list(
        object<PartitionAlteration>({
          topicId: id,
          index: integer,
          leaderEpoch: integer,
          partitionEpoch: integer,
          isr: list(object({ brokerId: integer, brokerEpoch: integer })),
          recovering: boolean,
        }),
      ),
    }),
  ),
  answer: outcome({
    results: list(
      outcome<AlteredPartition>({
        leader: integer,
        leaderEpoch: integer,
        isr: list(integer),
        recovering: boolean,
        partitionEpoch: integer,
      }),
    ),
  }),
  call: (controller, [request]) => controller.alterPartitions(request),
  refused: one,
  timeoutMs: promptMs,
  brokerIdOf: ([request]) => request.brokerId,
}

const allocateProducerIds: Operation<[number], Outcome<ProducerIdBlock>> = {
  number: 4,
  name: 'allocateProducerIds',
  arguments: tuple(integer),
  answer: outcome<ProducerIdBlock>({ first: integer, count: integer }),
  call: (controller, [brokerId]) => controller.allocateProducerIds(brokerId),
  refused: one,
  timeoutMs: promptMs,
  brokerIdOf: ([brokerId]) => brokerId,
}

const createTopics: Operation<[readonly NewTopic[], Validation], readonly Outcome<CreatedTopic>[]> =
  {
    number: 5,
    name: 'createTopics',
    arguments: tuple(
      list(
        object<NewTopic>({
          name: text,
          partitionCount: integer,
          replicationFactor: integer,
          assignments: list(object({ partitionIndex: integer, brokerIds: list(integer) })),
          configs: list(nameAndValue),
        }),
      ),
      validation,
    ),
    answer: list(
      outcome<CreatedTopic>({ id, partitionCount: integer, replicationFactor: integer }),
    ),
    call: (controller, [topics, options]) => controller.createTopics(topics, options),
    refused: forEach,
    timeoutMs: patientMs,
  }

const deleteTopics: Operation<[readonly Uuid[]], readonly Outcome<object>[]> = {
  number: 6,
  name: 'deleteTopics',
  arguments: tuple(list(id)),
  answer: list(nothing),
  call: (controller, [ids]) => controller.deleteTopics(ids),
  refused: forEach,
  timeoutMs: patientMs,
}

const createPartitions: Operation<
  [readonly NewPartitions[], Validation],
  readonly Outcome<object>[]
> = {
  number: 7,
  name: 'createPartitions',
  arguments: tuple(
    list(
      object<NewPartitions>({
        topic: text,
        count: integer,
        assignments: nullable(list(list(integer))),
      }),
    ),
    validation,
  ),
  answer: list(nothing),
  call: (controller, [requests, options]) => controller.createPartitions(requests, options),
  refused: forEach,
  timeoutMs: patientMs,
}

const alterConfigs: Operation<
  [readonly ConfigReplacement[], Validation],
  readonly Outcome<object>[]
> = {
  number: 8,
  name: 'alterConfigs',
  arguments: tuple(
    list(
      object<ConfigReplacement>({
        resourceType: integer,
        resource: text,
        configs: list(nameAndValue),
      }),
    ),
    validation,
  ),
  answer: list(nothing),
  call: (controller, [replacements, options]) => controller.alterConfigs(replacements, options),
  refused: forEach,
  timeoutMs: patientMs,
}

const incrementalAlterConfigs: Operation<
  [readonly ConfigChange[], Validation],
  readonly Outcome<object>[]
> = {
  number: 9,
  name: 'incrementalAlterConfigs',
  arguments: tuple(
    list(
      object<ConfigChange>({
        resourceType: integer,
        resource: text,
        operations: list(object({ name: text, operation: integer, value: nullable(text) })),
      }),
    ),
    validation,
  ),
  answer: list(nothing),
  call: (controller, [changes, options]) => controller.incrementalAlterConfigs(changes, options),
  refused: forEach,
  timeoutMs: patientMs,
}

const electLeaders: Operation<[ElectLeadersRequest], Outcome<ElectedLeaders>> = {
  number: 10,
  name: 'electLeaders',
  arguments: tuple(
    object<ElectLeadersRequest>({
      type: oneOf(['preferred', 'unclean']),
      partitions: nullable(list(object({ topic: text, index: integer }))),
    }),
  ),
  answer: outcome<ElectedLeaders>({
    results: list(
      object({ topic: text, index: integer, error: errorInfo, message: nullable(text) }),
    ),
  }),
  call: (controller, [request]) => controller.electLeaders(request),
  refused: one,
  timeoutMs: patientMs,
}

const alterReassignments: Operation<
  [AlterReassignmentsRequest],
  Outcome<{ readonly results: readonly Outcome<object>[] }>
> = {
  number: 11,
  name: 'alterReassignments',
  arguments: tuple(
    object<AlterReassignmentsRequest>({
      allowReplicationFactorChange: boolean,
      partitions: list(object({ topic: text, index: integer, replicas: nullable(list(integer)) })),
    }),
  ),
  answer: outcome({ results: list(nothing) }),
  call: (controller, [request]) => controller.alterReassignments(request),
  refused: one,
  timeoutMs: patientMs,
}

const unregisterBroker: Operation<[number], Outcome<object>> = {
  number: 12,
  name: 'unregisterBroker',
  arguments: tuple(integer),
  answer: nothing,
  call: (controller, [brokerId]) => controller.unregisterBroker(brokerId),
  refused: one,
  timeoutMs: patientMs,
}

const updateFeatures: Operation<[UpdateFeaturesRequest], Outcome<object>> = {
  number: 13,
  name: 'updateFeatures',
  arguments: tuple(
    object<UpdateFeaturesRequest>({
      validateOnly: boolean,
      updates: list(
        object({
          name: text,
          level: integer,
          type: oneOf(['upgrade', 'safeDowngrade', 'unsafeDowngrade']),
        }),
      ),
    }),
  ),
  answer: nothing,
  call: (controller, [request]) => controller.updateFeatures(request),
  refused: one,
  timeoutMs: patientMs,
}

const describeQuorum: Operation<[], Outcome<QuorumDescription>> = {
  number: 14,
  name: 'describeQuorum',
  arguments: tuple(),
  answer: outcome<QuorumDescription>({
    controllerId: integer,
    controllerEpoch: integer,
    offset: integer,
    observers: list(
      object({
        brokerId: integer,
        appliedOffset: integer,
        lastFetchMs: integer,
        lastCaughtUpMs: integer,
      }),
    ),
  }),
  call: (controller) => controller.describeQuorum(),
  refused: one,
  timeoutMs: promptMs,
}

export const operations = {
  registerBroker,
  heartbeat,
  alterPartitions,
  allocateProducerIds,
  createTopics,
  deleteTopics,
  createPartitions,
  alterConfigs,
  incrementalAlterConfigs,
  electLeaders,
  alterReassignments,
  unregisterBroker,
  updateFeatures,
  describeQuorum,
} as const

/** As the server sees them: what it decodes, it hands on. */
export type AnyOperation = Operation<readonly unknown[], unknown>

export const operationsByNumber: ReadonlyMap<number, AnyOperation> = new Map(
  Object.values(operations).map((operation) => [
    operation.number,
    operation as unknown as AnyOperation,
  ]),
)
