import { assert, unreachable } from '../../base/assert.ts'
import { EncodeError } from '../bytes/protocol-error.ts'
import type { Writer } from '../bytes/writer.ts'
import { evaluate } from './evaluate.ts'
import { type AnyField, type Fields, noBytes, noElements } from './field.ts'
import { fallbackSource, identifier, type Layout, plainFields, taggedFields } from './layout.ts'

type Encode = (writer: Writer, message: any) => void

/** Makes the function that writes one message in one version: one JavaScript function per struct. */
export function compileEncoder(layout: Layout): Encode {
  const compiler = new EncoderCompiler(layout)
  const main = compiler.struct('message', layout.fields)
  const source = [...compiler.functions, `return ${main}`].join('\n')
  const drop = (path: string): never => {
    throw new EncodeError(`${layout.name} has no place for ${path}, which is not its default`)
  }
  const refuseNull = (path: string): never => {
    throw new EncodeError(`${path} must not be null in ${layout.name}`)
  }
  const constants = { none: noElements, empty: noBytes, drop, refuseNull }
  return evaluate(`${layout.name}.encode`, source, constants)
}

class EncoderCompiler {
  readonly functions: string[] = []
  readonly #layout: Layout

  constructor(layout: Layout) {
    this.#layout = layout
  }

  /** Adds the function `(w, m)` for a struct and returns its name. */
  struct(path: string, fields: Fields): string {
    const { version } = this.#layout
    const lines: string[] = []
    for (const [name, field] of Object.entries(fields)) {
      if (!field.isIn(version) && !field.isIgnorable) lines.push(this.#check(path, name, field))
    }
    for (const [name, field] of plainFields(fields, version)) {
      const local = identifier(name)
      const fallback = fallbackSource(field)
      lines.push(`let ${local}_=m.${local};if(${local}_===undefined)${local}_=${fallback}`)
      lines.push(this.#value(field, `${local}_`, `${path}.${name}`))
    }
    lines.push(...this.#tags(path, fields))
    const name = `write_${this.functions.length}_${path.replaceAll('.', '_')}`
    this.functions.push(`function ${name}(w,m){\n${lines.join('\n')}\n}`)
    return name
  }

  /** A value that this version can't carry must be the fallback, or nobody would notice its loss. */
  #check(path: string, name: string, field: AnyField): string {
    const value = `m.${identifier(name)}`
    return `if(${isSet(field, value)})drop(${JSON.stringify(`${path}.${name}`)})`
  }

  #tags(path: string, fields: Fields): string[] {
    const tagged = taggedFields(fields, this.#layout)
    if (tagged.length === 0) return this.#layout.flexible ? ['w.uvarint(0)'] : []
    const lines: string[] = []
    const present: string[] = []
    for (const [name, field] of tagged) {
      const local = identifier(name)
      lines.push(`const ${local}_=m.${local},has_${local}=${isSet(field, `${local}_`)}`)
      present.push(`has_${local}`)
    }
    lines.push(`w.uvarint(0+${present.join('+')})`)
    for (const [name, field] of tagged) {
      const value = this.#value(field, `${name}_`, `${path}.${name}`)
      lines.push(
        `if(has_${name}){w.uvarint(${field.tag});const start=w.open();${value};w.close(start)}`,
      )
    }
    return lines
  }

  /** The statement that writes the value of the expression `value`. */
  #value(field: AnyField, value: string, path: string): string {
    switch (field.kind) {
      case 'bool':
      case 'int8':
      case 'int16':
      case 'uint16':
      case 'int32':
      case 'int64':
      case 'float64':
      case 'uuid':
        return `w.${field.kind}(${value})`
      case 'string':
        return this.#orNull(field, value, path, `w.${this.#compact('string')}(${value})`)
      case 'bytes':
      case 'records':
        return this.#orNull(field, value, path, `w.${this.#compact('blob')}(${value})`)
      case 'array':
        return this.#orNull(field, value, path, this.#array(field, value, path))
      case 'struct':
        return this.#structValue(field, value, path)
      default:
        return unreachable(field.kind)
    }
  }

  #array(field: AnyField, value: string, path: string): string {
    const { item } = field
    assert(item !== undefined && item.kind !== 'array', 'an array has items, which are not arrays')
    const count = `${value}.length`
    const length = this.#layout.flexible ? `w.uvarint(${count}+1)` : `w.int32(${count})`
    const element = this.#value(item, `${value}[i]`, path)
    return `${length};for(let i=0;i<${count};i++){${element}}`
  }

  #structValue(field: AnyField, value: string, path: string): string {
    assert(field.fields !== undefined, 'a struct has fields')
    const write = `${this.struct(path, field.fields)}(w,${value})`
    if (!field.isNullableIn(this.#layout.version)) {
      return `if(${value}===null)refuseNull(${JSON.stringify(path)});${write}`
    }
    return `if(${value}===null)w.int8(-1);else{w.int8(1);${write}}`
  }

  #orNull(field: AnyField, value: string, path: string, write: string): string {
    const { version, flexible } = this.#layout
    let writeNull = `refuseNull(${JSON.stringify(path)})`
    if (field.isNullableIn(version)) {
      if (flexible) writeNull = 'w.uvarint(0)'
      else writeNull = field.kind === 'string' ? 'w.int16(-1)' : 'w.int32(-1)'
    }
    return `if(${value}===null)${writeNull};else{${write}}`
  }

  #compact(method: 'string' | 'blob'): string {
    if (!this.#layout.flexible) return method
    return method === 'string' ? 'compactString' : 'compactBlob'
  }
}

/** Source of the test whether a value was given that is not the field's fallback. */
function isSet(field: AnyField, value: string): string {
  const given = `${value}!==undefined`
  if (field.fallback === undefined) return given
  if (field.fallback === null) return `(${given}&&${value}!==null)`
  if (field.kind === 'array') return `(${given}&&(${value}===null||${value}.length>0))`
  if (field.kind === 'bytes') return `(${given}&&(${value}===null||${value}.byteLength>0))`
  return `(${given}&&${value}!==${fallbackSource(field)})`
}
