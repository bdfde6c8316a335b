import t from 'tap'
import { planElections } from '../../controller/elect-leaders.ts'
import { errors } from '../../protocol/errors.ts'
import { after, clusterImage, partition, plannerOf, topicName } from '../support/cluster-image.ts'

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

t.test('elect leaders: of all partitions, those that need none are left out', async (t) => {
  const image = clusterImage([partition(0), partition(1, { leader: 2 })])
  const { answer } = planElections(plannerOf(image), { type: 'preferred', partitions: null })
  t.match(answer.results, [{ topic: topicName, index: 1, error: errors.none }])
  t.equal(answer.results.length, 1)
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
