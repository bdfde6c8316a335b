import { assert } from './assert.ts'

/**
 * One configuration property, described once: its parser, default, bounds, text for users and whether it may change
 * at run time all come from here. Values travel as text and are kept as text, since that is what tools show;
 * `parse` gives the value and the text in Kafka's canonical spelling.
 */
export interface Property<T> {
  /** Kafka's name, like `log.segment.bytes`. */
  readonly name: string
  readonly type: PropertyType
  /** In canonical spelling; null: unset. */
  readonly defaultText: string | null
  /** What a value may be, as the end of a sentence: "must be ...". */
  readonly allowed: string
  readonly doc: string
  readonly update: UpdateMode
  /** Never shown. */
  readonly sensitive: boolean
  /** Obeyed, but left out of lists: for tests. */
  readonly hidden: boolean
  /** Where the default comes from, best first, when the property itself is not set. */
  readonly synonyms: readonly Synonym[]
  parse(text: string): Parsed<T>
}

export type PropertyType = 'boolean' | 'string' | 'int' | 'short' | 'long' | 'double' | 'list'

/** Which running brokers a new value reaches: none before their next start, one by its id, or all. */
export type UpdateMode = 'read-only' | 'per-broker' | 'cluster-wide'

/** A broker property that stands in for another one, in another unit perhaps. */
export interface Synonym {
  readonly name: string
  /** The number is multiplied by this. */
  readonly scale: number
}

export type Parsed<T> =
  | { readonly ok: true; readonly value: T; readonly text: string }
  | { readonly ok: false; readonly problem: string }

/** Properties by the camelCase form of their names. */
export type PropertyTable = Readonly<Record<string, Property<unknown>>>

/** The values that a table of properties gives. */
export type ValuesOf<Table extends PropertyTable> = {
  readonly [Field in keyof Table]: Table[Field] extends Property<infer T> ? T : never
}

interface Common {
  readonly name: string
  readonly doc: string
  readonly update?: UpdateMode
  readonly hidden?: boolean
  readonly synonyms?: readonly (string | Synonym)[]
}

/** A property without default is `undefined` until it is set. */
type ValueOf<T, Default> = Default extends null ? T | undefined : T

const longMax = 9_223_372_036_854_775_807n
const longMin = -longMax - 1n
const integerBounds = {
  short: { low: -32_768n, high: 32_767n },
  int: { low: -2_147_483_648n, high: 2_147_483_647n },
  long: { low: longMin, high: longMax },
} as const

interface NumberOptions<Default> extends Common {
  readonly default: Default
  readonly min?: number
  readonly max?: number
  /** Tells what is wrong with a value that is within the bounds. */
  readonly check?: (value: number) => string | undefined
  readonly allowed?: string
}

/** 32 bits. */
export function int<const D extends number | null>(
  options: NumberOptions<D>,
): Property<ValueOf<number, D>> {
  return integer('int', options)
}

/** 16 bits. */
export function short<const D extends number | null>(
  options: NumberOptions<D>,
): Property<ValueOf<number, D>> {
  return integer('short', options)
}

/** 64 bits as text; the value is cut at the safe integers, far above any time or size there is. `'max'`: 2^63 - 1. */
export function long<const D extends number | 'max' | null>(
  options: NumberOptions<D>,
): Property<ValueOf<number, D>> {
  return integer('long', options)
}

export function double(options: NumberOptions<number>): Property<number> {
  const { min = -Infinity, max = Infinity } = options
  return define<number>('double', options, `a number${boundsText(options)}`, (text) => {
    const value = text === '' ? Number.NaN : Number(text)
    if (Number.isNaN(value)) return problem('Not a number of type DOUBLE')
    if (value < min) return problem(`Value must be at least ${min}`)
    if (value > max) return problem(`Value must be no more than ${max}`)
    return { ok: true, value, text: doubleText(value) }
  })
}

export function boolean(options: Common & { readonly default: boolean }): Property<boolean> {
  return define<boolean>('boolean', options, 'true or false', (text) => {
    const value = text.toLowerCase()
    if (value !== 'true' && value !== 'false') {
      return problem('Expected value to be either true or false')
    }
    return { ok: true, value: value === 'true', text: value }
  })
}

interface TextOptions<Default> extends Common {
  readonly default: Default
  readonly check?: (value: string) => string | undefined
  readonly allowed?: string
}

/** `check` returns what is wrong with a value. */
export function string<const D extends string | null>(
  options: TextOptions<D>,
): Property<ValueOf<string, D>> {
  const parse = (text: string): Parsed<string> => {
    const wrong = options.check?.(text)
    return wrong === undefined ? { ok: true, value: text, text } : problem(wrong)
  }
  return define('string', options, options.allowed ?? 'text', parse)
}

/** One of a fixed set of words. */
export function word<const Words extends readonly string[]>(
  options: Common & { readonly default: Words[number]; readonly words: Words },
): Property<Words[number]> {
  const { words } = options
  return define<Words[number]>('string', options, `one of ${words.join(', ')}`, (text) => {
    const value = words.find((known) => known === text)
    if (value === undefined) return problem(`String must be one of: ${words.join(', ')}`)
    return { ok: true, value, text: value }
  })
}

interface ListOptions<Default> extends Common {
  readonly default: Default
  readonly check?: (values: readonly string[]) => string | undefined
  readonly allowed?: string
}

/** Items separated by commas. */
export function list<const D extends string | null>(
  options: ListOptions<D>,
): Property<ValueOf<readonly string[], D>> {
  const parse = (text: string): Parsed<readonly string[]> => {
    const values = splitList(text)
    const wrong = options.check?.(values)
    return wrong === undefined
      ? { ok: true, value: values, text: values.join(',') }
      : problem(wrong)
  }
  return define('list', options, options.allowed ?? 'a list separated by commas', parse)
}

export function splitList(text: string): string[] {
  return text === '' ? [] : text.split(',').map((item) => item.trim())
}

/** The same property of another scope under another name. */
export function renamed<T>(property: Property<T>, name: string, update: UpdateMode): Property<T> {
  return { ...property, name, update, synonyms: [] }
}

/** The value that holds while nothing is set. Undefined: unset. */
export function defaultValueOf<T>(property: Property<T>): T | undefined {
  if (property.defaultText === null) return undefined
  const parsed = property.parse(property.defaultText)
  assert(parsed.ok, () => `the default of ${property.name} is allowed`)
  return parsed.value
}

function integer<D extends number | 'max' | null>(
  type: 'int' | 'short' | 'long',
  options: NumberOptions<D>,
): Property<ValueOf<number, D>> {
  const { low, high } = integerBounds[type]
  const { min, max } = options
  const parse = (text: string): Parsed<number> => {
    const whole = /^[+-]?\d{1,20}$/.test(text) ? BigInt(text.replace('+', '')) : undefined
    if (whole === undefined || whole < low || whole > high) {
      return problem(`Not a number of type ${type.toUpperCase()}`)
    }
    if (min !== undefined && whole < BigInt(min)) return problem(`Value must be at least ${min}`)
    if (max !== undefined && whole > BigInt(max))
      return problem(`Value must be no more than ${max}`)
    const value = safeNumber(whole)
    const wrong = options.check?.(value)
    return wrong === undefined ? { ok: true, value, text: whole.toString() } : problem(wrong)
  }
  const allowed = options.allowed ?? `a whole number${boundsText(options)}`
  return define(type, options, allowed, parse)
}

function safeNumber(whole: bigint): number {
  if (whole > BigInt(Number.MAX_SAFE_INTEGER)) return Number.MAX_SAFE_INTEGER
  if (whole < BigInt(Number.MIN_SAFE_INTEGER)) return Number.MIN_SAFE_INTEGER
  return Number(whole)
}

function boundsText({ min, max }: { readonly min?: number; readonly max?: number }): string {
  if (min !== undefined && max !== undefined) return ` from ${min} to ${max}`
  if (min !== undefined) return `, ${min} or more`
  return max === undefined ? '' : `, ${max} or less`
}

/** As Java's Double.toString: with a decimal point, and powers of ten outside of 0.001 to 10,000,000. */
function doubleText(value: number): string {
  const size = Math.abs(value)
  if (size === 0 || (size >= 1e-3 && size < 1e7)) {
    return Number.isInteger(value) ? value.toFixed(1) : String(value)
  }
  const [mantissa = '', exponent] = value.toExponential().split('e')
  return `${mantissa.includes('.') ? mantissa : `${mantissa}.0`}E${Number(exponent)}`
}

function define<T>(
  type: PropertyType,
  options: Common & { readonly default: string | number | boolean | null },
  allowed: string,
  parse: (text: string) => Parsed<T>,
): Property<T> {
  const { name, doc, update = 'read-only', hidden = false, synonyms = [] } = options
  const property: Property<T> = {
    name,
    type,
    doc,
    update,
    hidden,
    sensitive: false,
    allowed,
    defaultText: defaultTextOf(type, options.default),
    synonyms: synonyms.map((synonym) =>
      typeof synonym === 'string' ? { name: synonym, scale: 1 } : synonym,
    ),
    parse: (text) => parse(text.trim()),
  }
  return property
}

function defaultTextOf(type: PropertyType, value: string | number | boolean | null): string | null {
  if (value === null) return null
  if (type === 'long' && value === 'max') return longMax.toString()
  return typeof value === 'number' && type === 'double' ? doubleText(value) : String(value)
}

function problem(text: string): { readonly ok: false; readonly problem: string } {
  return { ok: false, problem: text }
}
