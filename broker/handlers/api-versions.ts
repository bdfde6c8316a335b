import { errors } from '../../protocol/errors.ts'
import { ApiVersions } from '../../protocol/messages/api-versions.ts'
import type { ResponseInputOf } from '../../protocol/schema/api.ts'
import type { Handler } from './handler.ts'

type ApiVersionsResponse = ResponseInputOf<typeof ApiVersions>
type ApiVersion = ApiVersionsResponse['apiKeys'][number]

const firstVersionWithSoftware = 3
const softwarePattern = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

const firstVersionWithFeatures = 4

/**
 * What is on in this cluster, besides the versions of APIs: clients that may choose look here whether to use groups of
 * KIP-848. Parsers before version 4 refuse a range from 0 (KAFKA-17011), so it is not told to them.
 */
function features(
  version: number,
): Pick<ApiVersionsResponse, 'supportedFeatures' | 'finalizedFeaturesEpoch' | 'finalizedFeatures'> {
  const name = 'group.version'
  const isTold = version >= firstVersionWithFeatures
  return {
    supportedFeatures: isTold ? [{ name, minVersion: 0, maxVersion: 1 }] : [],
    finalizedFeaturesEpoch: 0,
    finalizedFeatures: [{ name, maxVersionLevel: 1, minVersionLevel: 1 }],
  }
}

/** Tells which APIs are served, and which features are on. KIP-35, KIP-511, KIP-584. */
export function apiVersionsHandler(
  served: () => readonly ApiVersion[],
): Handler<typeof ApiVersions> {
  return {
    api: ApiVersions,
    handle(request, { version }) {
      const { clientSoftwareName, clientSoftwareVersion } = request
      const named =
        softwarePattern.test(clientSoftwareName) && softwarePattern.test(clientSoftwareVersion)
      if (version >= firstVersionWithSoftware && !named) {
        return { errorCode: errors.invalidRequest.code, apiKeys: [], throttleTimeMs: 0 }
      }
      return {
        errorCode: errors.none.code,
        apiKeys: [...served()],
        throttleTimeMs: 0,
        ...features(version),
      }
    },
  }
}

/** What a client that asks with a version of the future gets, in the oldest layout: it then asks again (KIP-511). */
export function refuseApiVersionsVersion(): { version: number; response: ApiVersionsResponse } {
  const [minVersion, maxVersion] = ApiVersions.versions
  const response = {
    errorCode: errors.unsupportedVersion.code,
    apiKeys: [{ apiKey: ApiVersions.key, minVersion, maxVersion }],
    throttleTimeMs: 0,
  }
  return { version: 0, response }
}
