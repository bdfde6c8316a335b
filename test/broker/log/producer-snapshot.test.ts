import t from 'tap'
import { ProducerState } from '../../../broker/log/producer-state.ts'
import { crc32c } from '../../../protocol/bytes/crc32c.ts'
import { headerOf } from './producer-headers.ts'
import { Seeded } from './seeded.ts'

/** Written by Apache Kafka 4.3.1: an idempotent producer, one with an open transaction, one with only a marker. */
const kafkaBytes = Buffer.from(
  '0001bd96e25700000003' +
    '0000000000000fa000030000000900000000000005dc000000090000018bcfe569c80000000cffffffffffffffff' +
    '0000000000000fa1000000000004' +
    '00000000000007cf000000040000018bcfe56be7ffffffff000000000000076c' +
    '0000000000000fa27fffffffffffffffffffffffffff000000000000018bcfe56be800000005ffffffffffffffff',
  'hex',
)
const kafkaEmpty = Buffer.from('000148674bc700000000', 'hex')
const kafkaProducers = [
  [4000, 3, 9, 1_700_000_000_456, 12, -1],
  [4001, 0, 4, 1_700_000_000_999, -1, 1900],
  [4002, 32_767, -1, 1_700_000_001_000, 5, -1],
]

function rowsOf(state: ProducerState | undefined): unknown {
  return state?.activeProducers().map((producer) => Object.values(producer))
}

function withCrc(bytes: Buffer): Buffer {
  bytes.writeUInt32BE(crc32c(bytes.subarray(6)), 2)
  return bytes
}

function example(): ProducerState {
  const state = new ProducerState()
  for (let batch = 0; batch < 8; batch++) {
    state.apply(
      headerOf({ producerId: 10, baseSequence: batch * 2, lastOffsetDelta: 1 }),
      batch * 4,
      100 + batch,
    )
    state.apply(
      headerOf({ producerId: 11, baseSequence: batch, attributes: 0x10 }),
      batch * 4 + 2,
      200,
    )
  }
  return state
}

t.test("producer snapshot: Kafka's bytes are read", async (t) => {
  const state = ProducerState.decodeSnapshot(kafkaBytes, 2000)
  t.same(rowsOf(state), kafkaProducers)
  t.equal(state?.nextOffset, 2000)
  t.equal(state?.firstUnstableOffset(2000), 1900)
  const retry = headerOf({
    producerId: 4000,
    producerEpoch: 3,
    baseSequence: 0,
    lastOffsetDelta: 9,
  })
  t.match(state?.check(retry, 'client'), { kind: 'duplicate', baseOffset: 1491 })
  t.same(rowsOf(ProducerState.decodeSnapshot(kafkaEmpty, 0)), [])
})

t.test("producer snapshot: what Kafka reads of ours is Kafka's bytes", async (t) => {
  const ours = ProducerState.decodeSnapshot(kafkaBytes, 2000)!.encodeSnapshot()
  t.equal(ours.readInt16BE(0), 1)
  t.equal(ours.readUInt32BE(2), crc32c(ours.subarray(6)))
  t.ok(ours.subarray(6, kafkaBytes.length).equals(kafkaBytes.subarray(6)))
  t.equal(ours.toString('latin1', kafkaBytes.length, kafkaBytes.length + 4), 'MLR1')
})

t.test('producer snapshot: the last five batches survive a restart', async (t) => {
  const bytes = example().encodeSnapshot()
  const state = ProducerState.decodeSnapshot(bytes, 32)!
  for (let batch = 3; batch < 8; batch++) {
    const retry = headerOf({ producerId: 10, baseSequence: batch * 2, lastOffsetDelta: 1 })
    t.match(state.check(retry, 'client'), { kind: 'duplicate', baseOffset: batch * 4 })
  }
  t.equal(state.firstUnstableOffset(32), 2)
  t.ok(state.encodeSnapshot().equals(bytes))
  state.expire(1107, 1000)
  t.equal(state.producerCount, 1, 'expiry goes on from the last append')
})

t.test(
  'producer snapshot: a timestamp beyond what a number holds is stored as the greatest',
  async (t) => {
    const state = new ProducerState()
    state.apply(headerOf({ producerId: 1, maxTimestamp: 2 ** 63 }), 0, 0)
    state.apply(headerOf({ producerId: 2, maxTimestamp: -(2 ** 63) }), 1, 0)
    const read = ProducerState.decodeSnapshot(state.encodeSnapshot(), 2)
    t.same(
      read?.activeProducers().map((producer) => producer.lastTimestamp),
      [Number.MAX_SAFE_INTEGER, -1],
    )
  },
)

t.test('producer snapshot: a file cut at any length is damaged', async (t) => {
  for (const bytes of [kafkaBytes, kafkaEmpty, example().encodeSnapshot()]) {
    for (let length = 0; length < bytes.length; length++) {
      if (ProducerState.decodeSnapshot(bytes.subarray(0, length), 2000) !== undefined)
        t.fail(`length ${length}`)
    }
  }
})

t.test('producer snapshot: any flipped bit is damage', async (t) => {
  const random = new Seeded()
  t.comment(`SEED=${random.seed}`)
  for (const bytes of [kafkaBytes, example().encodeSnapshot()]) {
    for (let round = 0; round < 500; round++) {
      const flipped = random.flip(bytes)
      if (ProducerState.decodeSnapshot(flipped, 2000) !== undefined) t.fail(flipped.toString('hex'))
    }
  }
})

t.test(
  'producer snapshot: content that no broker writes is damaged, even under a good checksum',
  async (t) => {
    t.equal(ProducerState.decodeSnapshot(kafkaBytes, 1999), undefined, 'it is of a longer log')
    const negative = Buffer.from(kafkaEmpty)
    negative.writeInt32BE(-1, 6)
    t.equal(ProducerState.decodeSnapshot(withCrc(negative), 0), undefined)
    const huge = Buffer.from(kafkaEmpty)
    huge.writeInt32BE(0x7fff_ffff, 6)
    t.equal(ProducerState.decodeSnapshot(withCrc(huge), 0), undefined)
    const version = Buffer.from(kafkaEmpty)
    version.writeInt16BE(2, 0)
    t.equal(ProducerState.decodeSnapshot(version, 0), undefined)
    const ours = example().encodeSnapshot()
    const countAt = 10 + 2 * 46 + 4 + 8
    t.equal(ours[countAt], 5)
    for (const count of [6, 255, 4]) {
      const bytes = Buffer.from(ours)
      bytes[countAt] = count
      t.equal(ProducerState.decodeSnapshot(withCrc(bytes), 32), undefined, `${count} batches`)
    }
    const other = Buffer.from(ours)
    other.writeBigInt64BE(30n, 10 + 14)
    t.equal(ProducerState.decodeSnapshot(withCrc(other), 32), undefined, 'the parts disagree')
    const backward = Buffer.from(ours)
    backward.writeBigInt64BE(31n, countAt + 1 + 4)
    t.equal(ProducerState.decodeSnapshot(withCrc(backward), 32), undefined, 'batches out of order')
  },
)

t.test(
  'producer snapshot: bytes behind the entries that are not ours are left alone',
  async (t) => {
    const bytes = withCrc(Buffer.concat([kafkaBytes, Buffer.from('later')]))
    t.same(rowsOf(ProducerState.decodeSnapshot(bytes, 2000)), kafkaProducers)
  },
)
