import { api } from '../schema/api.ts'
import { int16, int32, int64, string } from '../schema/field.ts'

/** Gives a producer its id and epoch. KIP-98, KIP-360 (v3), KIP-588 (v4), KIP-890 (v5). */
export const InitProducerId = api({
  key: 22,
  name: 'InitProducerId',
  versions: [0, 5],
  flexible: 2,
  request: {
    transactionalId: string.nullable(), // null: idempotent only
    transactionTimeoutMs: int32,
    producerId: int64.since(3).or(-1), // -1: give a new one
    producerEpoch: int16.since(3).or(-1), // -1: unknown
  },
  response: {
    throttleTimeMs: int32.or(0),
    errorCode: int16,
    producerId: int64.or(-1), // -1: with an error
    producerEpoch: int16,
  },
})
