import { api } from '../schema/api.ts'
import { array, int16, int32, string, uuid } from '../schema/field.ts'

/** KIP-599 (v5), KIP-516 (v6: by topic id). */
export const DeleteTopics = api({
  key: 20,
  name: 'DeleteTopics',
  versions: [1, 6],
  flexible: 4,
  request: {
    topics: array({
      name: string.nullable().or(null), // null: by id
      topicId: uuid, // zero: by name
    }).since(6),
    topicNames: array(string).until(5).ignorable(),
    timeoutMs: int32,
  },
  response: {
    throttleTimeMs: int32.or(0),
    responses: array({
      name: string.nullable(6), // null: asked by an unknown id
      topicId: uuid.since(6).ignorable(),
      errorCode: int16,
      errorMessage: string.nullable().since(5).or(null).ignorable(),
    }),
  },
})
