import { errors } from '../../protocol/errors.ts'
import { ListGroups } from '../../protocol/messages/list-groups.ts'
import type { ResponseInputOf } from '../../protocol/schema/api.ts'
import type { Handler } from './handler.ts'

type ListedGroup = ResponseInputOf<typeof ListGroups>['groups'][number]

/** KIP-518 (states), KIP-848 (types). */
export const handler: Handler<typeof ListGroups> = {
  api: ListGroups,
  async handle(request, { broker }) {
    if (broker.groups.isLoading) {
      return { errorCode: errors.coordinatorLoadInProgress.code, groups: [] }
    }
    const isWanted = filterOf(request)
    const shards = [...broker.groups.shards()]
    let errorCode = errors.none.code
    const listed = await Promise.all(
      shards.map(async (shard) => {
        const groups = Array.from(shard.groups.values(), listedGroup).filter(isWanted)
        const error = await shard.settled()
        // A shard that goes away meanwhile has nothing to tell: its groups live elsewhere. Others would be missed.
        if (error !== undefined && error !== errors.notCoordinator) errorCode = error.code
        return error === undefined ? groups : []
      }),
    )
    return { errorCode, groups: listed.flat() }
  },
}

type Listing = ListedGroup & { readonly groupState: string; readonly groupType: string }

function listedGroup(group: {
  readonly id: string
  readonly protocolType: string
  readonly state: string
  readonly kind: string
}): Listing {
  const { id, protocolType, state, kind } = group
  return { groupId: id, protocolType, groupState: state, groupType: kind }
}

/** Longer than any state or type. */
const wordLengthMax = 64

/** Empty lists: everything. Cases don't matter; what is unknown matches nothing. */
function filterOf(request: {
  readonly statesFilter: readonly string[]
  readonly typesFilter: readonly string[]
}): (group: Listing) => boolean {
  const states = wordsOf(request.statesFilter)
  const types = wordsOf(request.typesFilter)
  return ({ groupState, groupType }) =>
    (states?.has(groupState.toLowerCase()) ?? true) && (types?.has(groupType) ?? true)
}

/** Undefined: all. */
function wordsOf(filter: readonly string[]): ReadonlySet<string> | undefined {
  if (filter.length === 0) return undefined
  const words = filter.filter((word) => word.length <= wordLengthMax)
  return new Set(words.map((word) => word.trim().toLowerCase()))
}
