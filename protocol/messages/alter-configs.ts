import { api } from '../schema/api.ts'
import { array, bool, int16, int32, int8, string } from '../schema/field.ts'

/** Replaces all overrides of a resource. KIP-133; superseded by IncrementalAlterConfigs. */
export const AlterConfigs = api({
  key: 33,
  name: 'AlterConfigs',
  versions: [0, 2],
  flexible: 2,
  request: {
    resources: array({
      resourceType: int8, // 2 topic, 4 broker
      resourceName: string,
      configs: array({
        name: string,
        value: string.nullable(), // null: the default
      }),
    }),
    validateOnly: bool,
  },
  response: {
    throttleTimeMs: int32.or(0),
    responses: array({
      errorCode: int16,
      errorMessage: string.nullable(),
      resourceType: int8,
      resourceName: string,
    }),
  },
})
