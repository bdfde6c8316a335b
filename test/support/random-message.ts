import type { AnyField, Fields } from '../../protocol/schema/field.ts'
import type { SeededRandom } from './seeded-random.ts'

export type Values = { [name: string]: unknown }

/** A message as a decoder returns it: fields that the version does not carry have their fallback. */
export function randomMessage(fields: Fields, version: number, random: SeededRandom): Values {
  const message: Values = {}
  for (const [name, field] of Object.entries(fields)) {
    const absent = !field.isIn(version) || (field.isTagged && random.chance(0.5))
    message[name] = absent ? field.fallback : randomValue(field, version, random)
  }
  return message
}

/** The same message with some of the fields left out that have their fallback. */
export function withoutSomeFallbacks(
  fields: Fields,
  message: Values,
  random: SeededRandom,
): Values {
  const input: Values = {}
  for (const [name, field] of Object.entries(fields)) {
    const value = message[name]
    if (value === field.fallback && random.chance(0.5)) continue
    input[name] = trimmed(field, value, random)
  }
  return input
}

function trimmed(field: AnyField, value: unknown, random: SeededRandom): unknown {
  if (field.kind === 'struct' && value) {
    return withoutSomeFallbacks(field.fields!, value as Values, random)
  }
  if (field.kind === 'array' && Array.isArray(value)) {
    return value.map((each) => trimmed(field.item!, each, random))
  }
  return value
}

const texts = [
  '',
  'a',
  'orders',
  'größe',
  '日本語',
  '🙂',
  'a.b-c_d',
  'x'.repeat(126),
  'y'.repeat(127),
  'z'.repeat(300),
]

function integer(bits: number, random: SeededRandom): number {
  const top = 2 ** (bits - 1)
  switch (random.below(6)) {
    case 0:
      return -1
    case 1:
      return 0
    case 2:
      return top - 1
    case 3:
      return -top
    case 4:
      return random.below(100)
    default:
      return Math.floor((random.fraction() * 2 - 1) * top)
  }
}

function randomValue(field: AnyField, version: number, random: SeededRandom): unknown {
  if (field.isNullableIn(version) && random.chance(0.25)) return null
  switch (field.kind) {
    case 'bool':
      return random.chance(0.5)
    case 'int8':
      return integer(8, random)
    case 'int16':
      return integer(16, random)
    case 'uint16':
      return random.pick([0, 1, 0x7fff, 0x8000, 0xffff])
    case 'int32':
      return integer(32, random)
    case 'int64':
      return random.chance(0.2)
        ? random.pick([Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER])
        : integer(random.pick([16, 32, 33, 53]), random)
    case 'float64':
      return random.pick([0, -0.5, 1e300, random.fraction()])
    case 'uuid':
      return random.bytes(16).toString('hex')
    case 'string':
      return random.pick(texts)
    case 'bytes':
    case 'records':
      return random.bytes(random.pick([0, 1, 61, 127, 128, 5000]))
    case 'array': {
      const length = random.pick([0, 0, 1, 1, 2, 3])
      return Array.from({ length }, () => randomValue(field.item!, version, random))
    }
    case 'struct':
      return randomMessage(field.fields!, version, random)
  }
}
