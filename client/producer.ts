import { InitProducerId } from '../protocol/messages/init-producer-id.ts'
import { Produce } from '../protocol/messages/produce.ts'
import { zeroUuid } from '../base/uuid.ts'
import type { Cluster } from './cluster.ts'
import { clientError, refusal, throwIfRefused } from './errors.ts'

/** 0: nobody answers; 1: the leader wrote it; -1: every in-sync replica did. */
export type Acks = 0 | 1 | -1

export interface ProducedBatch {
  /** -1 with acks=0. */
  readonly baseOffset: number
  /** -1 unless the topic uses the broker's clock. */
  readonly logAppendTimeMs: number
}

export interface BatchToProduce {
  readonly topic: string
  readonly partition: number
  /** One record batch, as `BatchBuilder` makes it. It must not change before the answer. */
  readonly batch: Buffer
  readonly acks: Acks
}

/** How long the leader may wait for replicas. */
const replicasTimeoutMs = 30_000
/** The last version that names topics; from 13 on it is their ids. */
const lastVersionByName = 12
/** "Already there": a repeated batch, whose first copy was written. */
const duplicateSequenceCode = 46

/**
 * Gets an id under which a broker recognizes repeated batches. Give it to `BatchBuilder` with a sequence
 * that counts the records of each partition; then a retry after a lost answer can't write twice.
 */
export function initProducerId(
  cluster: Cluster,
): Promise<{ producerId: number; producerEpoch: number }> {
  return cluster.retrying(async () => {
    const connection = await cluster.any()
    const response = await connection.send(InitProducerId, connection.versionOf(InitProducerId), {
      transactionalId: null,
      transactionTimeoutMs: 60_000,
    })
    throwIfRefused('InitProducerId', response.errorCode)
    return { producerId: response.producerId, producerEpoch: response.producerEpoch }
  })
}

/** Sends one batch to the leader of its partition, again while that can help. Rejects with `KafkaError`. */
export function produceBatch(cluster: Cluster, batch: BatchToProduce): Promise<ProducedBatch> {
  return cluster.retrying(() => produceOnce(cluster, batch))
}

async function produceOnce(
  cluster: Cluster,
  { topic, partition, batch, acks }: BatchToProduce,
): Promise<ProducedBatch> {
  const leader = await cluster.leader(topic, partition, 'requests')
  const { connection } = leader
  const byId = leader.topic.id !== zeroUuid
  const version = connection.versionOf(Produce, byId ? undefined : lastVersionByName)
  const request = {
    acks,
    timeoutMs: replicasTimeoutMs,
    topicData: [
      {
        name: topic,
        topicId: leader.topic.id,
        partitionData: [{ index: partition, records: batch }],
      },
    ],
  }
  if (acks === 0) {
    connection.post(Produce, version, request)
    return { baseOffset: -1, logAppendTimeMs: -1 }
  }
  const response = await connection.send(Produce, version, request)
  const answer = response.responses[0]?.partitionResponses[0]
  if (answer === undefined) {
    throw clientError('PROTOCOL', `${connection.address} did not say what became of the batch`, {
      retriable: false,
    })
  }
  if (answer.errorCode !== 0 && answer.errorCode !== duplicateSequenceCode) {
    // The text about the batch, then the one about the first record that is at fault.
    const why = answer.recordErrors[0]?.batchIndexErrorMessage ?? answer.errorMessage
    throw refusal(`${topic}-${partition}`, answer.errorCode, why)
  }
  return { baseOffset: answer.baseOffset, logAppendTimeMs: answer.logAppendTimeMs }
}
