import { api } from '../schema/api.ts'
import { array, bool, int16, int32, int8, string } from '../schema/field.ts'

/** KIP-133, KIP-226 (v1), KIP-569 (v3). */
export const DescribeConfigs = api({
  key: 32,
  name: 'DescribeConfigs',
  versions: [1, 4],
  flexible: 4,
  request: {
    resources: array({
      resourceType: int8, // 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group
      resourceName: string,
      configurationKeys: array(string).nullable(), // null: all
    }),
    includeSynonyms: bool.or(false),
    includeDocumentation: bool.since(3).or(false),
  },
  response: {
    throttleTimeMs: int32.or(0),
    results: array({
      errorCode: int16,
      errorMessage: string.nullable(),
      resourceType: int8,
      resourceName: string,
      configs: array({
        name: string,
        value: string.nullable(), // null: sensitive, or none
        readOnly: bool,
        // 1 topic, 2 broker dynamic, 3 default dynamic, 4 broker static, 5 default, 6 logger.
        configSource: int8.or(-1),
        isSensitive: bool,
        // Where else the value could come from, the winner first.
        synonyms: array({
          name: string,
          value: string.nullable(),
          source: int8,
        }),
        // 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password.
        configType: int8.since(3).or(0).ignorable(),
        documentation: string.nullable().since(3).ignorable(),
      }),
    }),
  },
})
