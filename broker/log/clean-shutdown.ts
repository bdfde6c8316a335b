/**
 * The `.kafka_cleanshutdown` file lies in a log directory from a clean stop until the next start:
 * everything is on disk and no recovery is needed (and, with the broker epoch, no replica lags behind; KIP-966).
 *
 *   {"version":0,"brokerEpoch":17}
 */
export const cleanShutdownFileName = '.kafka_cleanshutdown'

export function encodeCleanShutdown(brokerEpoch: number): string {
  return JSON.stringify({ version: 0, brokerEpoch })
}

/** Undefined when the file is damaged: then the stop was not clean. */
export function decodeCleanShutdown(text: string): { readonly brokerEpoch: number } | undefined {
  const match = /^\{"version":0,"brokerEpoch":(-1|\d{1,15})\}$/.exec(text)
  return match === null ? undefined : { brokerEpoch: Number(match[1]) }
}
