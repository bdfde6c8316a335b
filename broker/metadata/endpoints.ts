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

/**
 * Whom clients ask for what only the controller can do. Every broker passes such requests on, so it is this one
 * when the controller can't be reached as a broker; -1: nobody can be reached.
 */
export function controllerFor(
  image: ClusterImage,
  reachable: readonly Endpoint[],
  nodeId: number,
): number {
  const isReachable = (broker: number): boolean => reachable.some(({ id }) => id === broker)
  if (isReachable(image.controllerId)) return image.controllerId
  return isReachable(nodeId) ? nodeId : (reachable[0]?.id ?? -1)
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
