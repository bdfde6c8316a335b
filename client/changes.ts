import type { Cluster } from './cluster.ts'
import { KafkaError } from './errors.ts'

/** After these nobody here knows whether the broker has done what it was asked for. */
const unsureCodes: ReadonlySet<string> = new Set([
  'CONNECTION_LOST',
  'REQUEST_TIMEOUT',
  'REQUEST_TIMED_OUT',
])

/**
 * Tries until a change is made. When the answer to an attempt was lost, the next one may be refused since the change is
 * there already: `isMade` tells whether an error says so, and then that is a success.
 */
export function changing(
  cluster: Cluster,
  attempt: () => Promise<void>,
  isMade: (error: KafkaError) => boolean | Promise<boolean>,
): Promise<void> {
  let isUnsure = false
  return cluster.retrying(async () => {
    try {
      await attempt()
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      if (isUnsure && (await isMade(error))) return
      isUnsure ||= unsureCodes.has(error.code)
      throw error
    }
  })
}
