import t from 'tap'
import { readBatchHeader } from '../../protocol/records/batch.ts'
import { Answers, checkAnswer } from '../../bench/load/answers.ts'
import { batchSet, singleRecordBatch } from '../../bench/load/batch-set.ts'
import { Checksum } from '../../bench/load/checksum.ts'
import { Metronome } from '../../bench/load/metronome.ts'

t.test('load: answers are cut out of a stream however it is cut', async (t) => {
  const frames = [3, 70_000, 1, 12].map((size, index) => {
    const frame = Buffer.alloc(4 + size, index)
    frame.writeInt32BE(size)
    return frame
  })
  const stream = Buffer.concat(frames)
  for (const step of [1, 5, 4096, stream.length]) {
    const found: number[] = []
    const answers = new Answers((bytes, at, size) => {
      t.equal(bytes[at], found.length)
      t.equal(bytes[at + size - 1], found.length)
      found.push(size)
    })
    // One byte at a time is for the small ones only.
    const until = step < 100 ? 7 : stream.length
    for (let at = 0; at < until; at += step) answers.receive(stream.subarray(at, at + step))
    t.same(found, step < 100 ? [3] : [3, 70_000, 1, 12])
  }
})

t.test('load: an answer that is no success fails the job', async (t) => {
  const answer = Buffer.alloc(8)
  checkAnswer(answer, 2)
  answer.writeInt16BE(6, 2)
  t.throws(() => checkAnswer(answer, 2), { message: 'A produce was answered with error 6' })
})

t.test('load: sums do not depend on the order, parts add up, a missing batch shows', async (t) => {
  const sum = (crcs: number[]): string => {
    const checksum = new Checksum()
    for (const crc of crcs) checksum.add(crc)
    return checksum.toString()
  }
  const crcs = [0xffffffff, 1, 0x80000000, 77]
  t.equal(sum(crcs), sum(crcs.toReversed()))
  t.equal(Checksum.of([sum(crcs.slice(0, 2)), sum(crcs.slice(2))]), sum(crcs))
  t.not(sum(crcs.slice(1)), sum(crcs))
  const many = new Checksum()
  many.add(0xffffffff, 3_000_000)
  const wanted = (0xffffffffn * 3_000_000n) % 2n ** 48n
  t.equal(many.toString(), wanted.toString(16), 'exact beyond 2^53')
})

t.test('load: batches have the size that was asked for, compressed ones about', async (t) => {
  for (const { bytes, records, crc } of batchSet(65_536, 100)) {
    t.equal(bytes.length, 65_536)
    t.equal(readBatchHeader(bytes, 0).recordCount, records)
    t.equal(readBatchHeader(bytes, 0).crc, crc)
  }
  for (const codec of ['lz4', 'zstd'] as const) {
    for (const { bytes } of batchSet(65_536, 1024, codec))
      t.ok(Math.abs(bytes.length / 65_536 - 1) < 0.15, `${codec}: ${bytes.length}`)
  }
  t.match(singleRecordBatch(1024), { records: 1 })
  t.equal(singleRecordBatch(1024).bytes.length, 1024)
})

t.test('load: a metronome ticks in order, none before its time', async (t) => {
  const metronome = new Metronome()
  const ticks: number[] = []
  const early: number[] = []
  const { startMs, over } = metronome.tick(2.5, 40, (tick) => {
    ticks.push(tick)
    // Clocks of threads differ by microseconds.
    if (performance.now() < startMs + tick * 2.5 - 0.1) early.push(tick)
  })
  await over
  await metronome.stop()
  t.same(
    ticks,
    Array.from({ length: 40 }, (_, tick) => tick),
  )
  t.same(early, [])
})
