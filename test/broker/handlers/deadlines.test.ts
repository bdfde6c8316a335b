import t from 'tap'
import { Simulation } from '../../../base/simulated/simulated-env.ts'
import { Deadlines } from '../../../broker/handlers/deadlines.ts'

t.test('deadlines: never early, and late by a 32nd at most', async (t) => {
  const simulation = new Simulation(1)
  const env = simulation.createEnv('broker')
  const deadlines = new Deadlines(env)
  const startMs = env.clock.monotonicMs()
  const late: number[] = []
  const delays = [0, 1, 3, 10, 33, 500, 512, 30_000, 300_000]
  for (const delayMs of delays.toReversed()) {
    deadlines.after(delayMs, () => late.push(env.clock.monotonicMs() - startMs - delayMs))
  }
  await simulation.run(simulation.scheduler.nowMs + 400_000)
  t.equal(late.length, delays.length)
  for (const [index, ms] of late.entries()) {
    t.ok(ms >= 0, `${delays[index]} ms`)
    t.ok(ms <= 2 + (delays[index] ?? 0) / 16, `${delays[index]} ms, late by ${ms}`)
  }
})

t.test('deadlines: one timer for all that wait; what is taken back never comes', async (t) => {
  const simulation = new Simulation(2)
  const env = simulation.createEnv('broker')
  let armed = 0
  const timers = {
    soon: (callback: () => void) => env.timers.soon(callback),
    after: (ms: number, callback: () => void) => {
      armed++
      return env.timers.after(ms, callback)
    },
  }
  const deadlines = new Deadlines({ clock: env.clock, timers })
  let count = 0
  const waits = Array.from({ length: 1000 }, () => deadlines.after(30_000, () => count++))
  t.equal(armed, 1)
  for (const wait of waits.slice(1)) wait.cancel()
  await simulation.run(simulation.scheduler.nowMs + 100_000)
  t.equal(count, 1)
  t.equal(armed, 1)
})

t.test('deadlines: one that is longer than any timer can be', async (t) => {
  const simulation = new Simulation(3)
  const env = simulation.createEnv('broker')
  let fired = false
  new Deadlines(env).after(Number.MAX_SAFE_INTEGER, () => (fired = true))
  await simulation.run(simulation.scheduler.nowMs + 1000)
  t.notOk(fired)
})
