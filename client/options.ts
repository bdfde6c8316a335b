import { nearestOf } from '../base/nearest.ts'

/**
 * Checks one option and gives its value, or the default when it is undefined.
 * Throws `TypeError` for a wrong type and `RangeError` for a wrong value.
 */
export type Rule<T> = (value: unknown, name: string) => T

export type Rules = Readonly<Record<string, Rule<unknown>>>

/** The options as they are used, with all defaults in place. */
export type Checked<R extends Rules> = { readonly [K in keyof R]: ReturnType<R[K]> }

/** `what` names whose options they are, as in "producer". Unknown keys are refused, with the nearest one that is known. */
export function checkOptions<R extends Rules>(what: string, given: unknown, rules: R): Checked<R> {
  if (given !== undefined && (typeof given !== 'object' || given === null)) {
    throw new TypeError(`The options of a ${what} are an object, not ${describe(given)}`)
  }
  const values = (given ?? {}) as Readonly<Record<string, unknown>>
  refuseUnknown(what, values, rules)
  const checked: Record<string, unknown> = {}
  for (const [key, rule] of Object.entries(rules)) checked[key] = rule(values[key], key)
  return checked as Checked<R>
}

/** Throws `RangeError` at an option that does not exist, with the nearest one that does. */
export function refuseUnknown(what: string, given: object, known: object): void {
  for (const key of Object.keys(given)) {
    if (Object.hasOwn(known, key)) continue
    const nearest = nearestOf(key, Object.keys(known))
    throw new RangeError(`"${key}" is no option of a ${what}; the nearest is "${nearest}"`)
  }
}

/** A whole number from `min` to `max`. */
export function integer(
  fallback: number,
  { min = 0, max = Number.MAX_SAFE_INTEGER }: { min?: number; max?: number } = {},
): Rule<number> {
  return (value, name) => {
    if (value === undefined) return fallback
    if (typeof value !== 'number') throw wrongType(name, 'a number', value)
    if (Number.isInteger(value) && value >= min && value <= max) return value
    throw new RangeError(`${name} is a whole number from ${min} to ${max}, not ${value}`)
  }
}

/** Milliseconds, with fractions. */
export function duration(fallback: number, { min = 0 }: { min?: number } = {}): Rule<number> {
  return (value, name) => {
    if (value === undefined) return fallback
    if (typeof value !== 'number') throw wrongType(name, 'a number of milliseconds', value)
    if (value >= min && value <= Number.MAX_SAFE_INTEGER) return value
    throw new RangeError(`${name} is at least ${min} ms, not ${value}`)
  }
}

export function flag(fallback: boolean): Rule<boolean> {
  return (value, name) => {
    if (value === undefined) return fallback
    if (typeof value === 'boolean') return value
    throw wrongType(name, 'true or false', value)
  }
}

/** Not empty. */
export function text(fallback: string): Rule<string> {
  return (value, name) => {
    if (value === undefined) return fallback
    if (typeof value !== 'string') throw wrongType(name, 'a string', value)
    if (value !== '') return value
    throw new RangeError(`${name} must not be empty`)
  }
}

export function oneOf<const T extends string | number>(values: readonly T[], fallback: T): Rule<T> {
  return (value, name) => {
    if (value === undefined) return fallback
    const found = values.find((each) => each === value)
    if (found !== undefined) return found
    throw new RangeError(`${name} is one of ${values.join(', ')}, not ${describe(value)}`)
  }
}

/** Strings, of which there is at least one. */
export function texts(): Rule<readonly string[]> {
  return (value, name) => {
    const all: unknown[] = Array.isArray(value) ? value : []
    const strings = all.filter((each) => typeof each === 'string')
    if (strings.length > 0 && strings.length === all.length) return strings
    throw wrongType(name, 'an array of strings, with one at least', value)
  }
}

/** May be left out. */
export function optional<T>(rule: Rule<T>): Rule<T | undefined> {
  return (value, name) => (value === undefined ? undefined : rule(value, name))
}

export function callback<F>(): Rule<F> {
  return (value, name) => {
    if (typeof value === 'function') return value as F
    throw wrongType(name, 'a function', value)
  }
}

/** Taken as it is: what the types say can't be checked any further. */
export function unchecked<T>(fallback: () => T): Rule<T> {
  return (value) => (value === undefined ? fallback() : (value as T))
}

function wrongType(name: string, wanted: string, value: unknown): TypeError {
  return new TypeError(`${name} is ${wanted}, not ${describe(value)}`)
}

function describe(value: unknown): string {
  if (typeof value === 'string') return `"${value}"`
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (value === null || value === undefined) return String(value)
  return Array.isArray(value) ? 'an array' : `a value of type ${typeof value}`
}
