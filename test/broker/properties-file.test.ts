import t from 'tap'
import { parseProperties } from '../../broker/properties-file.ts'

const read = (text: string): Record<string, string> => Object.fromEntries(parseProperties(text))

t.test('properties: the three separators, comments and blank lines', async (t) => {
  const text = '# comment\n\n! another\na=1\n  b : 2\nc 3\nd\te\nf=\ng\n=empty key'
  t.same(read(text), { a: '1', b: '2', c: '3', d: 'e', f: '', g: '', '': 'empty key' })
})

t.test('properties: a value may hold separators and comment signs', async (t) => {
  t.same(read('listeners=PLAINTEXT://:9092,B://[::1]:1 # no comment'), {
    listeners: 'PLAINTEXT://:9092,B://[::1]:1 # no comment',
  })
})

t.test('properties: a backslash at the end of a line continues it', async (t) => {
  t.same(read('a=1,\\\n    2,\\\r\n    3\nb=x\\\\\nc=end\\'), { a: '1,2,3', b: 'x\\', c: 'end' })
})

t.test('properties: escapes', async (t) => {
  t.same(read('a\\=b\\ c=\\u0041\\t\\n\\:\\q'), { 'a=b c': 'A\t\n:q' })
})

t.test('properties: the last value of a key holds, with any line end', async (t) => {
  t.same(read('a=1\r\na=2\ra=3'), { a: '3' })
})
