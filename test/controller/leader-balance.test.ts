import t from 'tap'
import {
  LeaderBalance,
  planBalance,
  planUncleanElections,
  type Elections,
} from '../../controller/leader-balance.ts'
import type { Outcome } from '../../controller/outcome.ts'
import { after, clusterImage, partition, plannerOf, topicName } from '../support/cluster-image.ts'
import { manualEnv } from '../support/manual-env.ts'

const settings = { imbalancePercentage: 10 }

t.test('balance: brokers that lead too few get their partitions back', async (t) => {
  const preferred2 = { replicas: [2, 1, 3] }
  const image = clusterImage([
    // Broker 1: one of ten, which is not more than 10 %.
    partition(0, { leader: 2 }),
    ...Array.from({ length: 9 }, (_, at) => partition(1 + at)),
    // Broker 2: one of two.
    partition(10, preferred2),
    partition(11, { ...preferred2, leader: 2 }),
    // Broker 3: it is not in sync, so it can't be helped.
    partition(12, { replicas: [3, 1], isr: [1] }),
  ])
  const { records, answer } = planBalance(plannerOf(image), settings)
  t.same(answer, { elected: 1, hasMore: false })
  t.match(after(image, records, 10), { leader: 2, leaderEpoch: 6 })
  t.match(image.partition(topicName, 0), { leader: 2 })
  t.same(planBalance(plannerOf(image), settings).records, [])
  t.equal(planBalance(plannerOf(image), { imbalancePercentage: 9 }).answer.elected, 1)
})

t.test('balance: fenced brokers lead nothing', async (t) => {
  const image = clusterImage([partition(0, { leader: 2 })], { fenced: [1] })
  t.same(planBalance(plannerOf(image), settings).records, [])
})

t.test('balance: a thousand elections at once, and then more', async (t) => {
  const image = clusterImage(Array.from({ length: 1500 }, (_, at) => partition(at, { leader: 2 })))
  const first = planBalance(plannerOf(image), settings)
  t.same(first.answer, { elected: 1000, hasMore: true })
  after(image, first.records)
  t.same(planBalance(plannerOf(image), settings).answer, { elected: 500, hasMore: false })
})

t.test('balance: leaderless partitions elect uncleanly where they may', async (t) => {
  const image = clusterImage([partition(0, { leader: -1, isr: [1] })], { fenced: [1] })
  t.same(planUncleanElections(plannerOf(image)).records, [])
  const name = 'unclean.leader.election.enable'
  const config = { type: 'config', resourceType: 'topic', resource: topicName, name } as const
  after(image, [{ ...config, value: 'true' }])
  const { records } = planUncleanElections(plannerOf(image))
  t.match(after(image, records), { leader: 2, isr: [2], recovering: true })
  after(image, [{ ...config, value: 'false' }])
  t.equal(plannerOf(image, true).allowsUnclean(topicName), false)
  after(image, [{ ...config, value: null }])
  t.equal(plannerOf(image, true).allowsUnclean(topicName), true)
  after(image, [{ ...config, resourceType: 'broker', resource: '', value: 'false' }])
  t.equal(plannerOf(image, true).allowsUnclean(topicName), false)
})

t.test(
  'balance: it runs at its interval, again at once while there is more, until it stops',
  async (t) => {
    const { timers, ...env } = manualEnv(1)
    const records = [{ type: 'noOp' }] as const
    const plans: Elections[] = [
      { records, answer: { elected: 1000, hasMore: true } },
      { records, answer: { elected: 1, hasMore: false } },
      { records, answer: { elected: 1000, hasMore: true } },
    ]
    let committed = 0
    let outcome: Outcome<object> = { ok: true }
    const balance = new LeaderBalance({
      timers,
      intervalMs: 1000,
      plan: () => plans.shift() ?? { records: [], answer: { elected: 0, hasMore: false } },
      commit: async () => {
        committed++
        return outcome
      },
    })
    await env.advance(999)
    t.equal(committed, 0)
    await env.advance(1)
    t.equal(committed, 2, 'both of the first two')
    outcome = {
      ok: false,
      error: { code: 41, name: 'x', retriable: true, message: '' },
      message: '',
    }
    await env.advance(1000)
    t.equal(committed, 3, 'a refusal waits for the next time')
    balance.stop()
    plans.push({ records, answer: { elected: 1, hasMore: false } })
    await env.advance(10_000)
    t.equal(committed, 3)
  },
)
