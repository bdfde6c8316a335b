import t from 'tap'

import { stepsBack } from './committed.ts'
import { Processed } from './processed.ts'

t.test('processed: what comes again is known by its offset', async (t) => {
  const processed = new Processed(1)
  for (const offset of [0, 1, 2, 1]) processed.process(0, offset)
  t.equal(processed.wasAgain(0, 0, 1), false)
  t.equal(processed.wasAgain(0, 0, 2), true)
  t.equal(processed.wasAgain(0, 2, 3), false)
  t.equal(processed.againCount, 1)
})

t.test('processed: acknowledged and never processed is missing, again or not', async (t) => {
  const processed = new Processed(1)
  for (const offset of [0, 1]) processed.acknowledge(0, offset)
  processed.process(0, 0)
  processed.process(0, 0)
  t.equal(processed.missingCount, 1)
  t.same(processed.missing(), ['0/1 was never processed'])
})

t.test('committed: a step back says between which offsets', async (t) => {
  const commits = [5, 9, 7, 8].map((offset) => ({ topic: 'a', partition: 2, offset }))
  t.match(stepsBack(commits), [{ partition: 2, from: 9, to: 7, text: 'a-2 went from 9 back to 7' }])
  t.equal(stepsBack(commits).length, 1)
})
