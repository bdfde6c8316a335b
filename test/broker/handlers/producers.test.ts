// InitProducerId, FindCoordinator and DescribeCluster.
import t from 'tap'
import { handler as describeCluster } from '../../../broker/handlers/describe-cluster.ts'
import { handler as findCoordinator } from '../../../broker/handlers/find-coordinator.ts'
import { handler as initProducerId } from '../../../broker/handlers/init-producer-id.ts'
import { errors } from '../../../protocol/errors.ts'
import { HandlerCalls } from '../../support/handler-calls.ts'

const idempotent = { transactionalId: null, transactionTimeoutMs: 60_000 }

t.test('producer id: each request gets its own, over the end of a block', async (t) => {
  const broker = await HandlerCalls.open()
  const ids = new Set<number>()
  const requests = Array.from({ length: 2500 }, (_, index) =>
    broker.call(initProducerId, index % 6, idempotent),
  )
  for (const response of await Promise.all(requests)) {
    t.equal(response.errorCode, 0)
    t.equal(response.producerEpoch, 0)
    ids.add(response.producerId)
  }
  t.equal(ids.size, 2500)
  t.equal(broker.controller.image.nextProducerId, 3000)
})

t.test('producer id: an epoch that is brought along gives a new id', async (t) => {
  const broker = await HandlerCalls.open()
  const first = await broker.call(initProducerId, 4, idempotent)
  const { producerId } = first
  const again = await broker.call(initProducerId, 4, {
    ...idempotent,
    producerId,
    producerEpoch: 3,
  })
  t.match(again, { errorCode: 0, producerEpoch: 0 })
  t.not(again.producerId, producerId)
})

t.test('producer id: while the store refuses clients are told to ask again', async (t) => {
  const broker = await HandlerCalls.open()
  broker.store.setFate(() => 'refused')
  const refused = await broker.call(initProducerId, 4, idempotent)
  t.match(refused, { errorCode: errors.coordinatorLoadInProgress.code, producerId: -1 })
  broker.store.setFate(() => 'applied')
  await broker.env.advance(1000)
  t.match(await broker.call(initProducerId, 4, idempotent), { errorCode: 0 })
})

const transactional = { transactionalId: 'txn', transactionTimeoutMs: 60_000 }
const refusals = [
  ['half an id', { ...idempotent, producerId: 5, producerEpoch: -1 }, errors.invalidRequest],
  ['the other half', { ...idempotent, producerId: -1, producerEpoch: 5 }, errors.invalidRequest],
  ['an empty transactional id', { ...transactional, transactionalId: '' }, errors.invalidRequest],
  ['no time', { ...transactional, transactionTimeoutMs: 0 }, errors.invalidTransactionTimeout],
  [
    'too much time',
    { ...transactional, transactionTimeoutMs: 900_001 },
    errors.invalidTransactionTimeout,
  ],
  ['a transactional id', transactional, errors.transactionalIdAuthorizationFailed],
] as const
for (const [title, request, error] of refusals) {
  t.test(`producer id: ${title} is refused with ${error.name}`, async (t) => {
    const broker = await HandlerCalls.open()
    const response = await broker.call(initProducerId, 4, request)
    t.match(response, { errorCode: error.code, producerId: -1, producerEpoch: -1 })
    t.notOk(error.retriable, 'a client gives up at once')
  })
}

t.test('coordinator: transactions end a client at once, unknown types are refused', async (t) => {
  const broker = await HandlerCalls.open()
  const answerTo = async (version: number, keyType: number): Promise<unknown> => {
    const request = { keyType, coordinatorKeys: ['x'] }
    return (await broker.call(findCoordinator, version, request)).coordinators[0]
  }
  t.match(await answerTo(6, 1), {
    errorCode: errors.invalidRequest.code,
    errorMessage: /no transactions/,
  })
  const old = await broker.call(findCoordinator, 2, { key: 'x', keyType: 1 })
  t.match(old, {
    errorCode: errors.transactionalIdAuthorizationFailed.code,
    errorMessage: /no transactions/,
  })
  t.match(await answerTo(6, 2), {
    errorCode: errors.invalidRequest.code,
    errorMessage: /share groups/,
  })
  t.match(await answerTo(5, 2), { errorCode: errors.invalidRequest.code })
  t.match(await answerTo(6, 3), { errorCode: errors.invalidRequest.code })
})

t.test('cluster: brokers, controller and operations', async (t) => {
  const broker = await HandlerCalls.open()
  for (let version = 0; version <= 2; version++) {
    const response = await broker.call(describeCluster, version, {
      includeClusterAuthorizedOperations: version > 0,
    })
    t.match(response, {
      errorCode: 0,
      clusterId: broker.controller.image.clusterId,
      controllerId: 1,
      brokers: [{ brokerId: 1, host: 'localhost', port: 9093 }],
      clusterAuthorizedOperations: version > 0 ? 8096 : -2_147_483_648,
    })
  }
})

t.test('cluster: only brokers live here', async (t) => {
  const broker = await HandlerCalls.open()
  const codeOf = async (endpointType: number): Promise<number> =>
    (
      await broker.call(describeCluster, 1, {
        includeClusterAuthorizedOperations: false,
        endpointType,
      })
    ).errorCode
  t.equal(await codeOf(1), 0)
  t.equal(await codeOf(2), errors.mismatchedEndpointType.code)
  t.equal(await codeOf(9), errors.unsupportedEndpointType.code)
})

t.test('cluster: of a listener that no broker has, nobody is there', async (t) => {
  const broker = await HandlerCalls.open()
  const request = { includeClusterAuthorizedOperations: false }
  const response = await broker.call(describeCluster, 0, request, { listenerName: 'OTHER' })
  t.match(response, { brokers: { length: 0 }, controllerId: -1 })
})
