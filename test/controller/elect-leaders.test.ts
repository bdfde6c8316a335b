import t from 'tap'
import type { ClusterImage } from '../../broker/metadata/image.ts'
import { electLeaders, planElections } from '../../controller/elect-leaders.ts'
import { refuse, type Outcome } from '../../controller/outcome.ts'
import type { PartitionPlanner } from '../../controller/partition-planner.ts'
import { errors } from '../../protocol/errors.ts'
import type { MetadataRecord } from '../../protocol/metadata-records/records.ts'
import { after, clusterImage, partition, plannerOf, topicName } from '../support/cluster-image.ts'
import { cpuTimeMs } from '../support/cpu-time.ts'

const asked = (...indexes: number[]): { topic: string; index: number }[] =>
  indexes.map((index) => ({ topic: topicName, index }))

t.test('elect leaders: the preferred replica, where it can lead', async (t) => {
  const image = clusterImage(
    [
      partition(0, { leader: 2 }),
      partition(1),
      partition(2, { leader: 2, isr: [2, 3] }),
      partition(3, { leader: 2, replicas: [6, 2], isr: [2, 6] }),
    ],
    { fenced: [6] },
  )
  const { records, answer } = planElections(plannerOf(image), {
    type: 'preferred',
    partitions: [...asked(0, 1, 2, 3, 4, 0), { topic: 'none', index: 0 }],
  })
  t.same(
    answer.results.map(({ error }) => error.name),
    [
      'NONE',
      'ELECTION_NOT_NEEDED',
      'PREFERRED_LEADER_NOT_AVAILABLE',
      'PREFERRED_LEADER_NOT_AVAILABLE',
      'UNKNOWN_TOPIC_OR_PARTITION',
      'ELECTION_NOT_NEEDED',
      'UNKNOWN_TOPIC_OR_PARTITION',
    ],
  )
  t.equal(answer.results[0]?.message, null)
  t.equal(answer.results[4]?.message, 'No such partition as topic-4')
  t.match(after(image, records), { leader: 1, leaderEpoch: 6, isr: [1, 2, 3] })
  t.match(image.partition(topicName, 2), { leader: 2, leaderEpoch: 5 })
})

/** Commits to the image itself, and notes how long each slice took. */
function electing(image: ClusterImage): {
  readonly slicesMs: number[]
  readonly planner: () => PartitionPlanner
  readonly commit: (records: readonly MetadataRecord[]) => Promise<Outcome<object>>
} {
  const slicesMs: number[] = []
  let startMs = cpuTimeMs()
  return {
    slicesMs,
    planner: () => plannerOf(image),
    commit: async (records) => {
      image.apply(image.offset + 1, records)
      slicesMs.push(cpuTimeMs() - startMs)
      await new Promise((resolve) => setImmediate(resolve))
      startMs = cpuTimeMs()
      return { ok: true }
    },
  }
}

t.test('elect leaders: of all partitions, those that need none are left out', async (t) => {
  const image = clusterImage([partition(0), partition(1, { leader: 2 })])
  const elected = await electLeaders(electing(image), { type: 'preferred', partitions: null })
  t.same(elected, {
    ok: true,
    results: [{ topic: topicName, index: 1, error: errors.none, message: null }],
  })
  const again = await electLeaders(electing(image), { type: 'preferred', partitions: null })
  t.same(again, { ok: true, results: [] })
})

t.test('elect leaders: of 100,000 partitions, without holding up others', async (t) => {
  const states = Array.from({ length: 100_000 }, (_, index) => partition(index, { leader: 2 }))
  const image = clusterImage(states)
  const controller = electing(image)
  const elected = await electLeaders(controller, { type: 'preferred', partitions: null })
  t.ok(elected.ok && elected.results.length === 100_000)
  t.ok(image.topicsByName.get(topicName)?.partitions.every(({ leader }) => leader === 1))
  const worstMs = Math.max(...controller.slicesMs)
  t.comment(`${controller.slicesMs.length} slices, the longest ${worstMs.toFixed(1)} ms`)
  t.ok(worstMs < 500, 'longest slice')
})

t.test('elect leaders: a refusal ends it', async (t) => {
  const states = Array.from({ length: 2500 }, (_, index) => partition(index, { leader: 2 }))
  const image = clusterImage(states)
  let count = 0
  const elected = await electLeaders(
    {
      planner: () => plannerOf(image),
      commit: async () => (++count < 2 ? { ok: true } : refuse(errors.notController)),
    },
    { type: 'preferred', partitions: null },
  )
  t.match(elected, { ok: false, error: errors.notController })
  t.equal(count, 2)
})

t.test('elect leaders: unclean on request, whatever the topic says', async (t) => {
  const image = clusterImage(
    [
      partition(0, { leader: -1, isr: [1] }),
      partition(1, { leader: 2 }),
      partition(2, { leader: -1, isr: [1], replicas: [1] }),
    ],
    { fenced: [1] },
  )
  const { records, answer } = planElections(plannerOf(image), {
    type: 'unclean',
    partitions: asked(0, 1, 2),
  })
  t.same(
    answer.results.map(({ error }) => error.name),
    ['NONE', 'ELECTION_NOT_NEEDED', 'ELIGIBLE_LEADERS_NOT_AVAILABLE'],
  )
  t.match(after(image, records), { leader: 2, isr: [2], recovering: true, leaderEpoch: 6 })
})
