import t from 'tap'
import { LatencyHistogram } from '../../bench/harness/histogram.ts'

t.test('histogram: percentiles are right to three digits, over the whole range', async (t) => {
  const histogram = LatencyHistogram.create()
  for (let micros = 1; micros <= 100_000; micros++) histogram.record(micros)
  const { p50, p99, p999, max, count } = histogram.percentiles()
  t.equal(count, 100_000)
  for (const [found, wanted] of [
    [p50, 50_000],
    [p99, 99_000],
    [p999, 99_900],
    [max, 100_000],
  ] as const)
    t.ok(Math.abs(found / wanted - 1) < 0.002, `${found} for ${wanted}`)
})

t.test('histogram: encoded, decoded and merged it is that of all values together', async (t) => {
  const [one, other, all] = [1, 2, 3].map(() => LatencyHistogram.create())
  for (let count = 0; count < 1000; count++) {
    one?.record(count)
    other?.record(count * 50)
    all?.record(count)
    all?.record(count * 50)
  }
  const merged = LatencyHistogram.merge([one?.encode() ?? '', other?.encode() ?? ''])
  // An encoded histogram knows its greatest value to three digits, as any other.
  const { max, ...rest } = merged.percentiles()
  const { max: wantedMax, ...wanted } = all?.percentiles() ?? { max: NaN }
  t.same(rest, wanted)
  t.ok(Math.abs(max / wantedMax - 1) < 0.001)
})

t.test('histogram: what is out of range counts as its end', async (t) => {
  const histogram = LatencyHistogram.create()
  histogram.record(-5)
  histogram.record(0.2)
  histogram.record(1e12)
  t.equal(histogram.count, 3)
  t.ok(Math.abs(histogram.percentiles().max / 60_000_000 - 1) < 0.002)
  t.equal(histogram.percentile(1), 1)
})
