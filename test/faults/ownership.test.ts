import t from 'tap'

import { Ownership } from './ownership.ts'

t.test('ownership: handed over in order is no overlap', async (t) => {
  const ownership = new Ownership(2)
  ownership.begin('a', 0, 100)
  ownership.end('a', 0, 200)
  ownership.begin('b', 0, 201)
  ownership.begin('a', 1, 100)
  t.strictSame(ownership.overlaps(), [])
  t.equal(ownership.ownedSinceMs('b', 0), 201)
  t.equal(ownership.ownedSinceMs('a', 0), undefined)
  t.strictSame(ownership.ownedBy('a'), [1])
})

t.test('ownership: two owners at once are found, whatever the order of their news', async (t) => {
  const ownership = new Ownership(1)
  ownership.begin('b', 0, 150)
  ownership.begin('a', 0, 100)
  ownership.end('a', 0, 200)
  t.match(ownership.overlaps(), ['partition 0: b had it 50 ms with a, from 150'])
})

t.test('ownership: ends when a member is killed, and is not revived by a late word', async (t) => {
  const ownership = new Ownership(1)
  ownership.begin('a', 0, 100)
  ownership.endAll('a', 120)
  ownership.end('a', 0, 500)
  ownership.begin('b', 0, 130)
  t.strictSame(ownership.overlaps(), [])
})
