import { api } from '../schema/api.ts'
import { array, int16, int32, string } from '../schema/field.ts'

/** KIP-518 (v4), KIP-848 (v5). */
export const ListGroups = api({
  key: 16,
  name: 'ListGroups',
  versions: [0, 5],
  flexible: 3,
  request: {
    statesFilter: array(string).since(4), // empty: all
    typesFilter: array(string).since(5), // empty: all; classic, consumer, share
  },
  response: {
    throttleTimeMs: int32.since(1).or(0).ignorable(),
    errorCode: int16,
    groups: array({
      groupId: string,
      protocolType: string,
      groupState: string.since(4).ignorable(),
      groupType: string.since(5).ignorable(),
    }),
  },
})
