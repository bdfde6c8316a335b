import { existsSync, readdirSync } from 'node:fs'
import t from 'tap'
import type { Peer } from '../../bench/harness/peer.ts'
import { planOf } from '../../bench/harness/plan.ts'
import type { CellResult } from '../../bench/harness/result.ts'
import { Runner } from '../../bench/harness/runner.ts'
import type { Cell, Place } from '../../bench/harness/scenario.ts'
import { cellWith, FakePeer, goodSample, intervalWith } from './fakes.ts'

interface RunOptions {
  readonly peers: readonly Peer[]
  readonly rounds?: number
  readonly interruption?: AbortController
  readonly secondsMax?: number
}

async function run(
  folder: string,
  cells: readonly Cell[],
  { peers, rounds = 2, interruption = new AbortController(), secondsMax }: RunOptions,
): Promise<{ results: CellResult[]; text: string }> {
  const scenario = { name: 'some', summary: '', cells: () => cells }
  const wanted = { scope: 'normal', scale: 1, gateSeconds: 1, secondsMax: undefined } as const
  const plan = planOf([scenario], { ...wanted, rounds, peers })
  const lines: string[] = []
  const runner = new Runner({
    folder,
    scope: 'normal',
    gateTimeoutMs: 0,
    secondsMax,
    signal: interruption.signal,
    print: (line) => lines.push(line),
    finished: () => undefined,
  })
  return { results: await runner.run(plan), text: lines.join('\n') }
}

function reasonOf(results: readonly CellResult[], cell: number, peer: string): string | undefined {
  return results[cell]?.entries.find((entry) => entry.peer === peer)?.skipped
}

t.test(
  'runner: every peer once a round, in turns; one instance for all cells with the same terms',
  async (t) => {
    const peers = [new FakePeer('self'), new FakePeer('kafka')]
    const order: string[] = []
    const open = (place: Place) =>
      Promise.resolve({
        sample: async () => {
          await place.running()
          order.push(place.peer.name)
          return goodSample(1)
        },
      })
    const cells = [cellWith({ name: 'one', open }), cellWith({ name: 'two', open })]
    const folder = t.testdir()
    const { results } = await run(folder, cells, { peers })
    const turns = ['self', 'kafka', 'kafka', 'self', 'self', 'kafka']
    t.same(order, [...turns, ...turns], 'a warm-up and two rounds each')
    t.same(
      peers.map(({ started, stopped }) => [started, stopped]),
      [
        [1, 1],
        [1, 1],
      ],
    )
    t.equal(results[0]?.samples.length, 6)
    t.same(results[0]?.entries[1]?.commands, ['run kafka'])
    t.same(readdirSync(folder), [], 'no folder is left')
  },
)

t.test('runner: other terms are another instance', async (t) => {
  const peers = [new FakePeer('self')]
  const open = async (place: Place) => {
    await place.running()
    return { sample: () => Promise.resolve(goodSample(1)) }
  }
  const cells = [
    cellWith({ name: 'one', open }),
    cellWith({ name: 'two', open, terms: { brokers: 1, durability: 'ack' } }),
  ]
  await run(t.testdir(), cells, { peers })
  t.equal(peers[0]?.started, 2)
})

t.test(
  'runner: a peer that does not start is skipped with the reason, the rest goes on',
  async (t) => {
    const broken = new FakePeer('kafka', () => {
      throw new Error('no java here')
    })
    const open = async (place: Place) => {
      await place.running()
      return { sample: () => Promise.resolve(goodSample(1)) }
    }
    const { results, text } = await run(t.testdir(), [cellWith({ open })], {
      peers: [new FakePeer('self'), broken],
    })
    t.equal(reasonOf(results, 0, 'kafka'), 'no java here')
    t.match(text, 'kafka is out of this cell: no java here')
    t.equal(results[0]?.samples.filter(({ peer }) => peer === 'self').length, 3)
  },
)

t.test(
  'runner: a peer that dies is out of the cell, and started again for the next one',
  async (t) => {
    const [self, mortal] = [new FakePeer('self'), new FakePeer('kafka')]
    let samples = 0
    const open = async (place: Place) => ({
      sample: async () => {
        await place.running()
        if (place.peer !== mortal || samples++ !== 1) return goodSample(1)
        mortal.death = 'process 7 is gone: out of memory'
        throw new Error('The server closed a connection')
      },
    })
    const opened = { name: 'one', open }
    const second = {
      name: 'two',
      open: (place: Place) => ((mortal.death = undefined), open(place)),
    }
    const { results } = await run(t.testdir(), [cellWith(opened), cellWith(second)], {
      peers: [self, mortal],
    })
    t.equal(
      reasonOf(results, 0, 'kafka'),
      'process 7 is gone: out of memory (The server closed a connection)',
    )
    t.equal(reasonOf(results, 1, 'kafka'), undefined)
    t.equal(results[1]?.samples.length, 6)
    t.equal(mortal.started, 2)
  },
)

t.test('runner: what was not found at the consumer is no sample', async (t) => {
  const good = goodSample(1)
  const wrong = [
    { ...good, verified: { ...good.verified, foundRecords: 4 } },
    { ...good, verified: { ...good.verified, foundChecksum: 'b' } },
    { ...good, figures: {} },
    { ...good, figures: { speed: NaN } },
  ]
  const cells = wrong.map((sample, index) =>
    cellWith({
      name: `${index}`,
      open: () => Promise.resolve({ sample: () => Promise.resolve(sample) }),
    }),
  )
  const { results } = await run(t.testdir(), cells, { peers: [new FakePeer('self')] })
  t.same(
    results.map((_, index) => reasonOf(results, index, 'self')),
    [
      '5 records were produced, and 4 were found',
      'Checksum a was produced, and b was found',
      'The sample has no figure speed',
      'The sample has no figure speed',
    ],
  )
})

t.test('runner: noisy rounds are made up for, but not without end', async (t) => {
  let count = 0
  const open = () =>
    Promise.resolve({
      sample: () => {
        const interval = intervalWith(count++ % 2 === 0 ? 1 : 0)
        return Promise.resolve({ ...goodSample(1), interval })
      },
    })
  const { results } = await run(t.testdir(), [cellWith({ open, warmUps: 0 })], {
    peers: [new FakePeer('self')],
    rounds: 4,
  })
  t.equal(results[0]?.samples.length, 6, 'half as many again at most')
  t.equal(results[0]?.samples.filter(({ isNoisy }) => isNoisy).length, 3)
})

t.test(
  'runner: when time runs out noisy rounds are not made up for, and cells left out',
  async (t) => {
    const noisy = { ...goodSample(1), interval: intervalWith(1) }
    const open = () => Promise.resolve({ sample: () => Promise.resolve(noisy) })
    const cells = [
      cellWith({ open, warmUps: 0 }),
      cellWith({ name: 'long', open, expectedSeconds: 10 }),
    ]
    const peers = [new FakePeer('self')]
    const { results } = await run(t.testdir(), cells, { peers, rounds: 4, secondsMax: 9 })
    t.equal(results[0]?.samples.length, 4)
    t.equal(results[1]?.samples.length, 0)
    t.match(results[1]?.entries, [{ peer: 'self', refused: /^no time was left/ }])
  },
)

t.test('runner: Ctrl-C kills what runs, keeps what was found and leaves no folder', async (t) => {
  const interruption = new AbortController()
  const folder = t.testdir()
  let exit: Promise<number | string> | undefined
  const open = (place: Place) =>
    Promise.resolve({
      sample: async () => {
        const sleeper = place.processes.spawn('sleep', ['1000'])
        exit = sleeper.exited
        interruption.abort(new Error('interrupted'))
        await sleeper.exited
        return goodSample(1)
      },
    })
  const cells = [cellWith({ name: 'one' }), cellWith({ name: 'two', open }), cellWith({})]
  const { results } = await run(folder, cells, { peers: [new FakePeer('self')], interruption })
  t.equal(await exit, 'SIGKILL')
  t.equal(results.length, 2)
  t.equal(results[0]?.samples.length, 3)
  t.equal(reasonOf(results, 1, 'self'), 'interrupted')
  t.ok(existsSync(folder))
  t.same(readdirSync(folder), [])
})
