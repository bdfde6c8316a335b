// Lines as Apache Kafka's tools of version 4.3.1 print them, taken from their output.
import t from 'tap'
import { detailsLine, summaryLine as consumeSummary } from '../../../cli/bench/consume-figures.ts'
import { dateFormat } from '../../../cli/bench/date-format.ts'
import { LatencyCounts } from '../../../cli/bench/latency-counts.ts'
import { ProduceStatistics, summaryLine } from '../../../cli/bench/produce-statistics.ts'
import { progressLine, timeLeft } from '../../../cli/bench/progress-bar.ts'

t.test("bench figures: the producer's summary is Kafka's line", async (t) => {
  const latencies = new LatencyCounts()
  for (const latencyMs of [1, 2, 3, 4, 5, 6, 7, 8, 9, 100.9]) latencies.record(latencyMs)
  const totals = { records: 200_000, elapsedMs: 13_014, payloadBytes: 20_000_000, latencies }
  t.equal(
    summaryLine(totals, 'records'),
    '200000 records sent, 15368.065161 records/sec (1.47 MB/sec), 14.59 ms avg latency, 100.90 ms max latency, ' +
      '6 ms 50th, 100 ms 95th, 100 ms 99th, 100 ms 99.9th.',
  )
  t.match(summaryLine(totals, 'steady state records'), /^200000 steady state records sent, /)
})

t.test("bench figures: the producer's windows", async (t) => {
  const statistics = new ProduceStatistics(1000)
  for (const latencyMs of [1, 2, 6]) statistics.record(latencyMs, false)
  const sent = { every: 2, bytesEach: 1_048_576 }
  t.equal(statistics.windowLine(1999, 1000, sent), undefined)
  t.equal(
    statistics.windowLine(3000, 1000, sent),
    '6 records sent, 3.0 records/sec (3.00 MB/sec), 3.0 ms avg latency, 6.0 ms max latency.',
  )
  statistics.record(5, true)
  t.match(
    statistics.windowLine(4000, 1000, sent),
    /^2 records sent, 2\.0 .* 5\.0 ms max latency\.$/,
  )
  t.equal(statistics.all.count, 4)
  t.equal(statistics.steady.count, 1)
})

t.test("bench figures: the consumer's lines are Kafka's", async (t) => {
  const format = (wallMs: number): string => `@${wallMs}`
  const consumed = {
    fromWallMs: 0,
    elapsedMs: 7889,
    rebalanceMs: 5827,
    records: 200_000,
    bytes: 2e7,
  }
  t.equal(
    consumeSummary(consumed, format),
    '@0, @7889, 19.0735, 2.4177, 200000, 25351.7556, 5827, 2062, 9.2500, 96993.2105',
  )
  const interval = {
    fromWallMs: 5,
    elapsedMs: 113,
    rebalanceMs: 0,
    records: 18_471,
    bytes: 1_847_100,
  }
  t.equal(
    detailsLine(interval, { records: 18_472, bytes: 1_847_200 }, format),
    '@118, 0, 1.7616, 15.5888, 18472, 163460.1770, 0, 113, 15.5888, 163460.1770',
  )
  t.match(
    detailsLine({ ...interval, rebalanceMs: 200 }, interval, format),
    /, 200, -87, 0\.0000, 0\.0000$/,
  )
})

t.test('bench figures: dates by the patterns of Java', async (t) => {
  const date = new Date(2026, 10, 3, 15, 4, 5, 67).getTime()
  t.equal(dateFormat('yyyy-MM-dd HH:mm:ss:SSS')(date), '2026-11-03 15:04:05:067')
  t.equal(dateFormat("h 'o''clock' a, d.M.yy")(date), "3 o'clock PM, 3.11.26")
  t.equal(dateFormat("''HH''")(date), "'15'")
  for (const pattern of ['EEE', 'MMM', "HH 'open"])
    t.throws(() => dateFormat(pattern), { code: 'USAGE' })
})

t.test('bench figures: the progress fits into a line', async (t) => {
  t.equal(progressLine({ part: 0.5, text: 'x' }, 80), '[##########----------]  50.0 % x')
  t.equal(progressLine({ part: 2, text: 'x'.repeat(100) }, 40).length, 39)
  t.equal(timeLeft(0, 100), '')
  t.equal(timeLeft(0.25, 1000), '3 s left')
})
