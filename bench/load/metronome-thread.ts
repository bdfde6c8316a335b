// The thread behind metronome.ts: sleeps until a tick is due, and says its number.
import { serveWorker } from '../../base/real/worker.ts'
import type { Ticking } from './metronome.ts'

const never = new Int32Array(new SharedArrayBuffer(4))

serveWorker<Ticking, number>(({ startMs, everyMs, count }, reply) => {
  for (let tick = 0; tick < count; tick++) {
    sleepUntil(startMs + tick * everyMs)
    reply(tick)
  }
})

function sleepUntil(dueMs: number): void {
  for (;;) {
    const leftMs = dueMs - (performance.timeOrigin + performance.now())
    if (leftMs <= 0) return
    Atomics.wait(never, 0, 0, leftMs)
  }
}
