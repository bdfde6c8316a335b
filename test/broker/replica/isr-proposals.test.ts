import t from 'tap'
import { silentLogger } from '../../../base/logger.ts'
import { Simulation } from '../../../base/simulated/simulated-env.ts'
import {
  IsrProposals,
  type AlterPartitions,
  type IsrAnswer,
  type IsrChange,
} from '../../../broker/replica/isr-proposals.ts'
import type { Partition } from '../../../broker/replica/partition.ts'
import { errors } from '../../../protocol/errors.ts'

interface Asked {
  readonly request: Parameters<AlterPartitions>[0]
  readonly answer: (answer: Awaited<ReturnType<AlterPartitions>>) => void
}

function setUp(): {
  simulation: Simulation
  proposals: IsrProposals
  asked: Asked[]
  settled: [number, IsrAnswer][]
  partition: (index: number, again?: boolean) => Partition
} {
  const simulation = new Simulation(1)
  const { timers } = simulation.createEnv('broker1')
  const asked: Asked[] = []
  const settled: [number, IsrAnswer][] = []
  const proposals = new IsrProposals({
    nodeId: 1,
    timers,
    alterPartitions: (request) =>
      new Promise((answer) => {
        asked.push({ request, answer })
      }),
    brokerEpoch: () => 10,
    logger: silentLogger,
  })
  const partition = (index: number, again = false): Partition => {
    const isrSettled = (answer: IsrAnswer): boolean => {
      settled.push([index, answer])
      return again
    }
    return { topic: 'topic', index, isrSettled } as unknown as Partition
  }
  return { simulation, proposals, asked, settled, partition }
}

function change(index: number): IsrChange {
  const isr = [{ brokerId: 1, brokerEpoch: 10 }]
  return { topicId: '', index, leaderEpoch: 1, partitionEpoch: 1, isr, recovering: false }
}

const done: IsrAnswer = { ok: true, leaderEpoch: 1, isr: [1], recovering: false, partitionEpoch: 2 }

t.test('isr proposals: one request at a time, with all that came', async (t) => {
  const { simulation, proposals, asked, settled, partition } = setUp()
  for (const index of [0, 1, 2]) proposals.propose(partition(index), change(index))
  await simulation.run(10)
  t.equal(asked.length, 1)
  t.match(asked[0]?.request, { brokerId: 1, brokerEpoch: 10 })
  t.equal(asked[0]?.request.partitions.length, 3)
  proposals.propose(partition(3), change(3))
  await simulation.run(20)
  t.equal(asked.length, 1)
  asked[0]?.answer({ ok: true, results: [done, done, done] })
  await simulation.run(30)
  t.same(
    settled.map(([index]) => index),
    [0, 1, 2],
  )
  t.same(
    asked[1]?.request.partitions.map(({ index }) => index),
    [3],
  )
})

t.test('isr proposals: asked again until there is an answer', async (t) => {
  const { simulation, proposals, asked, settled, partition } = setUp()
  proposals.propose(partition(0), change(0))
  proposals.propose(partition(1, true), change(1))
  await simulation.run(10)
  asked[0]?.answer({ ok: false, error: errors.requestTimedOut, message: '' })
  await simulation.run(500)
  t.equal(asked[1]?.request.partitions.length, 2)
  const refusal: IsrAnswer = { ok: false, error: errors.unknownServerError, message: '' }
  asked[1]?.answer({ ok: true, results: [done, refusal] })
  await simulation.run(1000)
  t.equal(settled.length, 2)
  t.same(
    asked[2]?.request.partitions.map(({ index }) => index),
    [1],
    'the one that is not settled',
  )
})

t.test('isr proposals: more than a transaction of the controller takes go in parts', async (t) => {
  const { simulation, proposals, asked, settled, partition } = setUp()
  for (let index = 0; index < 2500; index++)
    proposals.propose(partition(index, index === 0 && settled.length === 0), change(index))
  for (let request = 0; settled.length < 2501 && request < 5; request++) {
    await simulation.run(1000 * (request + 1))
    const { partitions } = asked[request]?.request ?? { partitions: [] }
    t.ok(partitions.length <= 1000, `${partitions.length}`)
    asked[request]?.answer({ ok: true, results: partitions.map(() => done) })
  }
  await simulation.run(10_000)
  t.equal(new Set(settled.map(([index]) => index)).size, 2500)
  proposals.close()
})

t.test('isr proposals: an answer to what is not wanted any more is not told', async (t) => {
  const { simulation, proposals, asked, settled, partition } = setUp()
  const [first, second, third] = [partition(0), partition(1), partition(2)]
  for (const [index, each] of [first, second, third].entries())
    proposals.propose(each, change(index))
  await simulation.run(10)
  proposals.withdraw(first)
  proposals.propose(second, change(1))
  asked[0]?.answer({ ok: true, results: [done, done, done] })
  await simulation.run(20)
  t.same(
    settled.map(([index]) => index),
    [2],
  )
  t.same(
    asked[1]?.request.partitions.map(({ index }) => index),
    [1],
  )
  proposals.close()
  asked[1]?.answer({ ok: true, results: [done] })
  await simulation.run(2000)
  t.equal(asked.length, 2)
})
