import t from 'tap'
import { nearestOf } from '../../base/nearest.ts'

t.test('nearest: the candidate with the fewest edits', async (t) => {
  const names = ['log.dirs', 'log.dir', 'log.segment.bytes', 'num.partitions']
  t.equal(nearestOf('log.dris', names), 'log.dirs')
  t.equal(nearestOf('log.segments.bytes', names), 'log.segment.bytes')
  t.equal(nearestOf('num.partition', names), 'num.partitions')
  t.equal(nearestOf('log.dir', names), 'log.dir')
})

t.test('nearest: a word without likeness still gets one', async (t) => {
  t.equal(nearestOf('zzz', ['a', 'abcdef']), 'a')
})
