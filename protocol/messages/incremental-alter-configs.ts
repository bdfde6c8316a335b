import { api } from '../schema/api.ts'
import { array, bool, int16, int32, int8, string } from '../schema/field.ts'

/** Sets, deletes, and appends to single overrides of a resource. KIP-339. */
export const IncrementalAlterConfigs = api({
  key: 44,
  name: 'IncrementalAlterConfigs',
  versions: [0, 1],
  flexible: 1,
  request: {
    resources: array({
      resourceType: int8, // 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group
      resourceName: string,
      configs: array({
        name: string,
        configOperation: int8, // 0 set, 1 delete, 2 append, 3 subtract
        value: string.nullable(), // null with delete
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
