import { int32, int64, string, uuid } from '../schema/field.ts'
import { recordSchema } from './schema.ts'

export const offsetCommitKeyVersions = [0, 1] as const

/** Versions 0 and 1 are the same. */
export const OffsetCommitKey = recordSchema({
  name: 'OffsetCommitKey',
  versions: offsetCommitKeyVersions,
  fields: {
    group: string,
    topic: string,
    partition: int32,
  },
})

export const OffsetCommitValue = recordSchema({
  name: 'OffsetCommitValue',
  versions: [0, 4],
  flexible: 4,
  fields: {
    offset: int64,
    leaderEpoch: int32.since(3).or(-1).ignorable(), // -1: unknown
    metadata: string,
    commitTimestamp: int64,
    expireTimestamp: int64.since(1).until(1).or(-1).ignorable(), // -1: by the broker's retention
    topicId: uuid.since(4).tagged(0).ignorable(), // zero: unknown
  },
})
