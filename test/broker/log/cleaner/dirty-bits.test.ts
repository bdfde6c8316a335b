// Goal: counts over any range are those of a plain set, across words and at their borders.
import t from 'tap'
import { DirtyBits } from '../../../../broker/log/cleaner/dirty-bits.ts'
import { Seeded } from '../seeded.ts'

t.test('dirty bits: as a set of offsets', (t) => {
  const random = new Seeded()
  for (let round = 0; round < 50; round++) {
    // Beyond 2^31, where bits and offsets are no longer the same kind of number.
    const first = random.below(2) * 5_000_000_000 + random.below(100)
    const end = first + 1 + random.below(300)
    const bits = new DirtyBits(first, end)
    const superseded = new Set<number>()
    const special = new Set<number>()
    for (let count = random.below(end - first + 1); count > 0; count--) {
      const offset = first + random.below(end - first)
      superseded.add(offset)
      bits.supersede(offset)
      if (random.below(20) > 0) continue
      special.add(offset)
      bits.markSpecial(offset)
    }
    const wrong: string[] = []
    for (let from = first; from < end; from += 1 + random.below(5)) {
      if (bits.isSuperseded(from) !== superseded.has(from)) wrong.push(`${from}`)
      const to = from + 1 + random.below(end - from)
      const within = (offset: number): boolean => offset >= from && offset < to
      if (bits.supersededCount(from, to) !== [...superseded].filter(within).length)
        wrong.push(`count ${from} ${to}`)
      if (bits.hasSpecial(from, to) !== [...special].some(within)) wrong.push(`any ${from} ${to}`)
    }
    t.same(wrong, [])
    t.notOk(bits.covers(first - 1, end))
    t.notOk(bits.covers(first, end + 1))
  }
  t.end()
})
