import t from 'tap'
import { agreementOf } from '../../bench/harness/agreement.ts'
import { LatencyHistogram } from '../../bench/harness/histogram.ts'
import { summarizeCell } from '../../bench/harness/summary.ts'
import { cellResult, runResult } from './fakes.ts'

t.test('summary: warm-ups do not count, medians and ratios are of the rest', async (t) => {
  const cell = cellResult({ self: [1, 40, 42, 44], kafka: [90, 10, 11, 12] }, { warmUps: 1 })
  const { figures, rounds } = summarizeCell(cell)
  t.same(rounds, [1, 2, 3])
  t.equal(figures[0]?.values.get('self')?.median, 42)
  t.equal(figures[0]?.ratios.get('kafka')?.paired, 42 / 11)
  t.match(figures[0]?.verdict, { isReached: true, text: '>= 2 of kafka' })
})

t.test('summary: a noisy round is left out where three quiet ones remain', async (t) => {
  const values = { self: [4, 4, 4, 100], kafka: [1, 1, 1, 1] }
  const some = summarizeCell(cellResult(values, { noisy: [3] }))
  t.same(some.rounds, [0, 1, 2])
  t.equal(some.roundsDropped, 1)
  t.notOk(some.isNoisy)
  const most = summarizeCell(cellResult(values, { noisy: [0, 3] }))
  t.same(most.rounds, [0, 1, 2, 3], 'else all count')
  t.ok(most.isNoisy)
})

t.test(
  'summary: a peer that was skipped has no figures and no ratio, whatever it sampled before',
  async (t) => {
    const cell = cellResult({ self: [4, 4, 4], kafka: [1] })
    const entries = cell.entries.map((entry) =>
      entry.peer === 'kafka' ? { ...entry, skipped: 'it died' } : entry,
    )
    const { figures, rounds } = summarizeCell({ ...cell, entries })
    t.same(rounds, [0, 1, 2])
    t.notOk(figures[0]?.values.has('kafka'))
    t.equal(figures[0]?.ratios.size, 0)
    t.equal(figures[0]?.verdict, undefined, 'nothing is said to be reached')
  },
)

t.test('summary: latencies are merged by peer and operation only', async (t) => {
  const encoded = (micros: number): string => {
    const histogram = LatencyHistogram.create()
    histogram.record(micros)
    return histogram.encode()
  }
  const cell = cellResult({ self: [1, 1, 1], kafka: [1, 1, 1] })
  const samples = cell.samples.map((sample) => ({
    ...sample,
    histograms: { ack: encoded(sample.peer === 'self' ? 100 : 900) },
  }))
  const { curves } = summarizeCell({ ...cell, samples })
  t.same(
    curves.map(({ peer, histogram }) => [peer, histogram.count, histogram.percentile(50)]),
    [
      ['self', 3, 100],
      ['kafka', 3, 900],
    ],
  )
})

t.test('agreement: runs agree where they are as near as their intervals say', async (t) => {
  const run = (values: number[]) => runResult([cellResult({ self: values, kafka: [1, 1, 1] })])
  t.equal(agreementOf(run([2, 3, 4]), run([3.5, 5, 6])).part, 1)
  t.equal(agreementOf(run([2, 3, 4]), run([20, 21, 22])).part, 0)
  t.match(agreementOf(run([2, 3, 4]), runResult([])), { part: 0, rows: [{ other: undefined }] })
  t.equal(agreementOf(run([2]), run([4])).rows.length, 0, 'one round has no interval')
  const touching = agreementOf(run([2, 2.1, 2.2]), run([2.5, 2.6, 2.7]))
  t.equal(touching.part, 0, 'that the ends of intervals meet is not enough')
  t.match(agreementOf(run([1, 3, 9]), run([2, 3, 4])).rows, [{ agrees: true, isWide: true }])
})
