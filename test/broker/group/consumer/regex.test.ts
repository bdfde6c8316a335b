// Patterns come from clients: any text has an answer, soon.
import t from 'tap'
import { compileTopicPattern, estimatedSize } from '../../../../broker/group/consumer/regex.ts'
import { findTopics } from '../../../../broker/group/consumer/topic-search.ts'
import { ClusterImage } from '../../../../broker/metadata/image.ts'
import { manualEnv } from '../../../support/manual-env.ts'
import { cpuTimeMs } from '../../../support/cpu-time.ts'

t.test('regex: the whole name must match', async (t) => {
  const pattern = await compileTopicPattern('orders|a.b')
  t.strictSame(
    ['orders', 'orders-2', 'a.b', 'axb', 'my-orders'].map((name) => pattern?.matches(name)),
    [true, false, true, true, false],
  )
})

t.test('regex: what RE2 does not know, and what costs too much, is no pattern', async (t) => {
  await compileTopicPattern('loads the engine')
  const refused = [
    '(',
    '[a',
    '(a)\\1',
    '(?=a)',
    '(?<!a)b',
    'a{2,1}',
    '(a{1000}|b)'.repeat(90),
    '((a{30}){30}){30}',
    '(.{0,40}){0,40}',
    '('.repeat(500),
    'a'.repeat(1001),
  ]
  for (const regex of refused) {
    const started = cpuTimeMs()
    t.equal(await compileTopicPattern(regex), undefined, regex.slice(0, 20))
    t.ok(cpuTimeMs() - started < 100, 'soon')
  }
})

t.test('regex: names that make other engines hang are nothing special', async (t) => {
  const pattern = await compileTopicPattern('(x+x+)+y')
  const started = cpuTimeMs()
  t.equal(pattern?.matches('x'.repeat(249)), false)
  t.ok(cpuTimeMs() - started < 100)
})

t.test('regex: the estimate is no less than a pattern written out', async (t) => {
  t.equal(estimatedSize('abc'), 3)
  t.ok(estimatedSize('a{10}') >= 10)
  t.ok(estimatedSize('(ab){3,10}') >= 20)
  t.ok(estimatedSize('((a{10}){10}){10}') >= 1000)
  t.equal(estimatedSize('[a-z{}()]\\{2'), 3)
})

t.test('topics: internal ones are left out, and other work goes on', async (t) => {
  const image = new ClusterImage('cluster')
  const names = Array.from({ length: 300 }, (_, index) => `topic-${1000 + index}`)
  const id = (index: number): string => index.toString(16).padStart(32, '0')
  image.apply(0, [
    { type: 'topic', id: id(1), name: '__consumer_offsets' },
    ...names.map((name, index) => ({ type: 'topic', id: id(index + 2), name }) as const),
  ])
  const env = manualEnv(1)
  let soonCount = 0
  let nowMs = 0
  const found = await findTopics('.*', image, {
    clock: { ...env.clock, monotonicMs: () => (nowMs += 5) },
    timers: {
      ...env.timers,
      soon: (callback) => {
        soonCount++
        setImmediate(callback)
      },
    },
  })
  t.strictSame(found, { topics: names, version: 0 })
  t.ok(soonCount >= 4)
  t.equal(await findTopics('(', image, env), undefined)
})
