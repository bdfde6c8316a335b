import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { DescribeCluster } from '../../protocol/messages/describe-cluster.ts'
import { controllerFor, endpointsOf, fencedEndpointsOf } from '../metadata/endpoints.ts'
import { allClusterOperations, operationsUnasked } from './authorized-operations.ts'
import type { Handler } from './handler.ts'

/** Whom a request is for: a broker, or a controller of the cluster. */
const endpointType = { broker: 1, controller: 2 } as const

/** KIP-700, KIP-919 (endpoint types), KIP-1073 (fenced brokers). */
export const handler: Handler<typeof DescribeCluster> = {
  api: DescribeCluster,
  handle(request, { broker, connection }) {
    const { image } = broker
    const refused = refuseEndpoint(request.endpointType)
    if (refused !== undefined) {
      const { error, message } = refused
      return { errorCode: error.code, errorMessage: message, clusterId: '', brokers: [] }
    }
    const alive = endpointsOf(image, connection.listenerName)
    const fenced = request.includeFencedBrokers
      ? fencedEndpointsOf(image, connection.listenerName)
      : []
    return {
      errorCode: errors.none.code,
      errorMessage: null,
      endpointType: endpointType.broker,
      clusterId: image.clusterId,
      controllerId: controllerFor(image, alive, broker.nodeId),
      brokers: [
        ...alive.map(({ id, ...rest }) => ({ brokerId: id, ...rest, isFenced: false })),
        ...fenced.map(({ id, ...rest }) => ({ brokerId: id, ...rest, isFenced: true })),
      ],
      clusterAuthorizedOperations: request.includeClusterAuthorizedOperations
        ? allClusterOperations
        : operationsUnasked,
    }
  },
}

function refuseEndpoint(
  asked: number,
): { readonly error: ErrorInfo; readonly message: string } | undefined {
  switch (asked) {
    case endpointType.broker:
      return undefined
    case endpointType.controller:
      return {
        error: errors.mismatchedEndpointType,
        message:
          'The request was sent to an endpoint of type BROKER, ' +
          'but we wanted an endpoint of type CONTROLLER',
      }
    default:
      return {
        error: errors.unsupportedEndpointType,
        message: `Unsupported endpoint type ${asked}`,
      }
  }
}
