import t from 'tap'
import { flagsOf } from '../../bench/harness/flags.ts'
import { planOf, refusalOf, type PlanOptions } from '../../bench/harness/plan.ts'
import type { Scenario } from '../../bench/harness/scenario.ts'
import { cellWith, FakePeer } from './fakes.ts'

const peers = [new FakePeer('self'), new FakePeer('kafka')]
const options: PlanOptions = {
  scope: 'full',
  scale: 1,
  rounds: 7,
  peers,
  gateSeconds: 1,
  secondsMax: undefined,
}
const plenty = { freeDiskBytes: 1e12, freeMemoryBytes: 1e12, secondsMax: undefined }

function scenarioWith(...cells: Parameters<typeof cellWith>[0][]): Scenario {
  return { name: 'some', summary: '', cells: () => cells.map(cellWith) }
}

t.test('plan: time is that of all peers, rounds, warm-ups, the gate and the starts', async (t) => {
  const plan = planOf([scenarioWith({ expectedSeconds: 2, openSeconds: 3 })], options)
  t.equal(plan.seconds, 2 * (4 + 3 + 8 * 3))
  t.equal(refusalOf(plan, plenty), undefined)
})

t.test('plan: rounds become fewer to fit, but not fewer than three', async (t) => {
  const scenario = scenarioWith({ expectedSeconds: 2 })
  const fitting = planOf([scenario], { ...options, secondsMax: 45 })
  t.equal(fitting.cells[0]?.rounds, 5)
  const tight = planOf([scenario], { ...options, secondsMax: 5 })
  t.equal(tight.cells[0]?.rounds, 3)
  t.match(refusalOf(tight, { ...plenty, secondsMax: 5 }), /^The run takes 0\.5 min with 3 rounds/)
})

t.test('plan: too little disk or memory is refused before anything starts', async (t) => {
  const plan = planOf([scenarioWith({ diskBytes: 5e9 }, { diskBytes: 1e9 })], options)
  t.equal(plan.diskBytes, 1e10, 'of the worst cell, all peers side by side')
  t.match(refusalOf(plan, { ...plenty, freeDiskBytes: 1e10 }), /^The disk has 10\.0 GB free/)
  t.match(refusalOf(plan, { ...plenty, freeMemoryBytes: 5e8 }), /of memory are available/)
  t.equal(refusalOf(plan, { ...plenty, freeMemoryBytes: undefined }), undefined)
})

t.test('plan: a cell that is not for a peer costs it no time', async (t) => {
  const refuses = (peer: { name: string }) => (peer.name === 'kafka' ? 'no' : undefined)
  const plan = planOf([scenarioWith({ refuses, expectedSeconds: 2 })], options)
  t.same(plan.cells[0]?.peers, [peers[0]])
  t.equal(plan.seconds, 4 + 8 * 3)
})

t.test('flags: quick without any, what each scope allows, and nonsense refused', async (t) => {
  t.match(flagsOf([]), { scope: 'quick', rounds: 3, secondsMax: 180, peers: undefined })
  t.match(flagsOf(['--full']), { scope: 'full', rounds: 7, secondsMax: 2400 })
  t.match(flagsOf(['--scenario', 'produce,latency', '--peers', 'self,self@HEAD~1']), {
    scope: 'normal',
    scenarios: ['produce', 'latency'],
    peers: ['self', 'self@HEAD~1'],
    secondsMax: undefined,
  })
  t.equal(flagsOf(['--gate', '0']).gateTimeoutMs, 0)
  t.throws(() => flagsOf(['--rounds', 'many']), { message: '--rounds takes a number' })
  t.throws(() => flagsOf(['--rounds', '0']), { message: '--rounds takes a number' })
  t.throws(() => flagsOf(['--nonsense']))
})
