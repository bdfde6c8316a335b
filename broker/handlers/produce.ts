import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { Produce } from '../../protocol/messages/produce.ts'
import {
  batchHeaderBytes,
  compressionOf,
  isTransactional,
  readBatchHeader,
} from '../../protocol/records/batch.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import type { AppendResult } from '../log/append-result.ts'
import type { Partition } from '../replica/partition.ts'
import { CurrentLeaders } from './current-leaders.ts'
import type { Handler, RequestContext } from './handler.ts'

type ProduceRequest = RequestOf<typeof Produce>
type ProduceResponse = ResponseInputOf<typeof Produce>
type PartitionData = ProduceRequest['topicData'][number]['partitionData'][number]
type PartitionResponse = ProduceResponse['responses'][number]['partitionResponses'][number]
type Answer = { -readonly [Key in keyof PartitionResponse]: PartitionResponse[Key] }

const allInSyncReplicas = -1
const nobody = 0
const firstVersionWithTopicIds = 13
const firstVersionWithZstd = 7
const firstVersionWithLeaders = 10
const unknownOffset = -1

/** Beside these Kafka tells nothing of the log (`ReplicaManager.appendToLocalLog`). */
const saysNothing: ReadonlySet<ErrorInfo> = new Set([
  errors.corruptMessage,
  errors.messageTooLarge,
  errors.recordListTooLarge,
  errors.kafkaStorageError,
])

/** Appends record batches. KIP-98 (idempotence), KIP-467 (errors per record), KIP-516 (topic ids). */
export const handler: Handler<typeof Produce> = {
  api: Produce,
  handle(request, context) {
    const produce = new ProduceInProgress(request, context)
    const response = produce.append()
    if (request.acks === nobody) {
      const failure = produce.firstFailure
      if (failure !== undefined)
        context.connection.close(`a produce request with acks=0 failed: ${failure}`)
      return undefined
    }
    const committed = produce.whenCommitted()
    return committed === undefined
      ? produce.complete(response)
      : committed.then(() => produce.complete(response))
  },
}

/** A partition that was refused, as its error may have come from being at the wrong broker. */
interface Refused {
  readonly topic: string
  readonly answer: Answer
  readonly error: ErrorInfo
}

interface Pending {
  readonly partition: Partition
  readonly answer: Answer
  readonly committed: Promise<ErrorInfo | undefined>
  done: boolean
}

class ProduceInProgress {
  readonly #request: ProduceRequest
  readonly #context: RequestContext
  readonly #pending: Pending[] = []
  readonly #refused: Refused[] = []
  firstFailure: string | undefined

  constructor(request: ProduceRequest, context: RequestContext) {
    this.#request = request
    this.#context = context
  }

  /** Phase 1: everything is in the logs, in the order of the requests, when this returns. */
  append(): ProduceResponse {
    const { broker, version } = this.#context
    const responses = this.#request.topicData.map(({ name, topicId, partitionData }) => {
      const topic =
        version >= firstVersionWithTopicIds
          ? broker.image.topicsById.get(topicId)
          : broker.image.topicsByName.get(name)
      const partitionResponses = partitionData.map((data) => this.#appendTo(topic?.name, data))
      return { name, topicId, partitionResponses }
    })
    return { responses, throttleTimeMs: 0 }
  }

  /** Phase 2: resolves when every answer is final. Undefined when they are already. */
  whenCommitted(): Promise<void> | undefined {
    if (this.#pending.length === 0) return undefined
    return new Promise((resolve) => {
      let left = this.#pending.length
      const timer = this.#context.broker.deadlines.after(this.#request.timeoutMs, () => {
        for (const { done, answer, partition, committed } of this.#pending) {
          if (done) continue
          refuse(answer, errors.requestTimedOut)
          partition.abandon(committed)
        }
        resolve()
      })
      for (const each of this.#pending) {
        void each.committed.then((error) => {
          each.done = true
          if (error !== undefined) {
            refuse(each.answer, error)
            this.#refused.push({ topic: each.partition.topic, answer: each.answer, error })
          }
          if (--left > 0) return
          timer.cancel()
          resolve()
        })
      }
    })
  }

  /** Phase 3: who came to the wrong broker is told the right one. */
  complete(response: ProduceResponse): ProduceResponse {
    const { broker, version, connection } = this.#context
    if (this.#refused.length === 0 || version < firstVersionWithLeaders) return response
    const leaders = new CurrentLeaders(broker.image, connection.listenerName)
    for (const { topic, answer, error } of this.#refused) {
      answer.currentLeader = leaders.of(topic, answer.index, error)
    }
    return { ...response, nodeEndpoints: leaders.endpoints }
  }

  #appendTo(topic: string | undefined, data: PartitionData): Answer {
    const { broker } = this.#context
    const partition = topic === undefined ? undefined : broker.partitions.get(topic, data.index)
    const refusal = this.#refusal(topic, partition, data)
    if (refusal !== undefined || partition === undefined || data.records === null) {
      const error = refusal ?? errors.unknownTopicOrPartition
      const answer = this.#failed(data.index, error, undefined)
      if (topic !== undefined) this.#refused.push({ topic, answer, error })
      return answer
    }
    const result = partition.append(data.records, 'client')
    if (!result.ok) return this.#failed(data.index, result.error, result)
    const answer: Answer = {
      index: data.index,
      errorCode: errors.none.code,
      baseOffset: result.baseOffset,
      logAppendTimeMs: result.logAppendTimeMs,
      logStartOffset: result.logStartOffset,
      recordErrors: [],
      errorMessage: null,
    }
    if (this.#request.acks === allInSyncReplicas) {
      const committed = partition.whenCommitted(result.nextOffset)
      if (committed !== undefined) this.#pending.push({ partition, answer, committed, done: false })
    }
    return answer
  }

  /** What speaks against appending, before the batch itself is looked at. */
  #refusal(
    topic: string | undefined,
    partition: Partition | undefined,
    data: PartitionData,
  ): ErrorInfo | undefined {
    const { broker, version, clientId } = this.#context
    const { acks } = this.#request
    if (acks < -1 || acks > 1) return errors.invalidRequiredAcks
    if (topic === undefined) {
      return version >= firstVersionWithTopicIds
        ? errors.unknownTopicId
        : errors.unknownTopicOrPartition
    }
    if (partition === undefined) return broker.partitions.whyMissing(topic, data.index)
    if (partition.mayBeDeposed) return errors.notLeaderOrFollower
    if (broker.image.topicsByName.get(topic)?.internal === true && clientId !== '__admin_client') {
      return errors.invalidTopicException
    }
    if (acks === allInSyncReplicas && partition.isUnderMinIsr) return errors.notEnoughReplicas
    const { records } = data
    if (records === null || records.length < batchHeaderBytes) return errors.invalidRecord
    const { attributes } = readBatchHeader(records, 0)
    if (version < firstVersionWithZstd && compressionOf(attributes) === 'zstd') {
      return errors.unsupportedCompressionType
    }
    // No transaction can be open as long as InitProducerId refuses transactional ids.
    return isTransactional(attributes) ? errors.invalidTxnState : undefined
  }

  #failed(
    index: number,
    error: ErrorInfo,
    result: (AppendResult & { ok: false }) | undefined,
  ): Answer {
    this.firstFailure ??= error.name
    return {
      index,
      errorCode: error.code,
      baseOffset: unknownOffset,
      logAppendTimeMs: -1,
      logStartOffset: saysNothing.has(error)
        ? unknownOffset
        : (result?.logStartOffset ?? unknownOffset),
      recordErrors: result?.recordErrors ?? [],
      errorMessage: result?.message ?? error.message,
    }
  }
}

function refuse(answer: Answer, error: ErrorInfo): void {
  answer.errorCode = error.code
  answer.baseOffset = unknownOffset
  answer.errorMessage = error.message
}
