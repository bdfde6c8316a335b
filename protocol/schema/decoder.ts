import { assert, unreachable } from '../../base/assert.ts'
import type { Reader } from '../bytes/reader.ts'
import { evaluate } from './evaluate.ts'
import { type AnyField, type Fields, noBytes, noElements } from './field.ts'
import {
  fallbackSource,
  identifier,
  type Layout,
  objectBytes,
  plainFields,
  taggedFields,
  wireBytesMin,
} from './layout.ts'

type Decode = (reader: Reader) => any

/** Makes the function that reads one message in one version: one JavaScript function per struct and array. */
export function compileDecoder(layout: Layout): Decode {
  const compiler = new DecoderCompiler(layout)
  const main = compiler.struct('message', layout.fields)
  const source = [...compiler.functions, `return ${main}`].join('\n')
  return evaluate(`${layout.name}.decode`, source, { none: noElements, empty: noBytes })
}

class DecoderCompiler {
  readonly functions: string[] = []
  readonly #layout: Layout

  constructor(layout: Layout) {
    this.#layout = layout
  }

  /** Adds the function `(r)` for a struct and returns its name. */
  struct(path: string, fields: Fields): string {
    const plain = new Map(plainFields(fields, this.#layout.version))
    // An object literal evaluates its values in order, which is the order of the wire.
    const properties = Object.entries(fields).map(([name, field]) => {
      const value = plain.has(name) ? this.#value(field, `${path}.${name}`) : fallbackSource(field)
      return `${identifier(name)}:${value}`
    })
    const literal = `const m={${properties.join(',')}}`
    return this.#add(path, `${literal}\n${this.#tags(path, fields)}\nreturn m`)
  }

  #tags(path: string, fields: Fields): string {
    const tagged = taggedFields(fields, this.#layout)
    if (tagged.length === 0) return this.#layout.flexible ? 'r.skipTags()' : ''
    const cases = tagged.map(
      ([name, field]) =>
        `case ${field.tag}:m.${name}=${this.#value(field, `${path}.${name}`)};r.closeTag(end);break`,
    )
    return [
      `for(let left=r.tagCount(${tagged.length}),tag=-1;left>0;left--){`,
      'tag=r.tag(tag);const end=r.tagEnd();switch(tag){',
      ...cases,
      'default:r.position=end}}',
    ].join('\n')
  }

  /** The expression that reads a value. */
  #value(field: AnyField, path: string): string {
    switch (field.kind) {
      case 'bool':
      case 'int8':
      case 'int16':
      case 'uint16':
      case 'int32':
      case 'int64':
      case 'float64':
      case 'uuid':
        return `r.${field.kind}()`
      case 'string':
        return `r.${this.#method(field, 'string')}()`
      case 'bytes':
      case 'records':
        return `r.${this.#method(field, 'blob')}()`
      case 'array':
        return `${this.#array(field, path)}(r)`
      case 'struct': {
        assert(field.fields !== undefined, 'a struct has fields')
        const read = `${this.struct(path, field.fields)}(r)`
        return field.isNullableIn(this.#layout.version) ? `(r.int8()<0?null:${read})` : read
      }
      default:
        return unreachable(field.kind)
    }
  }

  #array(field: AnyField, path: string): string {
    const { item } = field
    assert(item !== undefined, 'an array has an item')
    const { version } = this.#layout
    // An element that may take no bytes at all would make the count boundless.
    const bytesMin = Math.max(1, wireBytesMin(item, this.#layout))
    const element = this.#value(item, path)
    const lines = [
      `const count=r.${this.#method(field, 'arrayLength')}(${bytesMin},${objectBytes(item, version)})`,
      ...(field.isNullableIn(version) ? ['if(count<0)return null'] : []),
      'const list=[]',
      `for(let i=0;i<count;i++)list.push(${element})`,
      'return list',
    ]
    return this.#add(`${path}_list`, lines.join('\n'))
  }

  #add(path: string, body: string): string {
    const name = `read_${this.functions.length}_${path.replaceAll('.', '_')}`
    this.functions.push(`function ${name}(r){\n${body}\n}`)
    return name
  }

  /** The reader's method for this version: plain, compact, and for null where it may be. */
  #method(field: AnyField, method: 'string' | 'blob' | 'arrayLength'): string {
    const words: string[] = [method]
    if (field.isNullableIn(this.#layout.version)) words.unshift('nullable')
    if (this.#layout.flexible) words.unshift('compact')
    return words
      .map((word, index) => (index === 0 ? word : word.charAt(0).toUpperCase() + word.slice(1)))
      .join('')
  }
}
