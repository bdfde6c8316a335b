import type { ClientEnv } from '../../base/env.ts'
import type { Cluster } from '../cluster.ts'
import { createMembership } from '../group/membership.ts'
import type { Telemetry } from '../telemetry.ts'
import { Consumer } from './consumer.ts'
import type { DeadLetterSender } from './dead-letter.ts'
import { settingsOf, type ConsumerOptions } from './options.ts'

export interface ConsumerContext {
  readonly env: ClientEnv
  readonly cluster: Cluster
  readonly deadLetters?: DeadLetterSender
  readonly telemetry?: Telemetry | undefined
  /** Called once, when the consumer is closed. */
  readonly closed?: () => void
}

/** Throws `TypeError` and `RangeError` when options are wrong. Nothing is asked of a broker before the consumer is read. */
export function createConsumer(context: ConsumerContext, options: ConsumerOptions = {}): Consumer {
  const { env, cluster } = context
  const settings = settingsOf(options)
  const { group: groupId, maxPollIntervalMs, metadataMaxAgeMs } = settings
  if (groupId === undefined) return new Consumer({ ...context, settings })
  const { instanceId, protocol, assignors, serverAssignor, rackId } = options
  const { sessionTimeoutMs, heartbeatIntervalMs, rebalanceTimeoutMs } = options
  return new Consumer({
    ...context,
    settings,
    membership: (listener) =>
      createMembership(
        {
          env,
          cluster,
          groupId,
          instanceId,
          protocol,
          assignors,
          serverAssignor,
          rackId,
          sessionTimeoutMs,
          heartbeatIntervalMs,
          rebalanceTimeoutMs,
          maxPollIntervalMs,
          metadataMaxAgeMs,
        },
        listener,
      ),
  })
}
