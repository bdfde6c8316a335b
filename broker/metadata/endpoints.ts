import type { BrokerImage, ClusterImage } from './image.ts'

/** A broker as clients of one listener reach it. */
export interface Endpoint {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

/** Brokers that clients of that listener can reach. */
export function endpointsOf(image: ClusterImage, listenerName: string): Endpoint[] {
  return endpointsWhere(image, listenerName, ({ fenced }) => !fenced)
}

/** Brokers that are registered, and away. */
export function fencedEndpointsOf(image: ClusterImage, listenerName: string): Endpoint[] {
  return endpointsWhere(image, listenerName, ({ fenced }) => fenced)
}

function endpointsWhere(
  image: ClusterImage,
  listenerName: string,
  shown: (broker: BrokerImage) => boolean,
): Endpoint[] {
  const endpoints: Endpoint[] = []
  for (const broker of image.brokers.values()) {
    const listener = broker.listeners.find(({ name }) => name === listenerName)
    if (listener === undefined || !shown(broker)) continue
    const { id, rack } = broker
    endpoints.push({ id, host: listener.host, port: listener.port, rack })
  }
  return endpoints
}
