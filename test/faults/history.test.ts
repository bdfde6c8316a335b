import t from 'tap'

import { History, violationCount } from './history.ts'

/** One partition with what client a sent to it, all acknowledged. */
function history(...values: string[]): History {
  const history = new History(['a', 'b'], 1)
  for (const [offset, value] of values.entries()) {
    history.acknowledge(0, offset, value)
    history.take(0, offset, value)
  }
  history.checkNothingLost(0, values.length)
  return history
}

t.test('history: everything in its place is no finding', async (t) => {
  const { findings } = history('a-0', 'b-0', 'b-1', 'a-1', 'a-2', 'b-2')
  t.equal(violationCount(findings), 0)
})

t.test('history: a partition gets every n-th number of a client', async (t) => {
  const history = new History(['a'], 3)
  for (const [offset, value] of ['a-1', 'a-4', 'a-7'].entries()) history.take(1, offset, value)
  t.equal(violationCount(history.findings), 0)
  history.take(1, 3, 'a-8')
  t.equal(history.findings.reordered, 1)
})

t.test('history: an acknowledgement beyond the end is a loss', async (t) => {
  const record = history('a-0')
  record.acknowledge(0, 5000, 'a-1')
  record.checkNothingLost(0, 5000)
  t.equal(record.findings.lost, 0, 'acknowledged after reading began')
  record.checkNothingLost(0, 5001)
  t.equal(record.findings.lost, 1)
  t.match(record.findings.examples, ['lost: a-1 at 0/5000, end 1'])
})

t.test('history: the same record twice is a duplicate', async (t) => {
  const record = history('a-0', 'a-1')
  record.take(0, 2, 'a-1')
  t.equal(record.findings.duplicated, 1)
  t.equal(record.findings.reordered, 0)
})

t.test('history: a later record first is a reordering', async (t) => {
  const { findings } = history('a-0', 'a-2', 'a-1')
  t.ok(findings.reordered > 0)
  t.equal(findings.duplicated, 0)
})

t.test('history: a record elsewhere than acknowledged has moved', async (t) => {
  for (const acknowledgeFirst of [true, false]) {
    const record = new History(['a', 'b'], 1)
    if (acknowledgeFirst) record.acknowledge(0, 0, 'a-0')
    record.take(0, 0, 'b-0')
    if (!acknowledgeFirst) record.acknowledge(0, 0, 'a-0')
    t.equal(record.findings.moved, 1)
  }
})

t.test('history: what was acknowledged without an offset must be anywhere', async (t) => {
  const record = history('a-0')
  record.acknowledge(0, undefined, 'a-0')
  record.checkPlaceless()
  t.equal(violationCount(record.findings), 0)
  record.acknowledge(0, undefined, 'a-1')
  record.checkPlaceless()
  t.equal(record.findings.lost, 1)
  t.match(record.findings.examples, ['lost: a-1, anywhere in 0'])
})

t.test('history: two acknowledgements of one offset cannot both be right', async (t) => {
  const record = history('a-0')
  record.acknowledge(0, 0, 'b-0')
  t.ok(record.findings.moved > 0)
})

t.test('history: a hole in the offsets is a change', async (t) => {
  const record = history('a-0')
  record.take(0, 2, 'a-1')
  t.equal(record.findings.changed, 1)
})

t.test('history: a refused record is a finding', async (t) => {
  const record = history()
  record.refuse('OUT_OF_ORDER_SEQUENCE_NUMBER')
  t.equal(violationCount(record.findings), 1)
})
