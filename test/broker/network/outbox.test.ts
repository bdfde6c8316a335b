import t from 'tap'
import { Outbox } from '../../../broker/network/outbox.ts'

function setUp(): {
  outbox: Outbox
  sent: number[]
  turns: (() => void)[]
  sender: (id: number) => { flush(): void }
} {
  const turns: (() => void)[] = []
  const sent: number[] = []
  const after = (): never => {
    throw new Error('an outbox does not wait for a time')
  }
  const outbox = new Outbox({ after, soon: (run) => void turns.push(run) })
  return { outbox, sent, turns, sender: (id) => ({ flush: () => void sent.push(id) }) }
}

t.test('outbox: what becomes ready in a turn leaves together at its end, in order', async (t) => {
  const { outbox, sent, turns, sender } = setUp()
  for (const id of [1, 2, 3]) outbox.add(sender(id))
  t.same(sent, [])
  t.equal(turns.length, 1)
  turns.shift()?.()
  t.same(sent, [1, 2, 3])
  outbox.add(sender(4))
  t.same(sent, [1, 2, 3])
  turns.shift()?.()
  t.same(sent, [1, 2, 3, 4])
})

t.test('outbox: a crowd does not wait for the end of the turn', async (t) => {
  const { outbox, sent, turns, sender } = setUp()
  for (let id = 0; id < 70; id++) outbox.add(sender(id))
  t.same(
    sent,
    Array.from({ length: 64 }, (_, id) => id),
  )
  t.equal(turns.length, 1)
  turns.shift()?.()
  t.equal(sent.length, 70)
})

t.test('outbox: what is added while others are sent leaves in the next turn', async (t) => {
  const { outbox, sent, turns, sender } = setUp()
  outbox.add({ flush: () => outbox.add(sender(2)) })
  turns.shift()?.()
  t.same(sent, [])
  turns.shift()?.()
  t.same(sent, [2])
})
