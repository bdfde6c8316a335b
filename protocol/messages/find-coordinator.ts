import { api } from '../schema/api.ts'
import { array, int16, int32, int8, string } from '../schema/field.ts'

/**
 * Tells which broker coordinates a group or a transactional id.
 * KIP-699 (v4), KIP-890 (v5), KIP-932 (v6).
 */
export const FindCoordinator = api({
  key: 10,
  name: 'FindCoordinator',
  versions: [0, 6],
  flexible: 3,
  request: {
    key: string.until(3),
    keyType: int8.since(1).or(0), // 0 group, 1 transactional id, 2 share group
    coordinatorKeys: array(string).since(4), // several at once, instead of `key`
  },
  response: {
    throttleTimeMs: int32.since(1).or(0).ignorable(),
    errorCode: int16.until(3),
    errorMessage: string.nullable().since(1).until(3).ignorable(),
    nodeId: int32.until(3), // -1: with an error
    host: string.until(3),
    port: int32.until(3),
    // One per key.
    coordinators: array({
      key: string,
      nodeId: int32,
      host: string,
      port: int32,
      errorCode: int16,
      errorMessage: string.nullable().ignorable(),
    }).since(4),
  },
})
