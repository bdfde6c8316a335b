import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { Fetch } from '../../protocol/messages/fetch.ts'
import { topicNameLengthMax } from '../../protocol/topic-name.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import { CurrentLeaders, type CurrentLeader } from './current-leaders.ts'
import { DelayedFetch } from './delayed-fetch.ts'
import {
  countThrottled,
  findPartition,
  readPartitions,
  type FetchLimits,
  type FetchRead,
  type PartitionAnswer,
  type Reader,
} from './fetch-read.ts'
import {
  fetchKey,
  finalEpoch,
  FetchSession,
  initialEpoch,
  noSession,
  type FetchPartition,
} from './fetch-session.ts'
import type { BrokerServices, Handler, RequestContext } from './handler.ts'
import { isIsolationLevel, readCommitted } from './isolation.ts'

type FetchRequest = RequestOf<typeof Fetch>
type FetchResponse = ResponseInputOf<typeof Fetch>
type PartitionResponse = FetchResponse['responses'][number]['partitions'][number]

const firstVersionWithTopicIds = 13
const firstVersionWithStorageError = 6
const firstVersionWithRack = 11
const firstVersionWithReplicaState = 15
const firstVersionWithEndpoints = 16
const consumerId = -1
const nobody = -1

/** What one request fetches: everything that it names, or what its session holds. */
interface FetchContext {
  readonly session: FetchSession | undefined
  /** Only changes are answered (every request of a session but the first). */
  readonly incremental: boolean
  readonly partitions: ReadonlyMap<string, FetchPartition>
}

/** Reads record batches. KIP-74 (sizes), KIP-227 (sessions), KIP-320 (epochs), KIP-516 (topic ids). */
export const handler: Handler<typeof Fetch> = {
  api: Fetch,
  handle(request, context) {
    if (namesTooLong(request)) return failed(errors.invalidRequest)
    if (!isIsolationLevel(request.isolationLevel)) return refusedAll(request, context.version)
    const found = openContext(request, context)
    if ('code' in found) return failed(found)
    const fetch = new FetchInProgress(request, context, found)
    const warming = fetch.warm()
    return warming === undefined ? fetch.run() : warming.then(() => fetch.run())
  },
}

class FetchInProgress {
  readonly #request: FetchRequest
  readonly #context: RequestContext
  readonly #fetch: FetchContext
  readonly #limits: FetchLimits

  constructor(request: FetchRequest, context: RequestContext, fetch: FetchContext) {
    this.#request = request
    this.#context = context
    this.#fetch = fetch
    this.#limits = {
      bytesMax: Math.min(request.maxBytes, context.broker.config.fetchMaxBytes),
      usesTopicIds: context.version >= firstVersionWithTopicIds,
      reader: readerOf(request, context),
    }
  }

  /** Brings cold data into memory before it is read, off the event loop; undefined when all is hot. */
  warm(): Promise<unknown> | undefined {
    const waits: Promise<void>[] = []
    let bytesLeft = this.#limits.bytesMax
    for (const wanted of this.#fetch.partitions.values()) {
      if (bytesLeft <= 0) break
      if (wanted.found?.log.nextOffset === wanted.fetchOffset) continue
      const partition = findPartition(this.#context.broker, wanted, this.#limits)
      if ('code' in partition) continue
      const bytes = Math.min(bytesLeft, wanted.partitionMaxBytes)
      const wait = partition.log.warmed(wanted.fetchOffset, bytes)
      if (wait === undefined) continue
      waits.push(wait)
      bytesLeft -= bytes
    }
    return waits.length === 0 ? undefined : Promise.all(waits)
  }

  /** Undefined when the client left while cold data was brought in: nobody would tell a parked fetch any more. */
  run(): FetchResponse | undefined | Promise<FetchResponse | undefined> {
    const { broker, connection } = this.#context
    if (connection.closed) return undefined
    const read = this.#read({ isFirst: true })
    const { maxWaitMs, minBytes } = this.#request
    const bytesMin = Math.min(minBytes, this.#limits.bytesMax)
    const isEmpty = read.answers.length === 0 && read.quiet.length === 0
    if (maxWaitMs <= 0 || read.urgent || read.bytes >= bytesMin || isEmpty) {
      return this.#answer(read)
    }
    const watched = read.answers.flatMap((answer) => {
      const partition = findPartition(broker, answer.wanted, this.#limits)
      return 'code' in partition ? [] : [partition]
    })
    const delayed = new DelayedFetch({
      bytesMin,
      read: () => this.#read({ isFirst: false }),
      first: read,
      partitions: watched.concat(read.quiet),
      timers: broker.env.timers,
      what: this.#waitsFor(),
    })
    return delayed
      .wait(broker.deadlines, maxWaitMs, connection)
      .then((result) => (result === undefined ? undefined : this.#answer(result)))
  }

  #read({ isFirst }: { readonly isFirst: boolean }): FetchRead {
    const limits = this.#limits
    const read = readPartitions(this.#context.broker, this.#fetch.partitions.values(), {
      limits,
      isFirst,
    })
    return this.#mustTellFollower(read) ? { ...read, urgent: true } : read
  }

  #waitsFor(): ('committed' | 'written')[] {
    if (this.#limits.reader.kind !== 'follower') return ['committed']
    return this.#servesConsumersElsewhere ? ['written', 'committed'] : ['written']
  }

  /**
   * Who deletes records waits until its followers know, and consumers that read from a follower see what is committed
   * only when it was told so (KIP-392, KAFKA-9731). Beyond its own end it can do nothing with that.
   */
  #mustTellFollower({ answers }: FetchRead): boolean {
    // Without a session nobody knows what it was told: it would be answered at once, for ever.
    if (this.#limits.reader.kind !== 'follower' || this.#fetch.session === undefined) return false
    return answers.some(({ wanted, highWatermark, logStartOffset }) => {
      const usable = this.#servesConsumersElsewhere
        ? Math.min(highWatermark, wanted.fetchOffset)
        : 0
      return wanted.toldHighWatermark < usable || wanted.toldLogStartOffset < logStartOffset
    })
  }

  get #servesConsumersElsewhere(): boolean {
    return this.#context.broker.config.replicaSelectorClass !== undefined
  }

  #answer(read: FetchRead): FetchResponse {
    const { session, incremental } = this.#fetch
    const { broker, version, connection } = this.#context
    const leaders = new CurrentLeaders(broker.image, connection.listenerName)
    const tellsLeaders = version >= firstVersionWithEndpoints
    countThrottled(this.#context.broker, read, this.#limits.reader)
    const responses = new Map<
      string,
      FetchResponse['responses'][number] & { partitions: unknown[] }
    >()
    for (const answer of read.answers) {
      if (session !== undefined && !this.#note(session, answer) && incremental) continue
      const { topic, topicId } = answer.wanted
      const key = this.#limits.usesTopicIds ? topicId : topic
      const group = responses.get(key) ?? { topic, topicId, partitions: [] }
      responses.set(key, group)
      const { wanted } = answer
      const error = errorFor(version, answer.error)
      const leader = tellsLeaders ? leaders.of(wanted.topic, wanted.partition, error) : undefined
      group.partitions.push(toResponse(answer, error, leader))
    }
    return {
      throttleTimeMs: 0,
      errorCode: errors.none.code,
      sessionId: session?.id ?? noSession,
      responses: [...responses.values()],
      nodeEndpoints: leaders.endpoints,
    }
  }

  /** Remembers what the client is told now; false when it knows all of it already. */
  #note(session: FetchSession, answer: PartitionAnswer): boolean {
    const { wanted } = answer
    const gaveData = answer.payload !== undefined
    const changed =
      gaveData ||
      answer.error !== errors.none ||
      answer.divergingEpoch !== undefined ||
      answer.preferredReadReplica !== nobody ||
      wanted.toldHighWatermark !== answer.highWatermark ||
      wanted.toldLogStartOffset !== answer.logStartOffset
    if (!changed) return false
    // After an error the next good answer must be told in full.
    wanted.toldHighWatermark = answer.error === errors.none ? answer.highWatermark : -1
    wanted.toldLogStartOffset = answer.logStartOffset
    if (gaveData) {
      const { topic, topicId, partition } = wanted
      session.moveToEnd(fetchKey(session.usesTopicIds, topic, topicId, partition), wanted)
    }
    return true
  }
}

/**
 * No topic has such a name. Its key would be made for every partition, which is gigabytes for a request of some megabytes,
 * and V8 gives all strings of more than 16,383 characters that are equally long the same hash.
 */
function namesTooLong({ topics, forgottenTopicsData }: FetchRequest): boolean {
  const isTooLong = ({ topic }: { readonly topic: string }): boolean =>
    topic.length > topicNameLengthMax
  return topics.some(isTooLong) || forgottenTopicsData.some(isTooLong)
}

/** Numbers of brokers are not negative; -2 is a tool that reads any replica as a consumer does. */
function readerOf(request: FetchRequest, { broker, version, connection }: RequestContext): Reader {
  const { replicaId, replicaEpoch } =
    version >= firstVersionWithReplicaState
      ? (request.replicaState ?? { replicaId: consumerId, replicaEpoch: nobody })
      : { replicaId: request.replicaId, replicaEpoch: nobody }
  if (replicaId >= 0)
    return { kind: 'follower', brokerId: replicaId, brokerEpoch: replicaEpoch, connection }
  const selects = broker.config.replicaSelectorClass !== undefined
  return {
    kind: 'consumer',
    readCommitted: request.isolationLevel === readCommitted,
    rack: selects && version >= firstVersionWithRack ? request.rackId : '',
    leaderOnly: replicaId === consumerId && version < firstVersionWithRack,
  }
}

/** Clients of that time take an error that they do not know for final. This one they follow up with a look for the leader. */
function errorFor(version: number, error: ErrorInfo): ErrorInfo {
  const isUnknown = version < firstVersionWithStorageError && error === errors.kafkaStorageError
  return isUnknown ? errors.notLeaderOrFollower : error
}

/** A broker that is known: other numbers anybody could invent. */
function isFollower(request: FetchRequest, context: RequestContext): boolean {
  const reader = readerOf(request, context)
  return reader.kind === 'follower' && context.broker.image.brokers.has(reader.brokerId)
}

function openContext(request: FetchRequest, context: RequestContext): FetchContext | ErrorInfo {
  const { broker } = context
  const usesTopicIds = context.version >= firstVersionWithTopicIds
  const sessions = broker.fetchSessions
  const nowMs = broker.env.clock.monotonicMs()
  const { sessionId, sessionEpoch } = request
  if (sessionEpoch === initialEpoch || sessionEpoch === finalEpoch) {
    if (sessionId !== noSession) sessions.remove(sessionId)
    const partitions = namedPartitions(request, broker, usesTopicIds)
    if (sessionEpoch === finalEpoch || partitions.size === 0) {
      return { session: undefined, incremental: false, partitions }
    }
    const isFollowers = isFollower(request, context)
    const session = sessions.create({ usesTopicIds, isFollowers, nowMs })
    for (const [key, partition] of partitions) session?.add(key, partition)
    if (session === undefined || sessions.makeRoomFor(session, nowMs))
      return { session, incremental: false, partitions }
    sessions.remove(session.id)
    return { session: undefined, incremental: false, partitions }
  }
  const session = sessions.find(sessionId, sessionEpoch, usesTopicIds)
  if (!(session instanceof FetchSession)) return session
  changeSession(session, request, broker)
  if (!sessions.makeRoomFor(session, nowMs)) {
    sessions.remove(session.id)
    return errors.fetchSessionIdNotFound
  }
  if (session.partitions.size === 0) {
    sessions.remove(session.id)
    return { session: undefined, incremental: false, partitions: new Map() }
  }
  session.advanceEpoch()
  sessions.touch(session, nowMs)
  return { session, incremental: true, partitions: session.partitions }
}

function changeSession(session: FetchSession, request: FetchRequest, broker: BrokerServices): void {
  for (const [key, partition] of namedPartitions(request, broker, session.usesTopicIds)) {
    const known = session.partitions.get(key)
    if (known === undefined) session.add(key, partition)
    else {
      const {
        currentLeaderEpoch,
        fetchOffset,
        lastFetchedEpoch,
        logStartOffset,
        partitionMaxBytes,
      } = partition
      Object.assign(known, {
        currentLeaderEpoch,
        fetchOffset,
        lastFetchedEpoch,
        logStartOffset,
        partitionMaxBytes,
        found: undefined,
      })
    }
  }
  for (const { topic, topicId, partitions } of request.forgottenTopicsData) {
    for (const index of partitions) {
      session.forget(fetchKey(session.usesTopicIds, topic, topicId, index))
    }
  }
}

function namedPartitions(
  request: FetchRequest,
  broker: BrokerServices,
  usesTopicIds: boolean,
): Map<string, FetchPartition> {
  const named = new Map<string, FetchPartition>()
  for (const { topic, topicId, partitions } of request.topics) {
    const name = usesTopicIds ? (broker.image.topicsById.get(topicId)?.name ?? '') : topic
    for (const each of partitions) {
      named.set(fetchKey(usesTopicIds, topic, topicId, each.partition), {
        topic: name,
        topicId,
        partition: each.partition,
        currentLeaderEpoch: each.currentLeaderEpoch,
        fetchOffset: each.fetchOffset,
        lastFetchedEpoch: each.lastFetchedEpoch,
        logStartOffset: each.logStartOffset,
        partitionMaxBytes: each.partitionMaxBytes,
        toldHighWatermark: -1,
        toldLogStartOffset: -1,
      })
    }
  }
  return named
}

const noRecords = Buffer.alloc(0)

function toResponse(
  answer: PartitionAnswer,
  error: ErrorInfo,
  currentLeader: CurrentLeader | undefined,
): PartitionResponse {
  return {
    partitionIndex: answer.wanted.partition,
    errorCode: error.code,
    highWatermark: answer.highWatermark,
    lastStableOffset: answer.lastStableOffset,
    logStartOffset: answer.logStartOffset,
    divergingEpoch: answer.divergingEpoch,
    currentLeader,
    abortedTransactions: answer.abortedTransactions,
    preferredReadReplica: answer.preferredReadReplica,
    // Never null: librdkafka takes that for a broken response.
    records: answer.payload ?? noRecords,
  }
}

/** Up to version 6 an answer has no error of its own; from 13 on Kafka names no partitions beside it. */
function refusedAll({ topics }: FetchRequest, version: number): FetchResponse {
  const refused = (partitionIndex: number): PartitionResponse => ({
    partitionIndex,
    errorCode: errors.invalidRequest.code,
    highWatermark: -1,
    abortedTransactions: [],
    records: noRecords,
  })
  const responses = topics.map(({ topic, topicId, partitions }) => ({
    topic,
    topicId,
    partitions: partitions.map(({ partition }) => refused(partition)),
  }))
  const usesTopicIds = version >= firstVersionWithTopicIds
  return { ...failed(errors.invalidRequest), responses: usesTopicIds ? [] : responses }
}

function failed(error: ErrorInfo): FetchResponse {
  return { throttleTimeMs: 0, errorCode: error.code, sessionId: noSession, responses: [] }
}
