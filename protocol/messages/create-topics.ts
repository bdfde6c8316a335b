import { api } from '../schema/api.ts'
import { array, bool, int16, int32, int8, string, uuid } from '../schema/field.ts'

/**
 * KIP-464 (v4: defaults of the broker), KIP-525 (v5: the answer tells the settings), KIP-599 (v6),
 * KIP-516 (v7).
 */
export const CreateTopics = api({
  key: 19,
  name: 'CreateTopics',
  versions: [2, 7],
  flexible: 5,
  request: {
    topics: array({
      name: string,
      numPartitions: int32, // -1: by assignment, or the default of the broker
      replicationFactor: int16, // -1: likewise
      // Empty: the broker chooses.
      assignments: array({
        partitionIndex: int32,
        brokerIds: array(int32),
      }),
      configs: array({
        name: string,
        value: string.nullable(), // null: the default
      }),
    }),
    timeoutMs: int32.or(60000),
    validateOnly: bool.or(false), // answer as if, create nothing
  },
  response: {
    throttleTimeMs: int32.or(0),
    topics: array({
      name: string,
      topicId: uuid.since(7).ignorable(),
      errorCode: int16,
      errorMessage: string.nullable(),
      topicConfigErrorCode: int16.since(5).tagged(0).ignorable(), // why there are no configs
      numPartitions: int32.since(5).or(-1).ignorable(), // -1: unknown
      replicationFactor: int16.since(5).or(-1).ignorable(), // -1: unknown
      // null: not authorized.
      configs: array({
        name: string,
        value: string.nullable(), // null: sensitive, or none
        readOnly: bool,
        // 1 topic, 2 broker dynamic, 3 default dynamic, 4 broker static, 5 default.
        configSource: int8.or(-1).ignorable(),
        isSensitive: bool,
      })
        .nullable()
        .since(5)
        .ignorable(),
    }),
  },
})
