import { assert } from '../base/assert.ts'
import { nearestOf } from '../base/nearest.ts'
import type { Property, PropertyTable, ValuesOf } from '../base/property.ts'
import { controllerProperties } from '../controller/controller-properties.ts'
import { brokerProperties } from './broker-properties.ts'
import { clusterProperties, parseHostAndPort, type HostAndPort } from './cluster-properties.ts'
import { groupOverrideProperties, groupProperties } from './group/group-properties.ts'
import type { LogConfig } from './log/log-config.ts'
import { logProperties } from './log/log-properties.ts'
import { topicProperties, type TopicPropertyTable } from './log/topic-properties.ts'
import type { ClusterImage } from './metadata/image.ts'
import {
  networkProperties,
  parseListener,
  type ListenerSpec,
} from './network/network-properties.ts'
import { parseProperties } from './properties-file.ts'
import { replicaProperties } from './replica/replica-properties.ts'

/** Every property of a broker. Each is obeyed by somebody: what nobody obeys is not listed. */
export const allBrokerProperties = {
  ...brokerProperties,
  ...clusterProperties,
  ...networkProperties,
  ...logProperties,
  ...replicaProperties,
  ...groupProperties,
  ...controllerProperties,
} as const

/** What was set, by Kafka's name of the property, in canonical spelling. */
export interface ConfigLayers {
  /** At start: by file, environment or command line. */
  readonly static: ReadonlyMap<string, string>
  /** At run time, for all brokers. */
  readonly dynamicDefault: ReadonlyMap<string, string>
  /** At run time, for this broker. */
  readonly dynamicBroker: ReadonlyMap<string, string>
}

export type BrokerValues = ValuesOf<typeof allBrokerProperties>
export type TopicValues = ValuesOf<TopicPropertyTable>

/** Values in force, and where they came from. Never altered: a change at run time gives another one. */
export type BrokerConfig = BrokerValues & {
  readonly layers: ConfigLayers
  /** What a topic obeys on which nothing is set, and what its logs do. */
  readonly topicDefaults: TopicValues
  readonly topicLogConfig: LogConfig
}

/** The user has to change a setting. The message names it, its value and what it may be. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code = 'CONFIG'
}

export interface ConfigSources {
  /** A `.properties` file, already read. */
  readonly file?: { readonly path: string; readonly text: string } | undefined
  /** `key=value` of the command line, by key. */
  readonly sets?: Readonly<Record<string, string>> | undefined
  /** Variables `MILLRACE_LOG_DIRS` and the like; others are not looked at. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined
}

const environmentPrefix = 'MILLRACE_'
/** What Kubernetes, and Docker before it, tell all pods of a service named millrace: no property ends so. */
const serviceVariable =
  /_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)$|^MILLRACE_PORT$/

/** Defaults < file < environment < command line. Throws `ConfigError`. */
export function loadBrokerConfig(sources: ConfigSources): BrokerConfig {
  const given = new Map<string, string>()
  if (sources.file !== undefined) {
    const { path, text } = sources.file
    for (const [name, value] of parseProperties(text)) setChecked(given, name, value, `in ${path}`)
  }
  for (const [variable, value] of Object.entries(sources.environment ?? {})) {
    if (!variable.startsWith(environmentPrefix) || value === undefined) continue
    if (serviceVariable.test(variable)) continue
    const name = variable.slice(environmentPrefix.length).toLowerCase().replaceAll('_', '.')
    setChecked(given, name, value, `from the environment variable ${variable}`)
  }
  for (const [name, value] of Object.entries(sources.sets ?? {})) {
    setChecked(given, name, value, 'on the command line')
  }
  const none: ReadonlyMap<string, string> = new Map()
  const config = configFrom({ static: given, dynamicDefault: none, dynamicBroker: none })
  checkTogether(config)
  return config
}

/** The configuration with what was set at run time, which goes before what was given at start. */
export function withDynamicConfigs(config: BrokerConfig, image: ClusterImage): BrokerConfig {
  return configFrom({
    static: config.layers.static,
    dynamicDefault: new Map(image.brokerOverrides('')),
    dynamicBroker: new Map(image.brokerOverrides(config.nodeId)),
  })
}

/** Properties by name, for whoever checks what users want to set. */
export const configSchema = {
  broker: (name: string): Property<unknown> | undefined => brokerPropertiesByName.get(name),
  topic: (name: string): Property<unknown> | undefined => topicPropertiesByName.get(name),
  group: (name: string): Property<unknown> | undefined => groupPropertiesByName.get(name),
  nearestGroup: (name: string): string => nearestOf(name, groupPropertiesByName.keys()),
  nearestBroker: (name: string): string => nearestOf(name, brokerPropertiesByName.keys()),
  nearestTopic: (name: string): string => nearestOf(name, topicPropertiesByName.keys()),
}

/** What the logs of a topic obey. Overrides were checked when they were set; one that is not understood is left out. */
export function logConfigOf(
  config: BrokerConfig,
  overrides: ReadonlyMap<string, string>,
): LogConfig {
  // Thousands of partitions share this one.
  if (overrides.size === 0) return config.topicLogConfig
  const values: Record<string, unknown> = { ...config.topicDefaults }
  for (const [field, property] of Object.entries(topicProperties)) {
    const text = overrides.get(property.name)
    const parsed = text === undefined ? undefined : property.parse(text)
    if (parsed?.ok === true) values[field] = parsed.value
  }
  return logConfigFrom(values as TopicValues)
}

/** The directories of partitions, in the order in which they were given. */
export function logDirectoriesOf(config: BrokerConfig): readonly string[] {
  return config.logDirs ?? config.logDir
}

/** The listeners to open, each with the address that clients are told (port 0: the one that was picked). */
export function listenersOf(
  config: BrokerConfig,
): readonly (ListenerSpec & { readonly advertised: ListenerSpec })[] {
  const advertised = (config.advertisedListeners ?? []).map(listenerFrom)
  return config.listeners.map(listenerFrom).map((listener) => ({
    ...listener,
    advertised: advertised.find(({ name }) => name === listener.name) ?? listener,
  }))
}

const brokerPropertiesByName = byName(allBrokerProperties)
const topicPropertiesByName = byName(topicProperties)
const groupPropertiesByName = byName(groupOverrideProperties)

function byName(table: PropertyTable): ReadonlyMap<string, Property<unknown>> {
  return new Map(Object.values(table).map((property) => [property.name, property]))
}

function setChecked(into: Map<string, string>, name: string, value: string, where: string): void {
  const property = brokerPropertiesByName.get(name)
  if (property === undefined) {
    const nearest = nearestOf(name, brokerPropertiesByName.keys())
    throw new ConfigError(`There is no property ${name} (${where}). Did you mean ${nearest}?`)
  }
  const parsed = property.parse(value)
  if (!parsed.ok) {
    throw new ConfigError(
      `${name} is ${JSON.stringify(value)} ${where}, but must be ${property.allowed}. ${parsed.problem}`,
    )
  }
  into.set(name, parsed.text)
}

function configFrom(layers: ConfigLayers): BrokerConfig {
  const values: Record<string, unknown> = {}
  for (const [field, property] of Object.entries(allBrokerProperties)) {
    values[field] = valueIn<unknown>(layers, property)
  }
  const topicDefaults: Record<string, unknown> = {}
  for (const [field, property] of Object.entries(topicProperties)) {
    const text = topicDefaultText(layers, property)
    topicDefaults[field] = text === null ? undefined : valueOf<unknown>(property, text)
  }
  return Object.freeze({
    ...(values as BrokerValues),
    layers,
    topicDefaults: topicDefaults as TopicValues,
    topicLogConfig: Object.freeze(logConfigFrom(topicDefaults as TopicValues)),
  })
}

/** The value that is set, else the default. */
function valueIn<T>(layers: ConfigLayers, property: Property<T>): T | undefined {
  const text = textIn(layers, property.name) ?? property.defaultText
  return text === null ? undefined : valueOf(property, text)
}

/** What is set for a property: the best layer that has a text which is still allowed. */
export function textIn(layers: ConfigLayers, name: string): string | undefined {
  const property = configSchema.broker(name)
  assert(property !== undefined, () => `${name} is a property of the broker`)
  const { dynamicBroker, dynamicDefault, static: given } = layers
  for (const layer of [dynamicBroker, dynamicDefault, given]) {
    const text = layer.get(name)
    // What was stored by another version may not be allowed any more.
    if (text !== undefined && property.parse(text).ok) return text
  }
  return undefined
}

/** Text of the first synonym that is set, else the default of the topic's property itself; null: unset. */
export function topicDefaultText(layers: ConfigLayers, property: Property<unknown>): string | null {
  for (const { name, scale } of property.synonyms) {
    const text = textIn(layers, name)
    if (text === undefined) continue
    if (property.name === 'retention.ms' && text.startsWith('-')) return '-1'
    return scale === 1 ? text : (BigInt(text) * BigInt(scale)).toString()
  }
  return property.defaultText
}

function valueOf<T>(property: Property<T>, text: string): T {
  const parsed = property.parse(text)
  assert(parsed.ok, () => `the default of ${property.name} is allowed`)
  return parsed.value
}

function logConfigFrom(values: TopicValues): LogConfig {
  const { cleanupPolicy, internalSegmentBytes, ...others } = values
  return {
    ...others,
    segmentBytes: internalSegmentBytes ?? values.segmentBytes,
    cleanupPolicy: {
      delete: cleanupPolicy.includes('delete'),
      compact: cleanupPolicy.includes('compact'),
    },
  }
}

function listenerFrom(text: string): ListenerSpec {
  const listener = parseListener(text)
  assert(listener !== undefined, 'listeners were checked when they were read')
  return listener
}

/** What one property alone can't tell. */
function checkTogether(config: BrokerConfig): void {
  const listeners = config.listeners.map(listenerFrom)
  if (listeners.length === 0)
    throw new ConfigError('listeners is empty: give at least one NAME://HOST:PORT')
  const names = listeners.map(({ name }) => name)
  if (new Set(names).size < names.length) {
    throw new ConfigError(`listeners has a name twice: ${config.listeners.join(',')}`)
  }
  const secure = names.find((name) => /^(?:SSL|SASL_SSL|SASL_PLAINTEXT)$/.test(name))
  if (secure !== undefined) {
    throw new ConfigError(`listeners asks for ${secure}, but this version serves PLAINTEXT only`)
  }
  for (const { name } of (config.advertisedListeners ?? []).map(listenerFrom)) {
    if (names.includes(name)) continue
    throw new ConfigError(
      `advertised.listeners has ${name}, which is not in listeners: ${names.join(', ')}`,
    )
  }
  checkRoles(config, names)
  if (logDirectoriesOf(config).length === 0)
    throw new ConfigError('log.dirs is empty: give at least one directory')
}

function checkRoles(config: BrokerConfig, listenerNames: readonly string[]): void {
  const { controllerListener, interBrokerListenerName, metadataStore } = config
  const isBroker = config.processRoles.includes('broker')
  const isController = config.processRoles.includes('controller')
  const hasControllers = config.controllerQuorumBootstrapServers.length > 0
  if (!isController && !hasControllers) {
    throw new ConfigError(
      'process.roles is broker alone: name the controllers with controller.quorum.bootstrap.servers (--controllers HOST:PORT,...)',
    )
  }
  if (!isController && controllerListener !== undefined) {
    throw new ConfigError('controller.listener is set, but process.roles does not have controller')
  }
  if (isBroker && isController && hasControllers) {
    throw new ConfigError(
      'controller.quorum.bootstrap.servers is set, but this process has the controller itself: set process.roles=broker (--roles broker), or leave it out',
    )
  }
  if (!isBroker && controllerListener === undefined) {
    throw new ConfigError(
      'process.roles is controller alone: tell where brokers reach it with controller.listener (--controller-listener HOST:PORT)',
    )
  }
  if (isBroker && isController && metadataStore !== 'lmdb') {
    throw new ConfigError(
      `metadata.store is ${metadataStore}, which is for controllers of their own: set process.roles=controller (--roles controller), and start brokers beside it`,
    )
  }
  if (
    interBrokerListenerName !== undefined &&
    !listenerNames.includes(interBrokerListenerName.toUpperCase())
  ) {
    throw new ConfigError(
      `inter.broker.listener.name is ${interBrokerListenerName}, which is not in listeners: ${listenerNames.join(', ')}`,
    )
  }
  if (config.brokerSessionTimeoutMs < 2 * config.brokerHeartbeatIntervalMs) {
    throw new ConfigError(
      `broker.session.timeout.ms is ${config.brokerSessionTimeoutMs}, but must be at least twice broker.heartbeat.interval.ms, which is ${config.brokerHeartbeatIntervalMs}`,
    )
  }
}

/** The controllers of a process that is a broker only. */
export function controllersOf(config: BrokerConfig): readonly HostAndPort[] {
  return config.controllerQuorumBootstrapServers.map(hostAndPortFrom)
}

/** Where brokers reach the controller of this process; undefined: nowhere. */
export function controllerListenerOf(config: BrokerConfig): HostAndPort | undefined {
  const text = config.controllerListener
  return text === undefined ? undefined : hostAndPortFrom(text)
}

function hostAndPortFrom(text: string): HostAndPort {
  const place = parseHostAndPort(text)
  assert(place !== undefined, 'addresses were checked when they were read')
  return place
}
