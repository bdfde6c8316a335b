import t from 'tap'
import { isNoisy, waitForIdle, type GateSources } from '../../bench/harness/gate.ts'

/** A machine whose load is told by time. */
function machine(coresAt: (ms: number) => number): GateSources {
  let [nowMs, busyMs] = [0, 0]
  return {
    nowMs: () => nowMs,
    busyMs: () => busyMs,
    pause: (ms) => {
      busyMs += coresAt(nowMs) * ms
      nowMs += ms
      return Promise.resolve()
    },
  }
}

const never = new AbortController().signal

t.test('gate: an idle machine is waited for no longer than half a second', async (t) => {
  const waited = await waitForIdle(
    20_000,
    never,
    machine(() => 0.05),
  )
  t.equal(waited, 500)
})

t.test('gate: a moment of work begins it anew', async (t) => {
  const waited = await waitForIdle(
    20_000,
    never,
    machine((ms) => (ms === 300 ? 1.5 : 0.1)),
  )
  t.equal(waited, 900)
})

t.test('gate: a machine that never idles is given up on, which the sign tells', async (t) => {
  const waited = await waitForIdle(
    5_000,
    never,
    machine(() => 1.8),
  )
  t.equal(waited, -5_000)
})

t.test('gate: Ctrl-C ends the wait', async (t) => {
  const interruption = new AbortController()
  interruption.abort(new Error('interrupted'))
  await t.rejects(
    waitForIdle(
      5_000,
      interruption.signal,
      machine(() => 1),
    ),
    {
      message: 'interrupted',
    },
  )
})

t.test('gate: work of others and of the hypervisor make a sample noisy', async (t) => {
  t.notOk(isNoisy({ foreignCores: 0.1, stealCores: 0.05 }))
  t.ok(isNoisy({ foreignCores: 0.3, stealCores: 0 }))
  t.ok(isNoisy({ foreignCores: 0, stealCores: 0.3 }))
})
