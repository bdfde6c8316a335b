import { api } from '../schema/api.ts'
import { array, bool, int16, int32, int64, string } from '../schema/field.ts'

/** Tells what the broker speaks. KIP-35, KIP-511 (v3), KIP-584 (features), KIP-1008 (v4). */
export const ApiVersions = api({
  key: 18,
  name: 'ApiVersions',
  versions: [0, 4],
  flexible: 3,
  request: {
    clientSoftwareName: string.since(3).ignorable(), // of a fixed alphabet; the handler checks it
    clientSoftwareVersion: string.since(3).ignorable(),
  },
  response: {
    errorCode: int16,
    apiKeys: array({
      apiKey: int16,
      minVersion: int16,
      maxVersion: int16,
    }),
    throttleTimeMs: int32.since(1).or(0).ignorable(),
    // Before version 4, leave out those from version 0 (KAFKA-17011).
    supportedFeatures: array({
      name: string,
      minVersion: int16,
      maxVersion: int16,
    })
      .since(3)
      .tagged(0)
      .ignorable(),
    finalizedFeaturesEpoch: int64.since(3).tagged(1).or(-1).ignorable(), // -1: unknown
    finalizedFeatures: array({
      name: string,
      maxVersionLevel: int16,
      minVersionLevel: int16,
    })
      .since(3)
      .tagged(2)
      .ignorable(),
    zkMigrationReady: bool.since(3).tagged(3).or(false).ignorable(),
  },
})
