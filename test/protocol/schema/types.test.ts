// What the compiler of TypeScript makes of a schema. Most of this test is done when it compiles.
import t from 'tap'
import type { Payload } from '../../../base/payload.ts'
import { Produce } from '../../../protocol/messages/produce.ts'
import type {
  AnyApi,
  RequestInputOf,
  RequestOf,
  ResponseInputOf,
  ResponseOf,
} from '../../../protocol/schema/api.ts'

type Same<One, Other> =
  (<T>() => T extends One ? 1 : 2) extends <T>() => T extends Other ? 1 : 2 ? true : false
const same = <One, Other>(verdict: Same<One, Other>): boolean => verdict

type Request = RequestOf<typeof Produce>
type Response = ResponseOf<typeof Produce>
type PartitionData = Request['topicData'][number]['partitionData'][number]
type PartitionResponse = Response['responses'][number]['partitionResponses'][number]
type PartitionDataInput = RequestInputOf<
  typeof Produce
>['topicData'][number]['partitionData'][number]

t.test('types: a decoded message has every field', async (t) => {
  t.ok(same<Request['acks'], number>(true))
  t.ok(same<Request['transactionalId'], string | null>(true))
  t.ok(same<PartitionData['records'], Buffer | null>(true))
  t.ok(same<PartitionResponse['errorMessage'], string | null>(true))
  t.ok(
    same<PartitionResponse['currentLeader'], { leaderId: number; leaderEpoch: number } | undefined>(
      true,
    ),
  )
})

t.test(
  'types: an encoder takes payloads, and may do without fields that have a fallback',
  async (t) => {
    t.ok(same<PartitionDataInput['records'], Buffer | Payload | null>(true))
    const request: RequestInputOf<typeof Produce> = { acks: -1, timeoutMs: 5, topicData: [] }
    const response: ResponseInputOf<typeof Produce> = {
      responses: [{ name: 'a', partitionResponses: [{ index: 0, errorCode: 0, baseOffset: 5 }] }],
    }
    t.ok(request.transactionalId === undefined && response.throttleTimeMs === undefined)
  },
)

t.test('types: wrong and missing fields do not compile', async (t) => {
  // @ts-expect-error acks is a number
  const wrong: RequestInputOf<typeof Produce> = { acks: 'all', timeoutMs: 5, topicData: [] }
  // @ts-expect-error timeoutMs is missing
  const missing: RequestInputOf<typeof Produce> = { acks: 1, topicData: [] }
  const partitionResponses = [{ index: 0, baseOffset: 5 }]
  type Response = ResponseInputOf<typeof Produce>
  // @ts-expect-error an error code is missing, three levels down
  const nested: Response = { responses: [{ partitionResponses }] }
  t.ok(wrong && missing && nested)
})

t.test('types: an API that is known at run time only takes anything', async (t) => {
  const unknown: unknown = { responses: [] }
  const any: AnyApi = Produce
  const response: ResponseInputOf<AnyApi> = unknown
  t.equal(any.name, 'Produce')
  t.ok(response)
})
