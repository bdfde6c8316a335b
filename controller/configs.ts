import { splitList, type Property } from '../base/property.ts'
import { textKey } from '../protocol/text-key.ts'
import type { ClusterImage } from '../broker/metadata/image.ts'
import { stringBytesMax } from '../protocol/bytes/native-strings.ts'
import { errors } from '../protocol/errors.ts'
import type { ConfigResourceType, MetadataRecord } from '../protocol/metadata-records/records.ts'
import { topicNameProblem } from '../protocol/topic-name.ts'
import { refuse, type Outcome, type Plan, type Refusal } from './outcome.ts'

/** Which properties there are, by name. */
export interface ConfigSchema {
  topic(name: string): Property<unknown> | undefined
  broker(name: string): Property<unknown> | undefined
  group(name: string): Property<unknown> | undefined
  /** The property whose name is most like a name that there is not. */
  nearestTopic(name: string): string
  nearestBroker(name: string): string
  nearestGroup(name: string): string
}

/** Numbers of resource types on the wire. */
export const configResource = {
  topic: 2,
  broker: 4,
  brokerLogger: 8,
  clientMetrics: 16,
  group: 32,
} as const

/** Numbers of operations on the wire. */
export const configOperation = { set: 0, delete: 1, append: 2, subtract: 3 } as const

export interface ConfigOperation {
  readonly name: string
  readonly operation: number
  readonly value: string | null
}

/** What is to change on one resource: all of it, or nothing. */
export interface ConfigChange {
  readonly resourceType: number
  /** A topic, a group, a broker's id, or "" for all brokers. */
  readonly resource: string
  readonly operations: readonly ConfigOperation[]
}

/** All that shall be set on one resource: what is not mentioned goes back to its default. */
export interface ConfigReplacement {
  readonly resourceType: number
  readonly resource: string
  readonly configs: readonly { readonly name: string; readonly value: string | null }[]
}

export interface ConfigPlanner {
  readonly image: ClusterImage
  readonly schema: ConfigSchema
}

interface Resource {
  readonly type: ConfigResourceType
  readonly name: string
}

/** One outcome for each change, in their order. */
export function planChanges(
  planner: ConfigPlanner,
  changes: readonly ConfigChange[],
): Plan<Outcome<object>[]> {
  const records: MetadataRecord[] = []
  const mentioned = mentionsOf(changes)
  const answer = changes.map((change): Outcome<object> => {
    const { operations } = change
    const refusal = refuseForm(change, mentioned, operations)
    if (refusal !== undefined) return refusal
    const resource = resourceOf(change)
    if ('error' in resource) return resource
    const values = new Map(overridesOf(planner.image, resource))
    for (const operation of operations) {
      const problem = operate(planner.schema, resource, values, operation)
      if (problem !== undefined) return problem
    }
    return settle(planner, resource, { values, records })
  })
  return { records, answer }
}

/** As `planChanges`, for whole sets. */
export function planReplacements(
  planner: ConfigPlanner,
  replacements: readonly ConfigReplacement[],
): Plan<Outcome<object>[]> {
  const records: MetadataRecord[] = []
  const mentioned = mentionsOf(replacements)
  const answer = replacements.map((replacement): Outcome<object> => {
    const { configs } = replacement
    const operations = configs.map((config) => ({ ...config, operation: configOperation.set }))
    const refusal = refuseForm(replacement, mentioned, operations)
    if (refusal !== undefined) return refusal
    const resource = resourceOf(replacement)
    if ('error' in resource) return resource
    const values = new Map(configs.map(({ name, value }) => [textKey(name), value ?? '']))
    return settle(planner, resource, { values, records })
  })
  return { records, answer }
}

/** Undefined: a topic may have all of these values together. */
export function checkTopicConfigs(
  schema: ConfigSchema,
  values: ReadonlyMap<string, string>,
): Refusal | undefined {
  for (const [name, value] of values) {
    const property = schema.topic(name)
    if (property === undefined) {
      const nearest = schema.nearestTopic(name)
      const text = `Unknown topic config name: ${name}. Did you mean ${nearest}?`
      return refuse(errors.invalidConfig, text)
    }
    const problem = valueProblem(property, value)
    if (problem !== undefined) return refuse(errors.invalidConfig, problem)
  }
  if (values.get('remote.storage.enable')?.toLowerCase() === 'true') {
    const text =
      'Tiered Storage functionality is disabled in the broker. ' +
      'Topic cannot be configured with remote log storage.'
    return refuse(errors.invalidConfig, text)
  }
  const lagMin = BigInt(values.get('min.compaction.lag.ms') ?? 0)
  const lagMax = values.get('max.compaction.lag.ms')
  if (lagMax === undefined || lagMin <= BigInt(lagMax)) return undefined
  const text =
    `conflict topic config setting min.compaction.lag.ms (${lagMin}) ` +
    `> max.compaction.lag.ms (${lagMax})`
  return refuse(errors.invalidConfig, text)
}

/** Apache Kafka answers INVALID_REQUEST where a topic would get INVALID_CONFIG, and takes any key that it does not know. */
function checkBrokerConfigs(
  schema: ConfigSchema,
  values: ReadonlyMap<string, string>,
  broker: string,
): Refusal | undefined {
  const readOnly: string[] = []
  const perBroker: string[] = []
  const problems: string[] = []
  for (const [name, value] of values) {
    const property = schema.broker(name)
    if (property === undefined) {
      const nearest = schema.nearestBroker(name)
      const text = `Unknown broker config name: ${name}. Did you mean ${nearest}?`
      return refuse(errors.invalidConfig, text)
    }
    if (property.update === 'read-only') readOnly.push(name)
    if (property.update === 'per-broker' && broker === '') perBroker.push(name)
    const problem = valueProblem(property, value)
    if (problem !== undefined) problems.push(problem)
  }
  if (readOnly.length > 0) {
    const text = `Cannot update these configs dynamically: [${readOnly.join(', ')}]`
    return refuse(errors.invalidRequest, text)
  }
  if (perBroker.length > 0) {
    const text = `Cannot update these configs at default cluster level, broker id must be specified: [${perBroker.join(', ')}]`
    return refuse(errors.invalidRequest, text)
  }
  const [problem] = problems
  return problem === undefined ? undefined : refuse(errors.invalidRequest, problem)
}

/** A group need not exist. Whether values are within the bounds of a broker, that broker checks. */
function checkGroupConfigs(
  schema: ConfigSchema,
  values: ReadonlyMap<string, string>,
): Refusal | undefined {
  for (const [name, value] of values) {
    const property = schema.group(name)
    if (property === undefined) {
      const nearest = schema.nearestGroup(name)
      const text = `Unknown group config name: ${name}. Did you mean ${nearest}?`
      return refuse(errors.invalidConfig, text)
    }
    const problem = valueProblem(property, value)
    if (problem !== undefined) return refuse(errors.invalidConfig, problem)
  }
  return undefined
}

function valueProblem(property: Property<unknown>, value: string): string | undefined {
  const parsed = property.parse(value)
  if (parsed.ok) return undefined
  return `Invalid value ${value} for configuration ${property.name}: ${parsed.problem}`
}

/** What can be said without looking at the cluster. */
function refuseForm(
  change: { readonly resourceType: number; readonly resource: string },
  mentioned: ReadonlyMap<string, number>,
  operations: readonly ConfigOperation[],
): Refusal | undefined {
  if ((mentioned.get(mentionOf(change)) ?? 0) > 1) {
    return refuse(errors.invalidRequest, 'Each resource must appear at most once.')
  }
  const names = operations.map(({ name }) => textKey(name))
  if (new Set(names).size < names.length) {
    return refuse(errors.invalidRequest, 'Error due to duplicate config keys')
  }
  const missing = operations
    .filter(({ operation, value }) => operation !== configOperation.delete && value === null)
    .map(({ name }) => name)
  if (missing.length === 0) return undefined
  return refuse(errors.invalidRequest, `Null value not supported for : ${missing.join(', ')}`)
}

function resourceOf(change: {
  readonly resourceType: number
  readonly resource: string
}): Resource | Refusal {
  const { resourceType, resource } = change
  switch (resourceType) {
    case configResource.topic: {
      if (resource === '') {
        return refuse(errors.invalidRequest, 'Default topic resources are not allowed.')
      }
      const problem = topicNameProblem(resource)
      if (problem !== undefined) return refuse(errors.invalidTopicException, problem)
      return { type: 'topic', name: resource }
    }
    case configResource.broker:
      if (resource !== '' && !/^\d{1,10}$/.test(resource)) {
        const text = `Node id must be an integer, but it is: ${resource}`
        return refuse(errors.invalidRequest, text)
      }
      return { type: 'broker', name: resource }
    case configResource.group:
      if (resource === '') {
        return refuse(errors.invalidRequest, 'Default group resources are not allowed.')
      }
      return { type: 'group', name: resource }
    default:
      return refuse(errors.invalidRequest, unsupportedResourceText(resourceType))
  }
}

function unsupportedResourceText(resourceType: number): string {
  switch (resourceType) {
    case configResource.brokerLogger:
      return 'This broker has one log level, which is set at its start'
    case configResource.clientMetrics:
      return 'This broker does not collect metrics of clients'
    default:
      return `Unknown resource type ${resourceType}`
  }
}

function overridesOf(image: ClusterImage, resource: Resource): ReadonlyMap<string, string> {
  switch (resource.type) {
    case 'topic':
      return image.topicOverrides(resource.name)
    case 'group':
      return image.groupOverrides(resource.name)
    case 'broker':
      return image.brokerOverrides(resource.name === '' ? '' : Number(resource.name))
  }
}

/** Changes `values`, or tells why not. */
function operate(
  schema: ConfigSchema,
  resource: Resource,
  values: Map<string, string>,
  { name, operation, value }: ConfigOperation,
): Refusal | undefined {
  switch (operation) {
    case configOperation.set:
      values.set(name, value ?? '')
      return undefined
    case configOperation.delete:
      values.delete(name)
      return undefined
    case configOperation.append:
    case configOperation.subtract: {
      const property = propertyOf(schema, resource, name)
      const adds = operation === configOperation.append
      if (property?.type !== 'list') {
        const verb = adds ? 'APPEND' : 'SUBTRACT'
        const text = `Can't ${verb} to key ${name} because its type is not LIST.`
        return refuse(errors.invalidConfig, text)
      }
      const before = splitList(values.get(name) ?? property.defaultText ?? '')
      const items = splitList(value ?? '')
      const rest = before.filter((item) => item !== '' && !items.includes(item))
      // What is there already stays in its place.
      const after = adds ? [...before, ...items.filter((item) => !before.includes(item))] : rest
      values.set(name, after.filter((item) => item !== '').join(','))
      return undefined
    }
    default:
      return refuse(errors.invalidRequest, `Unknown operation type ${operation}`)
  }
}

/** Checks the values that a resource would have, and adds the records that bring it there. */
function settle(
  planner: ConfigPlanner,
  resource: Resource,
  change: { readonly values: ReadonlyMap<string, string>; readonly records: MetadataRecord[] },
): Outcome<object> {
  const { image, schema } = planner
  const { values } = change
  const refusal = checkConfigs(schema, resource, values)
  if (refusal !== undefined) return refusal
  if (resource.type === 'topic' && !image.topicsByName.has(resource.name)) {
    const text = `The topic '${resource.name}' does not exist.`
    return refuse(errors.unknownTopicOrPartition, text)
  }
  const before = overridesOf(image, resource)
  const record = { type: 'config', resourceType: resource.type, resource: resource.name } as const
  for (const [name, value] of values) {
    const text = canonical(propertyOf(schema, resource, name), value)
    // APPEND makes a value longer than any request can bring it.
    if (Buffer.byteLength(text) > stringBytesMax) {
      const why = `The value of ${name} would take more than ${stringBytesMax} bytes`
      return refuse(errors.invalidConfig, why)
    }
    if (before.get(name) !== text) change.records.push({ ...record, name, value: text })
  }
  for (const name of before.keys()) {
    if (!values.has(name)) change.records.push({ ...record, name, value: null })
  }
  return { ok: true }
}

function propertyOf(
  schema: ConfigSchema,
  { type }: Resource,
  name: string,
): Property<unknown> | undefined {
  return schema[type](name)
}

function checkConfigs(
  schema: ConfigSchema,
  resource: Resource,
  values: ReadonlyMap<string, string>,
): Refusal | undefined {
  switch (resource.type) {
    case 'topic':
      return checkTopicConfigs(schema, values)
    case 'group':
      return checkGroupConfigs(schema, values)
    case 'broker':
      return checkBrokerConfigs(schema, values, resource.name)
  }
}

/** A value that was checked, as it is stored: in the one spelling that all tools show. */
export function canonical(property: Property<unknown> | undefined, value: string): string {
  const parsed = property?.parse(value)
  return parsed?.ok === true ? parsed.text : value
}

function mentionsOf(
  changes: readonly { readonly resourceType: number; readonly resource: string }[],
): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const change of changes) {
    const mention = mentionOf(change)
    counts.set(mention, (counts.get(mention) ?? 0) + 1)
  }
  return counts
}

function mentionOf(change: { readonly resourceType: number; readonly resource: string }): string {
  return `${change.resourceType} ${textKey(change.resource)}`
}
