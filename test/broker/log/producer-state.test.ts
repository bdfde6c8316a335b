// Goal: idempotence as Apache Kafka has it. Its own classes' answers to random appends are the oracle, and a simple
// model that remembers everything says what a retry must get.
import t from 'tap'
import type { AppendOrigin } from '../../../broker/log/producer-state.ts'
import { ProducerState } from '../../../broker/log/producer-state.ts'
import { kafkaProducerTrace } from './kafka-producer-trace.ts'
import { firstTimestamp, headerOf } from './producer-headers.ts'
import { Seeded } from './seeded.ts'

const transactional = 0x10
const origins: Record<string, AppendOrigin> = { c: 'client', o: 'coordinator', r: 'replica' }

/** Does what one line of the trace says and returns the answer in its words. */
function follow(state: ProducerState, line: string): string {
  const [kind, ...words] = line.split(' ')
  const numbers = words.map(Number)
  if (kind === 'U') return String(state.firstUnstableOffset(numbers[0]!) ?? -1)
  if (kind === 'S') {
    const producers = state
      .activeProducers()
      .toSorted((left, right) => left.producerId - right.producerId)
    return producers.map((producer) => `${Object.values(producer).join(',')};`).join('')
  }
  const [producerId, producerEpoch] = numbers
  const origin = origins[words.at(-2)!]!
  const offset = numbers.at(-1)!
  const common = {
    producerId: producerId!,
    producerEpoch: producerEpoch!,
    maxTimestamp: firstTimestamp + offset,
  }
  if (kind === 'D') {
    const [, , baseSequence, count, inTransaction] = numbers
    const attributes = inTransaction === 1 ? transactional : 0
    const header = headerOf({
      ...common,
      attributes,
      baseSequence: baseSequence!,
      lastOffsetDelta: count! - 1,
    })
    const check = state.check(header, origin)
    if (check.kind === 'refused') return String(check.error.code)
    if (check.kind === 'duplicate') return `dup ${check.baseOffset} ${check.logAppendTimeMs}`
    state.apply(header, offset, 0)
    return 'new'
  }
  const marker = { coordinatorEpoch: numbers[2]!, type: words[3] as 'commit' | 'abort' }
  const header = headerOf({ ...common, attributes: transactional | 0x20, baseSequence: -1 })
  const check = state.checkMarker(header, marker, { origin, transactionVersion: numbers[4]! })
  if (check.kind === 'refused') return String(check.error.code)
  const done = state.applyMarker(header, marker, offset, 0)
  if (done === undefined) return 'new'
  return `new ${done.firstOffset} ${done.lastOffset} ${done.lastStableOffset} ${done.aborted ? 1 : 0}`
}

t.test("producer state: answers as Kafka's own classes do", async (t) => {
  const state = new ProducerState()
  let compared = 0
  for (const line of kafkaProducerTrace.trim().split('\n')) {
    const [append, answer] = line.split(' = ')
    const ours = follow(state, append!)
    if (ours !== (answer ?? '')) {
      t.equal(ours, answer, line)
      break
    }
    compared++
  }
  t.equal(compared, kafkaProducerTrace.trim().split('\n').length)
})

t.test('producer state: snapshots lose nothing along the way', async (t) => {
  let state = new ProducerState()
  for (const line of kafkaProducerTrace.trim().split('\n')) {
    const [append, answer] = line.split(' = ')
    // Completed transactions above the high watermark are not in a snapshot.
    if (append!.startsWith('U')) continue
    state = ProducerState.decodeSnapshot(state.encodeSnapshot(), state.nextOffset)!
    const ours = follow(state, append!)
    if (ours !== (answer ?? '')) {
      t.equal(ours, answer, line)
      break
    }
  }
  t.ok(state.producerCount > 0)
})

t.test(
  'producer state: a retry of one of the last five batches gets its first offset',
  async (t) => {
    const state = new ProducerState()
    for (let batch = 0; batch < 7; batch++) {
      const header = headerOf({
        baseSequence: batch * 10,
        lastOffsetDelta: 9,
        maxTimestamp: firstTimestamp + batch,
      })
      t.same(state.check(header, 'client'), { kind: 'new' })
      state.apply(header, batch * 10, 0)
    }
    for (let batch = 0; batch < 7; batch++) {
      const check = state.check(
        headerOf({ baseSequence: batch * 10, lastOffsetDelta: 9 }),
        'client',
      )
      if (batch < 2)
        t.match(check, { kind: 'refused', error: { code: 45 }, message: /69 is the last/ })
      else
        t.same(check, {
          kind: 'duplicate',
          baseOffset: batch * 10,
          logAppendTimeMs: firstTimestamp + batch,
        })
    }
    t.match(
      state.check(headerOf({ baseSequence: 60, lastOffsetDelta: 8 }), 'client'),
      { error: { code: 45 } },
      'a part',
    )
    t.match(state.check(headerOf({ baseSequence: 71 }), 'client'), { error: { code: 45 } }, 'a gap')
  },
)

t.test('producer state: sequences wrap', async (t) => {
  const state = new ProducerState()
  const last = headerOf({ baseSequence: 2_147_483_646, lastOffsetDelta: 3 })
  t.same(
    state.check(last, 'client'),
    { kind: 'new' },
    'a producer that is not known begins anywhere',
  )
  state.apply(last, 0, 0)
  t.match(state.check(last, 'client'), { kind: 'duplicate', baseOffset: 0 })
  t.match(state.check(headerOf({ baseSequence: 0 }), 'client'), { kind: 'refused' })
  const next = headerOf({ baseSequence: 2, lastOffsetDelta: 2_147_483_645 })
  t.same(state.check(next, 'client'), { kind: 'new' })
  state.apply(next, 4, 0)
  t.equal(state.activeProducers()[0]?.lastSequence, 2_147_483_647)
  t.same(state.check(headerOf({ baseSequence: 0 }), 'client'), { kind: 'new' })
  t.match(state.check(headerOf({ baseSequence: 1 }), 'client'), { kind: 'refused' })
})

t.test('producer state: an older epoch is fenced, a newer one begins at 0', async (t) => {
  const state = new ProducerState()
  state.apply(headerOf({ producerEpoch: 3, baseSequence: 5 }), 0, 0)
  t.match(state.check(headerOf({ producerEpoch: 2, baseSequence: 6 }), 'client'), {
    error: { code: 47 },
  })
  t.match(state.check(headerOf({ producerEpoch: 2, baseSequence: -1 }), 'coordinator'), {
    error: { code: 47 },
  })
  t.same(state.check(headerOf({ producerEpoch: 2, baseSequence: 6 }), 'replica'), { kind: 'new' })
  t.match(state.check(headerOf({ producerEpoch: 4, baseSequence: 6 }), 'client'), {
    error: { code: 45 },
    message: /a new epoch, 4 after 3, begins at 0/,
  })
  t.same(state.check(headerOf({ producerEpoch: 4, baseSequence: 0 }), 'client'), { kind: 'new' })
  state.apply(headerOf({ producerEpoch: 4, baseSequence: 0 }), 1, 0)
  t.match(
    state.check(headerOf({ producerEpoch: 3, baseSequence: 5 }), 'client'),
    { error: { code: 47 } },
    'no retry',
  )
})

t.test('producer state: a batch without a producer id only moves the end', async (t) => {
  const state = new ProducerState(100)
  t.same(state.check(headerOf({ producerId: -1 }), 'client'), { kind: 'new' })
  state.apply(headerOf({ producerId: -1, lastOffsetDelta: 4 }), 100, 0)
  t.equal(state.nextOffset, 105)
  t.equal(state.producerCount, 0)
  t.throws(() => state.apply(headerOf({}), 104, 0), /I1/)
})

t.test(
  'producer state: a transaction holds the last stable offset back until its marker is replicated',
  async (t) => {
    const state = new ProducerState()
    const open = (producerId: number, offset: number): void =>
      state.apply(headerOf({ producerId, attributes: transactional }), offset, 0)
    t.equal(state.firstUnstableOffset(0), undefined)
    open(1, 0)
    open(2, 1)
    t.equal(state.firstUnstableOffset(2), 0)
    t.match(state.check(headerOf({ producerId: 1, baseSequence: 1 }), 'client'), {
      error: { code: 48 },
    })
    const header = headerOf({ producerId: 1, attributes: transactional | 0x20 })
    const done = state.applyMarker(header, { type: 'abort', coordinatorEpoch: 0 }, 2, 0)
    t.same(done, {
      producerId: 1,
      firstOffset: 0,
      lastOffset: 2,
      aborted: true,
      lastStableOffset: 1,
    })
    t.equal(state.firstUnstableOffset(2), 0, 'the marker is not replicated')
    t.equal(state.firstUnstableOffset(3), 1)
    const end = headerOf({ producerId: 2, attributes: transactional | 0x20 })
    t.match(state.applyMarker(end, { type: 'commit', coordinatorEpoch: 0 }, 3, 0), {
      lastStableOffset: 4,
    })
    state.advanceLogStart(4)
    t.equal(state.firstUnstableOffset(3), undefined, 'the whole transaction was deleted')
    t.equal(state.producerCount, 2)
  },
)

t.test('producer state: a control batch that compaction emptied changes nothing', async (t) => {
  const state = new ProducerState()
  t.equal(state.applyMarker(headerOf({}), undefined, 5, 0), undefined)
  t.equal(state.nextOffset, 6)
  t.equal(state.producerCount, 0)
  t.equal(
    state.applyMarker(headerOf({ producerId: -1 }), { type: 'abort', coordinatorEpoch: 0 }, 6, 0),
    undefined,
  )
  t.throws(() => state.applyMarker(headerOf({}), undefined, 6, 0), /I1/)
})

t.test(
  'producer state: producers expire by append time, unless a transaction is open',
  async (t) => {
    const state = new ProducerState()
    state.expire(0, 1)
    state.apply(headerOf({ producerId: 1, maxTimestamp: 0 }), 0, 1000)
    state.apply(headerOf({ producerId: 2, attributes: transactional }), 1, 1000)
    state.apply(headerOf({ producerId: 3 }), 2, 1500)
    state.expire(1999, 1000)
    t.equal(state.producerCount, 3)
    state.expire(2000, 1000)
    t.same(
      state.activeProducers().map((producer) => producer.producerId),
      [2, 3],
    )
    t.same(
      state.check(headerOf({ producerId: 1, baseSequence: 77 }), 'client'),
      { kind: 'new' },
      'not known any more',
    )
    const marker = { type: 'commit', coordinatorEpoch: 0 } as const
    state.applyMarker(headerOf({ producerId: 2 }), marker, 3, 2500)
    state.expire(9999, 1000)
    t.equal(state.producerCount, 0)
  },
)

t.test(
  'producer state: deleting records keeps producers, truncating the log does not',
  async (t) => {
    const state = new ProducerState()
    state.apply(headerOf({ baseSequence: 7 }), 0, 0)
    state.advanceLogStart(50)
    t.equal(state.nextOffset, 50)
    t.match(state.check(headerOf({ baseSequence: 7 }), 'client'), {
      kind: 'duplicate',
      baseOffset: 0,
    })
    t.ok(state.truncateTo(50))
    t.equal(state.producerCount, 1)
    t.notOk(state.truncateTo(49))
    t.equal(state.producerCount, 0)
    t.equal(state.nextOffset, 49)
  },
)

// The model keeps every accepted batch; only the last five count for retries.
t.test('producer state: five producers in flight, retried and restarted at random', async (t) => {
  const random = new Seeded()
  t.comment(`SEED=${random.seed}`)
  let state = new ProducerState()
  const accepted = new Map<number, { baseSequence: number; count: number; baseOffset: number }[]>()
  let nextOffset = 0
  for (let step = 0; step < 6000; step++) {
    const producerId = random.below(5)
    const batches = accepted.get(producerId) ?? []
    accepted.set(producerId, batches)
    const last = batches.at(-1)
    const nextSequence =
      last === undefined ? 2 ** 31 - 500 : (last.baseSequence + last.count) % 2 ** 31
    const retry =
      batches.length > 0 && random.below(3) === 0
        ? batches[random.below(batches.length)]
        : undefined
    const count = retry?.count ?? 1 + random.below(100)
    const baseSequence =
      retry?.baseSequence ?? (nextSequence + (random.below(8) === 0 ? 1 : 0)) % 2 ** 31
    const header = headerOf({ producerId, baseSequence, lastOffsetDelta: count - 1 })
    const check = state.check(header, 'client')
    const known = batches
      .slice(-5)
      .find((one) => one.baseSequence === baseSequence && one.count === count)
    if (known !== undefined) t.match(check, { kind: 'duplicate', baseOffset: known.baseOffset })
    else if (last === undefined || baseSequence === nextSequence) {
      t.equal(check.kind, 'new')
      state.apply(header, nextOffset, step)
      batches.push({ baseSequence, count, baseOffset: nextOffset })
      nextOffset += count
    } else t.match(check, { kind: 'refused', error: { code: 45 } })
    if (batches.length > 20) batches.shift()
    if (random.below(500) === 0)
      state = ProducerState.decodeSnapshot(state.encodeSnapshot(), nextOffset)!
    if (!t.passing()) break
  }
})
