import t from 'tap'
import { viewOf } from '../../../protocol/bytes/view.ts'

t.test('view: is a Buffer like any other, on the same memory', async (t) => {
  const memory = Buffer.from('0123456789').buffer.slice(0)
  const whole = Buffer.from(memory)
  const view = viewOf(memory, 2, 5)
  t.equal(Object.getPrototypeOf(view), Buffer.prototype)
  t.strictSame(view, whole.subarray(2, 7))
  whole[2] = 120
  t.equal(view[0], 120)
  t.equal(viewOf(memory, memory.byteLength, 0).length, 0)
  t.throws(() => viewOf(memory, memory.byteLength - 1, 2), RangeError)
})
