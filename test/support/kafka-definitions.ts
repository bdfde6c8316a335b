import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { zeroUuid } from '../../base/uuid.ts'
import { forever } from '../../protocol/schema/field.ts'

/** First and last version, both inclusive; undefined for "none". */
export type Range = readonly [first: number, last: number]

/** What Kafka's JSON says of one field, without its prose. */
export interface KafkaField {
  readonly name: string
  /** A scalar, `struct`, or either with `[]` in front. */
  readonly type: string
  readonly versions: Range
  readonly nullable?: Range | undefined
  readonly tag?: number | undefined
  /** `{}` stands for a struct of defaults. */
  readonly default: unknown
  readonly ignorable?: boolean | undefined
  readonly fields?: readonly KafkaField[] | undefined
}

export interface KafkaMessage {
  readonly apiKey: number
  /** Without a last version that Kafka calls unstable. */
  readonly versions: Range
  /** First flexible version; null when there is none. */
  readonly flexible: number | null
  readonly fields: readonly KafkaField[]
}

/** `folder` is a checkout of Kafka's sources, or the unpacked `common/message` of kafka-clients.jar. */
export function readKafkaMessage(folder: string, name: string): KafkaMessage {
  const inSources = join(folder, 'clients/src/main/resources/common/message')
  const path = join(existsSync(inSources) ? inSources : folder, `${name}.json`)
  const text = readFileSync(path, 'utf8')
    .replaceAll(/^\s*\/\/.*$/gm, '')
    .replaceAll(/([,\]}])\s*\/\/.*$/gm, '$1')
  const json = JSON.parse(text)
  const structs = new Map<string, any[]>(
    (json.commonStructs ?? []).map((each: any) => [each.name, each.fields]),
  )
  const versions = range(json.validVersions)
  if (versions === undefined) throw new Error(`${name} has no versions`)
  const unstable = json.latestVersionUnstable === true ? 1 : 0
  return {
    apiKey: json.apiKey,
    versions: [versions[0], versions[1] - unstable],
    flexible: range(json.flexibleVersions)?.[0] ?? null,
    fields: json.fields.map((each: any) => kafkaField(each, structs)),
  }
}

function range(text: string | undefined): Range | undefined {
  const match = /^(\d+)(?:-(\d+)|(\+))?$/.exec(text ?? 'none')
  if (match === null) return undefined
  const first = Number(match[1])
  if (match[3] !== undefined) return [first, forever]
  return [first, Number(match[2] ?? first)]
}

function kafkaField(json: any, structs: ReadonlyMap<string, any[]>): KafkaField {
  const elementType = json.type.replace('[]', '')
  const isStruct = /^[A-Z]/.test(elementType)
  const fields = isStruct ? (json.fields ?? structs.get(elementType)) : undefined
  const type = `${json.type.startsWith('[]') ? '[]' : ''}${isStruct ? 'struct' : elementType}`
  const versions = range(json.versions)
  if (versions === undefined) throw new Error(`${json.name} is in no version`)
  return {
    name: json.name.charAt(0).toLowerCase() + json.name.slice(1),
    type,
    versions,
    nullable: range(json.nullableVersions),
    tag: json.tag,
    default: defaultOf(json, type),
    ignorable: json.ignorable,
    fields: fields?.map((each: any) => kafkaField(each, structs)),
  }
}

function defaultOf(json: any, type: string): unknown {
  const text = json.default === undefined ? '' : String(json.default)
  if (text === 'null' || type === 'records') return null
  if (type.startsWith('[]')) return []
  switch (type) {
    case 'bool':
      return text === 'true'
    case 'string':
      return text
    case 'bytes':
      return ''
    case 'uuid':
      return zeroUuid
    case 'struct':
      return {}
    default:
      // An int64 beyond the safe range reads as the nearest safe number.
      return Math.min(Number(text), Number.MAX_SAFE_INTEGER)
  }
}
