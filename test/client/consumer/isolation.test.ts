import t from 'tap'
import { AbortedTransactions } from '../../../client/consumer/isolation.ts'
import { patchBatch, readBatchHeader } from '../../../protocol/records/batch.ts'
import { BatchBuilder } from '../../../protocol/records/builder.ts'
import { controlBatch, type TransactionEnd } from '../../../protocol/records/control.ts'

/** Hides what a reader of committed data must not see: tells which of the batches come through. */
function seen(
  aborted: { producerId: number; firstOffset: number }[],
  batches: readonly Buffer[],
): number[] {
  const filter = new AbortedTransactions(aborted)
  return batches.flatMap((batch) => {
    const header = readBatchHeader(batch, 0)
    return filter.hides(header, batch) || (header.attributes & 0x20) !== 0
      ? []
      : [header.baseOffset]
  })
}

function data(baseOffset: number, producerId: number, transactional = true): Buffer {
  const builder = new BatchBuilder({
    baseOffset,
    producerId,
    producerEpoch: 0,
    baseSequence: 0,
    transactional,
  })
  builder.append('k', 'v', [], 0)
  return builder.finish()
}

function marker(offset: number, producerId: number, end: TransactionEnd): Buffer {
  const fields = { end, producerId, producerEpoch: 0, coordinatorEpoch: 0, timestamp: 0 }
  const batch = controlBatch(fields)
  patchBatch(batch, 0, offset, 0)
  return batch
}

t.test('isolation: two aborts of one producer in one fetch hide both', (t) => {
  const batches = [
    data(0, 7),
    marker(1, 7, 'abort'),
    data(2, 7),
    marker(3, 7, 'commit'),
    data(4, 7),
    marker(5, 7, 'abort'),
    data(6, 7),
    marker(7, 7, 'commit'),
  ]
  const aborted = [
    { producerId: 7, firstOffset: 4 },
    { producerId: 7, firstOffset: 0 },
  ]
  t.strictSame(seen(aborted, batches), [2, 6])
  t.end()
})

t.test('isolation: the marker lies behind the end of the fetch', (t) => {
  t.strictSame(seen([{ producerId: 7, firstOffset: 0 }], [data(0, 7), data(1, 8), data(2, 7)]), [1])
  t.end()
})

t.test('isolation: the transaction began before the fetch', (t) => {
  const batches = [data(100, 7), marker(101, 7, 'abort'), data(102, 7)]
  t.strictSame(seen([{ producerId: 7, firstOffset: 3 }], batches), [102])
  t.end()
})

t.test('isolation: an aborting producer that also writes without a transaction', (t) => {
  const batches = [data(0, 7), data(1, 7, false), data(2, 7), marker(3, 7, 'abort')]
  t.strictSame(seen([{ producerId: 7, firstOffset: 0 }], batches), [1])
  t.end()
})

t.test('isolation: transactions of several producers interleave', (t) => {
  const batches = [
    data(0, 7),
    data(1, 8),
    data(2, 7),
    marker(3, 8, 'commit'),
    marker(4, 7, 'abort'),
    data(5, 8),
    marker(6, 8, 'abort'),
  ]
  const aborted = [
    { producerId: 7, firstOffset: 0 },
    { producerId: 8, firstOffset: 5 },
  ]
  t.strictSame(seen(aborted, batches), [1])
  t.end()
})
