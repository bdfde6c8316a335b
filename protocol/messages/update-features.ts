import { api } from '../schema/api.ts'
import { array, bool, int16, int32, int8, string } from '../schema/field.ts'

/** Raises and lowers the levels of features. KIP-584, KIP-778 (v1), KIP-1022 (v2: all or nothing). */
export const UpdateFeatures = api({
  key: 57,
  name: 'UpdateFeatures',
  versions: [0, 2],
  flexible: 0,
  request: {
    timeoutMs: int32.or(60_000),
    featureUpdates: array({
      feature: string,
      maxVersionLevel: int16, // 0: off
      allowDowngrade: bool.until(0),
      upgradeType: int8.since(1).or(1), // 1 upgrade, 2 safe downgrade, 3 unsafe downgrade
    }),
    validateOnly: bool.since(1).or(false),
  },
  response: {
    throttleTimeMs: int32.or(0),
    errorCode: int16,
    errorMessage: string.nullable(),
    results: array({
      feature: string,
      errorCode: int16,
      errorMessage: string.nullable(),
    })
      .until(1)
      .ignorable(),
  },
})
