import t from 'tap'
import { LatencyCounts } from '../../../cli/bench/latency-counts.ts'

t.test('latency counts: percentiles are off by a thousandth at most', async (t) => {
  const latencies = new LatencyCounts()
  const values: number[] = []
  let state = 7
  for (let index = 0; index < 20_000; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    // From 1 us to half an hour, each magnitude as likely as another.
    const valueMs = Math.floor(2 ** ((state / 2 ** 32) * 31)) / 1000
    values.push(valueMs)
    latencies.record(valueMs)
  }
  values.sort((a, b) => a - b)
  for (const part of [0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999]) {
    // As Kafka's tools choose it.
    const exact = values[Math.floor(part * values.length)] ?? NaN
    const found = latencies.percentileMs(part)
    t.ok(found >= exact && found <= exact * 1.001 + 0.001, `${part}: ${found} for ${exact}`)
  }
  t.equal(latencies.percentileMs(1), values.at(-1))
  t.equal(latencies.maxMs, values.at(-1))
  t.equal(latencies.count, values.length)
  const sum = values.reduce((before, value) => before + value, 0)
  t.ok(Math.abs(latencies.averageMs / (sum / values.length) - 1) < 1e-9, 'the average is exact')
})

t.test('latency counts: every bucket border', async (t) => {
  for (const microseconds of [
    0,
    1,
    2047,
    2048,
    2049,
    4095,
    4096,
    65_535,
    65_536,
    2 ** 31,
    2 ** 32 - 1,
  ]) {
    const latencies = new LatencyCounts()
    latencies.record(microseconds / 1000)
    latencies.record(2 ** 33)
    const found = latencies.percentileMs(0) * 1000
    t.ok(
      found >= microseconds - 0.001 && found <= microseconds * 1.001,
      `${microseconds}: ${found}`,
    )
  }
})

t.test('latency counts: none, negative and endless values', async (t) => {
  const latencies = new LatencyCounts()
  t.equal(latencies.percentileMs(0.5), 0)
  t.ok(Number.isNaN(latencies.averageMs))
  latencies.record(-1)
  t.equal(latencies.percentileMs(0.5), 0)
  latencies.record(1e12)
  t.equal(latencies.maxMs, 1e12)
  t.ok(latencies.percentileMs(1) >= 4_294_967)
})
