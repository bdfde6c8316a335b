import type { GroupHost } from '../group.ts'

/** What is set for the group, within what the broker allows now; else the broker's own. */
export function sessionTimeoutMsOf(host: GroupHost, group: string): number {
  const { config } = host
  return settingOf(host, group, 'consumer.session.timeout.ms', {
    low: config.groupConsumerMinSessionTimeoutMs,
    high: config.groupConsumerMaxSessionTimeoutMs,
    fallback: config.groupConsumerSessionTimeoutMs,
  })
}

export function heartbeatIntervalMsOf(host: GroupHost, group: string): number {
  const { config } = host
  return settingOf(host, group, 'consumer.heartbeat.interval.ms', {
    low: config.groupConsumerMinHeartbeatIntervalMs,
    high: config.groupConsumerMaxHeartbeatIntervalMs,
    fallback: config.groupConsumerHeartbeatIntervalMs,
  })
}

function settingOf(
  host: GroupHost,
  group: string,
  name: string,
  bounds: { readonly low: number; readonly high: number; readonly fallback: number },
): number {
  const text = host.image.groupOverrides(group).get(name)
  if (text === undefined) return bounds.fallback
  return Math.max(bounds.low, Math.min(bounds.high, Number(text)))
}
