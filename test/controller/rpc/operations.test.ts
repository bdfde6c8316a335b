import t from 'tap'
import { refuse } from '../../../controller/outcome.ts'
import { operations, operationsByNumber } from '../../../controller/rpc/operations.ts'
import { packValue, unpackValue } from '../../../protocol/metadata-records/codec.ts'
import { errors } from '../../../protocol/errors.ts'

const id = 'ab'.repeat(16)
const travel = (value: unknown): unknown => unpackValue(packValue(value))

t.test('operations: a registration travels, with and without what may be left out', async (t) => {
  const { registerBroker } = operations
  const registration = {
    brokerId: 3,
    incarnation: id,
    listeners: [{ name: 'PLAINTEXT', host: 'h', port: 9092, securityProtocol: 'PLAINTEXT' }],
    rack: null,
    host: 'machine',
  } as const
  for (const given of [
    registration,
    { ...registration, previousEpoch: 5, clusterId: 'c', stoppedCleanly: true },
  ]) {
    const encoded = travel(registerBroker.arguments.encode([given]))
    t.same(registerBroker.arguments.decode(encoded), [given])
  }
})

t.test('operations: outcomes travel, refusals by their codes', async (t) => {
  const { alterPartitions } = operations
  const answer = {
    ok: true as const,
    results: [
      refuse(errors.fencedLeaderEpoch, 'old'),
      {
        ok: true as const,
        leader: 1,
        leaderEpoch: 2,
        isr: [1, 2],
        recovering: false,
        partitionEpoch: 4,
      },
    ],
  }
  t.same(alterPartitions.answer.decode(travel(alterPartitions.answer.encode(answer))), answer)
  const refused = refuse(errors.staleBrokerEpoch, 'why')
  t.same(alterPartitions.answer.decode(travel(alterPartitions.answer.encode(refused))), refused)
})

t.test('operations: one refusal for each thing that was asked', async (t) => {
  const refusal = refuse(errors.notController)
  t.same(operations.deleteTopics.refused(refusal, [[id, id]]), [refusal, refusal])
  t.same(operations.describeQuorum.refused(refusal, []), refusal)
})

t.test('operations: every number once, and nothing but its own arguments', async (t) => {
  t.equal(operationsByNumber.size, Object.keys(operations).length)
  const odd = [undefined, null, 1, 'x', {}, [[]], [1], [['x']], [[['x', 'y']]], [[{}]]]
  const { describeQuorum, allocateProducerIds, unregisterBroker } = operations
  const takesNumber = [allocateProducerIds.number, unregisterBroker.number]
  for (const operation of operationsByNumber.values()) {
    if (operation.number === describeQuorum.number) continue
    for (const value of odd) {
      if (takesNumber.includes(operation.number) && value === odd[6]) continue
      try {
        // Lists of nothing are fine.
        t.same(operation.arguments.decode(value)[0], [], operation.name)
      } catch (error) {
        t.match(error, { code: 'RPC_FORMAT' }, operation.name)
      }
    }
  }
})
