import t from 'tap'
import { collisionKey, topicNameProblem } from '../../protocol/topic-name.ts'

t.test('topic name: what may be a name', async (t) => {
  for (const name of ['a', 'A-1_b.c', '...', 'x'.repeat(249), '_']) {
    t.equal(topicNameProblem(name), undefined, name)
  }
})

t.test('topic name: what may not, for it becomes a folder', async (t) => {
  const bad = ['', '.', '..', 'x'.repeat(250), 'a b', 'a/b', '../a', 'ä', 'a\0', 'a\n', 'a:b', 'é']
  for (const name of bad) t.match(topicNameProblem(name), /^Topic name is invalid/, name)
})

t.test('topic name: names that differ in . and _ only have the same key', async (t) => {
  t.equal(collisionKey('a.b_c'), collisionKey('a_b.c'))
  t.not(collisionKey('a.b'), collisionKey('a.c'))
  t.equal(collisionKey('abc'), undefined)
})
