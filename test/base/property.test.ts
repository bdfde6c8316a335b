import t from 'tap'
import {
  boolean,
  defaultValueOf,
  double,
  int,
  list,
  long,
  renamed,
  short,
  splitList,
  string,
  word,
  type Property,
} from '../../base/property.ts'

const common = { name: 'some.name', doc: 'Some text.' }

/** The value and the canonical text, or the problem. */
function read(property: Property<unknown>, text: string): unknown {
  const parsed = property.parse(text)
  return parsed.ok ? [parsed.value, parsed.text] : parsed.problem
}

t.test('property: whole numbers have bounds and one spelling', async (t) => {
  const property = int({ ...common, default: 5, min: 0, max: 10 })
  t.same(read(property, '7'), [7, '7'])
  t.same(read(property, ' +007 '), [7, '7'])
  t.equal(read(property, '-1'), 'Value must be at least 0')
  t.equal(read(property, '11'), 'Value must be no more than 10')
  for (const bad of ['', 'x', '1.5', '1e3', '0x10', '2147483648', '1 2']) {
    t.equal(read(property, bad), 'Not a number of type INT', bad)
  }
  t.equal(read(short({ ...common, default: 1 }), '32768'), 'Not a number of type SHORT')
  t.equal(property.allowed, 'a whole number from 0 to 10')
  t.equal(property.defaultText, '5')
})

t.test('property: 64 bits stay exact as text, and safe as a number', async (t) => {
  const property = long({ ...common, default: 'max' })
  t.equal(property.defaultText, '9223372036854775807')
  t.equal(defaultValueOf(property), Number.MAX_SAFE_INTEGER)
  t.same(read(property, '-9223372036854775808'), [Number.MIN_SAFE_INTEGER, '-9223372036854775808'])
  t.equal(read(property, '9223372036854775808'), 'Not a number of type LONG')
})

t.test('property: a rule of its own speaks after the bounds', async (t) => {
  const check = (value: number): string | undefined => (value === 3 ? 'not three' : undefined)
  const property = int({ ...common, default: 1, min: 0, check, allowed: 'anything but 3' })
  t.equal(read(property, '3'), 'not three')
  t.same(read(property, '4'), [4, '4'])
  t.equal(property.allowed, 'anything but 3')
})

t.test('property: fractions are spelled as Java spells them', async (t) => {
  const property = double({ ...common, default: 1, min: 0, max: 1 })
  t.equal(property.defaultText, '1.0')
  t.same(read(property, '0.50'), [0.5, '0.5'])
  t.same(read(property, '0'), [0, '0.0'])
  t.equal(read(property, ''), 'Not a number of type DOUBLE')
  t.equal(read(property, 'half'), 'Not a number of type DOUBLE')
  t.equal(read(property, '1.5'), 'Value must be no more than 1')
  t.equal(read(property, '-0.1'), 'Value must be at least 0')
})

t.test('property: true and false in any case, and nothing else', async (t) => {
  const property = boolean({ ...common, default: false })
  t.same(read(property, 'TRUE'), [true, 'true'])
  t.same(read(property, 'false'), [false, 'false'])
  t.equal(read(property, 'yes'), 'Expected value to be either true or false')
})

t.test('property: a word is one of those that are known', async (t) => {
  const property = word({ ...common, default: 'a', words: ['a', 'b'] })
  t.same(read(property, 'b'), ['b', 'b'])
  t.equal(read(property, 'A'), 'String must be one of: a, b')
})

t.test('property: lists lose the blanks around their items', async (t) => {
  const property = list({ ...common, default: '' })
  t.same(read(property, ' a , b'), [['a', 'b'], 'a,b'])
  t.same(read(property, ''), [[], ''])
  t.same(splitList('a,,b'), ['a', '', 'b'])
  const short = list({
    ...common,
    default: 'a',
    check: (values) => (values.length > 1 ? 'one only' : undefined),
  })
  t.equal(read(short, 'a,b'), 'one only')
})

t.test('property: text may be checked, and may have no default', async (t) => {
  const property = string({
    ...common,
    default: null,
    check: (value) => (value === 'bad' ? 'this is bad' : undefined),
  })
  t.equal(defaultValueOf(property), undefined)
  t.same(read(property, ' x '), ['x', 'x'])
  t.equal(read(property, 'bad'), 'this is bad')
})

t.test('property: one that is renamed keeps its rules and loses its synonyms', async (t) => {
  const original = int({ ...common, default: 1, min: 1, synonyms: ['other.name'] })
  t.same(original.synonyms, [{ name: 'other.name', scale: 1 }])
  const copy = renamed(original, 'log.some.name', 'cluster-wide')
  t.match(copy, {
    name: 'log.some.name',
    update: 'cluster-wide',
    synonyms: { length: 0 },
    type: 'int',
  })
  t.equal(read(copy, '0'), 'Value must be at least 1')
})

t.test('double: values are written as Java writes them', async (t) => {
  const property = double({ name: 'd', default: 0.5, doc: '' })
  const texts = ['0', '0.5', '2', '1e6', '1e7', '12345678.5', '1.7976931348623157e308', '0.0001']
  const written = texts.map((text) => {
    const parsed = property.parse(text)
    return parsed.ok ? parsed.text : parsed.problem
  })
  t.same(written, [
    '0.0',
    '0.5',
    '2.0',
    '1000000.0',
    '1.0E7',
    '1.23456785E7',
    '1.7976931348623157E308',
    '1.0E-4',
  ])
})
