import type { Property, PropertyType } from '../../base/property.ts'
import {
  allBrokerProperties,
  configSchema,
  textIn,
  topicDefaultText,
  type BrokerConfig,
} from '../config.ts'
import { groupOverrideProperties } from '../group/group-properties.ts'
import { topicProperties } from '../log/topic-properties.ts'

/** Numbers on the wire of where a value comes from. */
export const configSource = {
  topic: 1,
  dynamicBroker: 2,
  dynamicDefault: 3,
  static: 4,
  default: 5,
  group: 8,
} as const

const configTypes: Readonly<Record<PropertyType, number>> = {
  boolean: 1,
  string: 2,
  int: 3,
  short: 4,
  long: 5,
  double: 6,
  list: 7,
}

/** One property as DescribeConfigs and CreateTopics tell it. */
export interface ConfigEntry {
  readonly name: string
  /** Null: unset, or not to be shown. */
  readonly value: string | null
  readonly readOnly: boolean
  readonly configSource: number
  readonly isSensitive: boolean
  readonly configType: number
  readonly documentation: string
  /** Everything that is set for it, the one in force first; a default last. */
  readonly synonyms: readonly ConfigSynonym[]
}

export interface ConfigSynonym {
  readonly name: string
  readonly value: string | null
  readonly source: number
}

/** All properties of a topic, by name. */
export function describeTopic(
  config: BrokerConfig,
  overrides: ReadonlyMap<string, string>,
): ConfigEntry[] {
  return sorted(topicProperties)
    .filter(({ name, hidden }) => !hidden || overrides.has(name))
    .map((property) => overrideEntry(config, property, { overrides, source: configSource.topic }))
}

/** All properties of a group, by name: what is set on it, else what the broker has for all groups. */
export function describeGroupConfigs(
  config: BrokerConfig,
  overrides: ReadonlyMap<string, string>,
): ConfigEntry[] {
  const source = configSource.group
  return sorted(groupOverrideProperties).map((property) =>
    overrideEntry(config, property, { overrides, source }),
  )
}

/** All properties of this broker, by name. */
export function describeBroker(config: BrokerConfig): ConfigEntry[] {
  return sorted(allBrokerProperties).map((property) => {
    const synonyms = brokerSynonyms(config, property.name)
    const value = textIn(config.layers, property.name) ?? property.defaultText
    return entryOf(property, { value, synonyms, readOnly: property.update === 'read-only' })
  })
}

/** What was set at run time for all brokers. */
export function describeBrokerDefault(config: BrokerConfig): ConfigEntry[] {
  const entries: ConfigEntry[] = []
  for (const [name, value] of config.layers.dynamicDefault) {
    const property = configSchema.broker(name)
    if (property === undefined) continue
    const synonyms = [{ name, value, source: configSource.dynamicDefault }]
    entries.push(entryOf(property, { value, synonyms, readOnly: false }))
  }
  return entries.toSorted((one, other) => compareText(one.name, other.name))
}

/** Of a topic or a group: what is set on it, before what the broker has under another name. */
function overrideEntry(
  config: BrokerConfig,
  property: Property<unknown>,
  { overrides, source }: { overrides: ReadonlyMap<string, string>; source: number },
): ConfigEntry {
  const { name } = property
  const [synonym] = property.synonyms
  const inherited = synonym === undefined ? [] : brokerSynonyms(config, synonym.name)
  const text = overrides.get(name)
  const value = text ?? topicDefaultText(config.layers, property)
  const own = text === undefined ? [] : [{ name, value: text, source }]
  return entryOf(property, { value, synonyms: [...own, ...inherited], readOnly: false })
}

function entryOf(
  property: Property<unknown>,
  state: {
    readonly value: string | null
    readonly synonyms: readonly ConfigSynonym[]
    readonly readOnly: boolean
  },
): ConfigEntry {
  const { name, sensitive, type, doc } = property
  const { value, synonyms, readOnly } = state
  return {
    name,
    value: sensitive ? null : value,
    readOnly,
    configSource: synonyms[0]?.source ?? configSource.default,
    isSensitive: sensitive,
    configType: configTypes[type],
    documentation: doc,
    synonyms: sensitive ? synonyms.map((synonym) => ({ ...synonym, value: null })) : synonyms,
  }
}

/**
 * What is set for a property and for those that stand in for it: layer by layer, in each the best name first.
 * As in Apache Kafka, what stands before the property's own name is left out, so a value that comes from a synonym alone
 * looks like a default.
 */
function brokerSynonyms(config: BrokerConfig, name: string): ConfigSynonym[] {
  const names = synonymGroups.get(name) ?? [name]
  const { dynamicBroker, dynamicDefault, static: given } = config.layers
  const layers = [
    { source: configSource.dynamicBroker, texts: dynamicBroker },
    { source: configSource.dynamicDefault, texts: dynamicDefault },
    { source: configSource.static, texts: given },
    { source: configSource.default, texts: defaultTexts },
  ]
  const all = layers.flatMap(({ source, texts }) =>
    names.flatMap((each) => {
      const value = texts.get(each)
      return value === undefined ? [] : [{ name: each, value, source }]
    }),
  )
  const own = all.findIndex((synonym) => synonym.name === name)
  return own < 0 ? [] : all.slice(own)
}

/** For each broker property, the ones that mean the same, the one that goes before the others first. */
const synonymGroups: ReadonlyMap<string, readonly string[]> = new Map(
  sorted(topicProperties).flatMap(({ synonyms }) => {
    const names = synonyms.map(({ name }) => name)
    return names.map((name) => [name, names] as const)
  }),
)

const defaultTexts: ReadonlyMap<string, string> = new Map(
  sorted(allBrokerProperties).flatMap(({ name, defaultText }) =>
    defaultText === null ? [] : [[name, defaultText] as const],
  ),
)

function sorted(table: Readonly<Record<string, Property<unknown>>>): Property<unknown>[] {
  return Object.values(table).toSorted((one, other) => compareText(one.name, other.name))
}

function compareText(one: string, other: string): number {
  if (one === other) return 0
  return one < other ? -1 : 1
}
