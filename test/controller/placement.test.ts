import t from 'tap'
import type { BrokerImage } from '../../broker/metadata/image.ts'
import { place } from '../../controller/placement.ts'
import { errors } from '../../protocol/errors.ts'
import { plaintext } from '../support/controllers.ts'
import { SeededRandom, testSeed } from '../support/seeded-random.ts'

function broker(id: number, options: Partial<BrokerImage> = {}): BrokerImage {
  return {
    id,
    epoch: id,
    incarnation: '0'.repeat(32),
    host: 'localhost',
    port: 9092,
    rack: null,
    machine: 'here',
    fenced: false,
    inControlledShutdown: false,
    listeners: [plaintext()],
    ...options,
  }
}

const seed = testSeed(11)
const randomOf = (value: number): SeededRandom => new SeededRandom(value)

function placed(
  brokers: readonly BrokerImage[],
  partitionCount: number,
  replicationFactor: number,
  by = seed,
): readonly (readonly number[])[] {
  const outcome = place(brokers, { partitionCount, replicationFactor }, randomOf(by))
  if (!outcome.ok) throw new Error(outcome.message)
  return outcome.assignments
}

t.test(
  'placement: every broker leads as often as the others, and no replica is there twice',
  async (t) => {
    t.comment(`seed ${seed}`)
    const brokers = [1, 2, 3, 4, 5].map((id) => broker(id))
    for (let round = 0; round < 50; round++) {
      const assignments = placed(brokers, 20, 3, seed + round)
      const leads = new Map<number, number>()
      for (const replicas of assignments) {
        t.equal(new Set(replicas).size, 3)
        leads.set(replicas[0]!, (leads.get(replicas[0]!) ?? 0) + 1)
      }
      t.same([...leads.values()], [4, 4, 4, 4, 4])
    }
  },
)

t.test('placement: replicas of a partition stand in different racks', async (t) => {
  const racks = ['a', 'a', 'a', 'b', 'c', 'c']
  const brokers = racks.map((rack, id) => broker(id, { rack }))
  for (let round = 0; round < 50; round++) {
    for (const replicas of placed(brokers, 12, 3, seed + round)) {
      t.equal(new Set(replicas.map((id) => racks[id])).size, 3)
    }
  }
})

t.test('placement: with fewer racks than replicas, every rack has one', async (t) => {
  const brokers = ['a', 'a', 'b', 'b'].map((rack, id) => broker(id, { rack }))
  for (const replicas of placed(brokers, 8, 3)) {
    t.equal(new Set(replicas).size, 3)
    t.equal(new Set(replicas.map((id) => id < 2)).size, 2)
  }
})

t.test('placement: replicas of a partition stand on different machines of a rack', async (t) => {
  const machines = ['x', 'x', 'x', 'x', 'y', 'z', 'z']
  for (const rack of [null, 'a']) {
    const brokers = machines.map((machine, id) => broker(id, { machine, rack }))
    for (let round = 0; round < 50; round++) {
      for (const replicas of placed(brokers, 14, 3, seed + round)) {
        t.equal(new Set(replicas.map((id) => machines[id])).size, 3)
      }
    }
  }
})

t.test('placement: a fenced broker comes last, and only when it must', async (t) => {
  const brokers = [
    broker(1),
    broker(2, { fenced: true }),
    broker(3, { inControlledShutdown: true }),
  ]
  t.same(placed(brokers, 3, 1), [[1], [1], [1]])
  for (const replicas of placed(brokers, 3, 3)) {
    t.equal(replicas[0], 1)
    t.equal(replicas.length, 3)
  }
})

t.test('placement: refused without an active broker, or with too few', async (t) => {
  const request = { partitionCount: 1, replicationFactor: 2 }
  t.match(place([broker(1)], request, randomOf(seed)), {
    ok: false,
    error: errors.invalidReplicationFactor,
    message: /only 1 broker/,
  })
  t.match(
    place([broker(1, { fenced: true }), broker(2, { fenced: true })], request, randomOf(seed)),
    {
      ok: false,
      error: errors.invalidReplicationFactor,
      message: /All brokers are currently fenced/,
    },
  )
})
