import t from 'tap'
import { agree } from '../../bench/harness/agreement.ts'
import {
  bootstrapMedian,
  median,
  medianDeviation,
  orderOf,
  pairedRatio,
  seededRandom,
  signTest,
  type Ratio,
} from '../../bench/harness/statistics.ts'

t.test('statistics: medians and deviations, of even and odd counts and of nothing', async (t) => {
  t.equal(median([3, 1, 2]), 2)
  t.equal(median([4, 1, 2, 3]), 2.5)
  t.ok(Number.isNaN(median([])))
  t.equal(medianDeviation([1, 2, 3, 4, 100]), 1, 'one bad value does not move it')
})

t.test(
  'statistics: a ratio is taken within a round, so that a drift of the machine cancels',
  async (t) => {
    const drift = [1, 2, 4, 8, 16, 32, 64]
    const ratio = pairedRatio(
      drift.map((factor) => 3 * factor),
      drift.map((factor) => 2 * factor),
    )
    t.equal(ratio.paired, 1.5)
    t.equal(ratio.low, 1.5)
    t.equal(ratio.high, 1.5)
    t.equal(ratio.ofMedians, 1.5)
    t.equal(ratio.count, 7)
    t.ok(ratio.isClear)
  },
)

t.test(
  'statistics: no claim where a round says the contrary or the interval holds 1',
  async (t) => {
    const one = [1, 1, 1, 1, 1, 1, 1]
    t.notOk(pairedRatio([2, 2, 2, 2, 2, 2, 0.9], one).isClear)
    t.notOk(pairedRatio([1.2, 0.8, 1.1, 0.9, 1.3, 0.7, 1], one).isClear)
    t.ok(pairedRatio([0.5, 0.6, 0.4, 0.5, 0.5, 0.6, 0.5], one).isClear)
  },
)

t.test(
  'statistics: an interval is of the seed, holds the median and lies within the values',
  async (t) => {
    const values = [1.1, 1.3, 0.9, 1.2, 1.0, 1.4, 1.15]
    const first = bootstrapMedian(values, seededRandom(7))
    t.same(bootstrapMedian(values, seededRandom(7)), first)
    t.ok(first.low >= 0.9 && first.low <= 1.15 && first.high >= 1.15 && first.high <= 1.4)
  },
)

// From 400 draws of 9 values each, the true median must lie in about 95 % of the intervals; a small sample has a bit less.
t.test('statistics: intervals hold the true median about as often as they say', async (t) => {
  const random = seededRandom(42)
  let hits = 0
  for (let draw = 0; draw < 400; draw++) {
    const values = Array.from({ length: 9 }, () => random() + random() + random())
    const { low, high } = bootstrapMedian(values, random)
    if (low <= 1.5 && 1.5 <= high) hits += 1
  }
  t.ok(hits / 400 > 0.9, `${hits} of 400`)
})

// Ratios as they come from a noisy machine. The interval of a bootstrap holds the truth in 75 of 100 cases when there are
// three rounds, and nine of ten pairs of runs agree.
t.test('statistics: few rounds give wide intervals, and runs that agree', async (t) => {
  const random = seededRandom(43)
  const normal = (): number =>
    Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
  for (const count of [3, 4, 6]) {
    const run = (): Ratio => {
      const own = Array.from({ length: count }, () => 3 * Math.exp(0.2 * normal()))
      return pairedRatio(
        own,
        own.map(() => 1),
        random,
      )
    }
    let hits = 0
    let agreements = 0
    for (let draw = 0; draw < 1000; draw++) {
      const [one, other] = [run(), run()]
      if (one.low <= 3 && 3 <= one.high) hits += 1
      if (agree(one, other)) agreements += 1
    }
    t.ok(hits > 930 && hits < 970, `${hits} of 1000 with ${count} rounds`)
    t.ok(agreements > 930, `${agreements} of 1000 pairs with ${count} rounds`)
  }
  t.match(pairedRatio([0, 1, 2], [1, 1, 1]), { low: 0, high: 2 }, 'no logarithm of nothing')
  t.match(pairedRatio([2], [1]), { low: 0, high: Infinity, isClear: false }, 'one is none')
})

t.test('statistics: the sign test is the two-sided binomial tail', async (t) => {
  t.equal(signTest([2, 2, 2, 2, 2, 2, 2]), 2 / 2 ** 7)
  t.equal(signTest([2, 0.5]), 1)
  t.equal(signTest([1, 1]), 1, 'equals have no say')
})

t.test(
  'statistics: over two rounds everybody has the same mean place, and then follows another',
  async (t) => {
    const peers = ['a', 'b', 'c']
    t.same(orderOf(0, peers), ['a', 'b', 'c'])
    t.same(orderOf(1, peers), ['c', 'b', 'a'])
    t.same(orderOf(2, peers), ['b', 'c', 'a'])
    t.same(
      [0, 1, 2, 3].map((round) => orderOf(round, ['a', 'b']).join('')),
      ['ab', 'ba', 'ab', 'ba'],
    )
    t.same(orderOf(5, ['a']), ['a'])
  },
)
