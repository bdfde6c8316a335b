import { featureLevel, supportedFeatures } from '../../controller/features.ts'
import { errors } from '../../protocol/errors.ts'
import { ApiVersions } from '../../protocol/messages/api-versions.ts'
import type { ResponseInputOf } from '../../protocol/schema/api.ts'
import type { ClusterImage } from '../metadata/image.ts'
import type { Handler } from './handler.ts'

type ApiVersionsResponse = ResponseInputOf<typeof ApiVersions>
type ApiVersion = ApiVersionsResponse['apiKeys'][number]

const firstVersionWithSoftware = 3
const softwarePattern = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

/** Parsers before this version refuse a range from 0 (KAFKA-17011): it is not told to them. */
const firstVersionWithRangesFromZero = 4

/** What this broker knows, and what is on in the cluster: clients that may choose look here whether to use a feature. */
function features(
  image: ClusterImage,
  version: number,
): Pick<ApiVersionsResponse, 'supportedFeatures' | 'finalizedFeaturesEpoch' | 'finalizedFeatures'> {
  const told = supportedFeatures.filter(
    ({ levelMin }) => levelMin > 0 || version >= firstVersionWithRangesFromZero,
  )
  const levels = supportedFeatures.map(({ name }) => ({ name, level: featureLevel(image, name) }))
  return {
    supportedFeatures: told.map(({ name, levelMin, levelMax }) => ({
      name,
      minVersion: levelMin,
      maxVersion: levelMax,
    })),
    finalizedFeaturesEpoch: image.offset,
    finalizedFeatures: levels
      .filter(({ level }) => level > 0)
      .map(({ name, level }) => ({ name, maxVersionLevel: level, minVersionLevel: level })),
  }
}

/** Tells which APIs are served, and which features are on. KIP-35, KIP-511, KIP-584. */
export function apiVersionsHandler(
  served: () => readonly ApiVersion[],
): Handler<typeof ApiVersions> {
  return {
    api: ApiVersions,
    handle(request, { version, broker }) {
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
        ...features(broker.image, version),
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
