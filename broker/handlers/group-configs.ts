import { groupOverrideProperties } from '../group/group-properties.ts'
import type { BrokerServices } from './handler.ts'

const { consumerHeartbeatIntervalMs: heartbeat, consumerSessionTimeoutMs: session } =
  groupOverrideProperties

/** Why a group may not have these values under the bounds of this broker. Names and numbers are checked elsewhere. */
export function groupConfigProblem(
  { config, image }: Pick<BrokerServices, 'config' | 'image'>,
  resource: {
    readonly resourceName: string
    readonly configs: readonly { readonly name: string; readonly value: string | null }[]
  },
): string | undefined {
  const given = new Map(resource.configs.map(({ name, value }) => [name, value]))
  const bounds = [
    {
      property: heartbeat,
      bound: 'heartbeat.interval.ms',
      low: config.groupConsumerMinHeartbeatIntervalMs,
      high: config.groupConsumerMaxHeartbeatIntervalMs,
    },
    {
      property: session,
      bound: 'session.timeout.ms',
      low: config.groupConsumerMinSessionTimeoutMs,
      high: config.groupConsumerMaxSessionTimeoutMs,
    },
  ]
  for (const { property, bound, low, high } of bounds) {
    const { name } = property
    const value = valueOf(property, given.get(name))
    if (value === undefined) continue
    if (value < low) {
      return `${name} must be greater than or equal to group.consumer.min.${bound} (${low})`
    }
    if (value > high) {
      return `${name} must be less than or equal to group.consumer.max.${bound} (${high})`
    }
  }
  const overrides = image.groupOverrides(resource.resourceName)
  const inForce = (property: typeof heartbeat, fallback: number): number =>
    valueOf(property, given.get(property.name) ?? overrides.get(property.name)) ?? fallback
  const sessionMs = inForce(session, config.groupConsumerSessionTimeoutMs)
  const heartbeatMs = inForce(heartbeat, config.groupConsumerHeartbeatIntervalMs)
  if (sessionMs > heartbeatMs) return undefined
  return `${session.name} must be greater than ${heartbeat.name}`
}

/** Undefined: not given, or nothing that the property may be. */
function valueOf(property: typeof heartbeat, text: string | null | undefined): number | undefined {
  if (text === null || text === undefined) return undefined
  const parsed = property.parse(text)
  return parsed.ok ? parsed.value : undefined
}
