// Preloaded into the broker (node --import): writes its event loop delay to LOOP_PROBE_FILE, in
// milliseconds, four times a second. The histogram counts from the process's start.
import { renameSync, writeFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** The histogram measures how late a timer of this many milliseconds is, plus the timer itself. */
const resolution = 5
const file = process.env.LOOP_PROBE_FILE
const histogram = monitorEventLoopDelay({ resolution })
histogram.enable()
const late = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - resolution)
setInterval(() => {
  const delays = {
    p50: late(histogram.percentile(50)),
    p99: late(histogram.percentile(99)),
    p999: late(histogram.percentile(99.9)),
    max: late(histogram.max),
  }
  writeFileSync(`${file}.tmp`, JSON.stringify(delays))
  renameSync(`${file}.tmp`, file)
}, 250).unref()
