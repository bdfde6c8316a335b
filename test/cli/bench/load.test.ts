import t from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Pace, waitUntil } from '../../../cli/bench/pace.ts'
import { monotonicPayloads, payloadsOfFile, randomPayloads } from '../../../cli/bench/payloads.ts'

t.test('payloads: random letters, all of them, and none twice nearby', async (t) => {
  const payloads = randomPayloads(64, 10_000)
  const texts = Array.from({ length: 10_000 }, () => payloads.next().toString('latin1'))
  t.equal(new Set(texts).size, 10_000)
  t.ok(texts.every((text) => /^[A-Z]{64}$/.test(text)))
  t.equal(new Set(texts.join('')).size, 26)
  t.equal(payloads.bytesEach(), 64)
})

t.test('payloads: large records take no more memory than small ones', async (t) => {
  const payloads = randomPayloads(8 * 1024 * 1024, 1_000_000)
  const first = payloads.next()
  t.not(payloads.next(), first)
  t.equal(payloads.next(), first, 'two are enough to differ over 16 MiB')
})

t.test('payloads: numbers', async (t) => {
  const payloads = monotonicPayloads()
  const texts = Array.from({ length: 11 }, () => payloads.next().toString())
  t.same(texts, ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '10'])
  t.equal(payloads.bytesEach(), 12 / 11)
})

t.test('payloads: of a file, at random', async (t) => {
  const file = join(t.testdir(), 'texts')
  writeFileSync(file, 'one;two;grün;;')
  const payloads = await payloadsOfFile(file, ';')
  const seen = new Set(Array.from({ length: 200 }, () => payloads.next().toString()))
  t.same([...seen].sort(), ['grün', 'one', 'two'])
  writeFileSync(file, '')
  await t.rejects(payloadsOfFile(file, ';'), { code: 'USAGE' })
  await t.rejects(payloadsOfFile(`${file}.none`, ';'), { code: 'USAGE' })
})

t.test('pace: records are due at even distances, whatever the time is', async (t) => {
  const pace = new Pace(1000, 250)
  t.same(
    [0, 1, 2, 1000].map((index) => pace.dueMs(index)),
    [1000, 1004, 1008, 5000],
  )
  t.equal(new Pace(1000, -1).dueMs(5), undefined)
})

t.test('pace: a wait ends when it is over, and at once when it is aborted', async (t) => {
  const dueMs = performance.now() + 12
  await waitUntil(dueMs, new AbortController().signal)
  t.ok(performance.now() >= dueMs)
  await waitUntil(Infinity, AbortSignal.abort())
  const later = new AbortController()
  const waiting = waitUntil(Infinity, later.signal)
  later.abort()
  await waiting
})
