import { array, bytes, int32, int64, string } from '../schema/field.ts'
import { recordSchema } from './schema.ts'

export const groupMetadataKeyVersion = 2

export const GroupMetadataKey = recordSchema({
  name: 'GroupMetadataKey',
  versions: [groupMetadataKeyVersion, groupMetadataKeyVersion],
  fields: { group: string },
})

/** A classic group as of one generation. */
export const GroupMetadataValue = recordSchema({
  name: 'GroupMetadataValue',
  versions: [0, 4],
  flexible: 4,
  fields: {
    protocolType: string,
    generation: int32,
    protocol: string.nullable(),
    leader: string.nullable(),
    currentStateTimestamp: int64.since(2).or(-1).ignorable(), // -1: unknown
    members: array({
      memberId: string,
      groupInstanceId: string.nullable(3).since(3).or(null).ignorable(),
      clientId: string,
      clientHost: string,
      rebalanceTimeout: int32.since(1).or(-1).ignorable(), // -1: as the session timeout
      sessionTimeout: int32,
      subscription: bytes,
      assignment: bytes,
    }),
  },
})
