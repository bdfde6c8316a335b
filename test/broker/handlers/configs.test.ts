// DescribeConfigs, AlterConfigs, IncrementalAlterConfigs: values, sources and synonyms as Apache Kafka tells them.
import t from 'tap'
import { handler as alterConfigs } from '../../../broker/handlers/alter-configs.ts'
import { handler as describeConfigs } from '../../../broker/handlers/describe-configs.ts'
import { handler as incremental } from '../../../broker/handlers/incremental-alter-configs.ts'
import { configResource } from '../../../controller/configs.ts'
import { errors } from '../../../protocol/errors.ts'
import type { ResponseOf } from '../../../protocol/schema/api.ts'
import { forReal, newTopic } from '../../support/controllers.ts'
import { HandlerCalls } from '../../support/handler-calls.ts'

const source = { topic: 1, dynamicBroker: 2, dynamicDefault: 3, static: 4, default: 5 } as const

type Config = ResponseOf<typeof describeConfigs.api>['results'][number]['configs'][number]

async function withTopic(properties: Record<string, string> = {}): Promise<HandlerCalls> {
  const broker = await HandlerCalls.open(properties)
  await broker.controller.createTopics([newTopic('topic')], forReal)
  return broker
}

async function configsOf(
  broker: HandlerCalls,
  resourceType: number,
  resourceName: string,
): Promise<ReadonlyMap<string, Config>> {
  const response = await broker.call(describeConfigs, 4, {
    resources: [{ resourceType, resourceName, configurationKeys: null }],
    includeSynonyms: true,
    includeDocumentation: true,
  })
  const result = response.results[0]
  if (result?.errorCode !== 0) throw new Error(`error ${result?.errorCode}`)
  return new Map(result.configs.map((config) => [config.name, config]))
}

async function set(
  broker: HandlerCalls,
  resourceType: number,
  resourceName: string,
  values: Record<string, string>,
): Promise<void> {
  const configs = Object.entries(values).map(([name, value]) => ({
    name,
    configOperation: 0,
    value,
  }))
  const response = await broker.call(incremental, 1, {
    resources: [{ resourceType, resourceName, configs }],
    validateOnly: false,
  })
  t.match(response.responses, [{ errorCode: 0 }])
}

const { topic, broker: ofBroker } = configResource

t.test('describe: the sources of a value of a topic, the best first', async (t) => {
  const broker = await withTopic({ 'log.segment.bytes': '2000000' })
  await set(broker, ofBroker, '', { 'log.segment.bytes': '3000000' })
  await set(broker, ofBroker, '1', { 'log.segment.bytes': '4000000' })
  const inherited = (await configsOf(broker, topic, 'topic')).get('segment.bytes')
  const synonyms = [
    { name: 'log.segment.bytes', value: '4000000', source: source.dynamicBroker },
    { name: 'log.segment.bytes', value: '3000000', source: source.dynamicDefault },
    { name: 'log.segment.bytes', value: '2000000', source: source.static },
    { name: 'log.segment.bytes', value: '1073741824', source: source.default },
  ]
  t.match(inherited, { value: '4000000', configSource: source.dynamicBroker, readOnly: false })
  t.same(inherited?.synonyms, synonyms)
  await set(broker, topic, 'topic', { 'segment.bytes': '5000000' })
  const own = (await configsOf(broker, topic, 'topic')).get('segment.bytes')
  t.match(own, { value: '5000000', configSource: source.topic, configType: 3 })
  t.same(own?.synonyms, [
    { name: 'segment.bytes', value: '5000000', source: source.topic },
    ...synonyms,
  ])
})

t.test('describe: a value from another unit has its value, and no synonym', async (t) => {
  const broker = await withTopic({ 'log.retention.hours': '2' })
  const config = (await configsOf(broker, topic, 'topic')).get('retention.ms')
  t.match(config, { value: '7200000', configSource: source.default, synonyms: { length: 0 } })
  const hours = (await configsOf(broker, ofBroker, '1')).get('log.retention.hours')
  t.match(hours, { value: '2', configSource: source.static, readOnly: true })
  const ms = (await configsOf(broker, ofBroker, '1')).get('log.retention.ms')
  t.match(ms, { value: null, readOnly: false, configType: 5, synonyms: { length: 0 } })
})

t.test('describe: all that a broker obeys, and what was set for all of them', async (t) => {
  const broker = await withTopic({ 'num.partitions': '4' })
  t.same([...(await configsOf(broker, ofBroker, '')).keys()], [])
  await set(broker, ofBroker, '', { 'message.max.bytes': '5000' })
  const ofAll = await configsOf(broker, ofBroker, '')
  t.same([...ofAll.keys()], ['message.max.bytes'])
  t.match(ofAll.get('message.max.bytes'), {
    value: '5000',
    configSource: source.dynamicDefault,
    synonyms: [{ source: source.dynamicDefault }],
  })
  const own = await configsOf(broker, ofBroker, '1')
  t.match(own.get('num.partitions'), { value: '4', configSource: source.static, readOnly: true })
  t.match(own.get('message.max.bytes'), { value: '5000', readOnly: false })
  t.same([...own.keys()], [...own.keys()].toSorted())
  for (const { documentation, configType, isSensitive } of own.values()) {
    t.ok(documentation)
    t.ok(configType > 0)
    t.notOk(isSensitive)
  }
})

t.test('describe: keys filter, and an empty filter is none', async (t) => {
  const broker = await withTopic()
  const namesWith = async (configurationKeys: string[] | null): Promise<number> => {
    const response = await broker.call(describeConfigs, 1, {
      resources: [{ resourceType: topic, resourceName: 'topic', configurationKeys }],
      includeSynonyms: false,
    })
    t.ok(response.results[0]?.configs.every(({ synonyms }) => synonyms.length === 0))
    return response.results[0]?.configs.length ?? -1
  }
  const all = await namesWith(null)
  t.ok(all >= 30)
  t.equal(await namesWith([]), all)
  t.equal(await namesWith(['retention.ms', 'nothing']), 1)
})

t.test('describe: documentation and types from v3, documentation when asked', async (t) => {
  const broker = await withTopic()
  const resources = [
    { resourceType: topic, resourceName: 'topic', configurationKeys: ['retention.ms'] },
  ]
  const without = await broker.call(describeConfigs, 3, { resources })
  t.match(without.results[0]?.configs, [{ documentation: null, configType: 5 }])
  const asked = await broker.call(describeConfigs, 3, { resources, includeDocumentation: true })
  t.match(asked.results[0]?.configs, [{ documentation: /age/ }])
})

const unknown: [title: string, type: number, name: string, code: number, message: RegExp][] = [
  ['an unknown topic', topic, 'nothing', errors.unknownTopicOrPartition.code, /./],
  ['a bad name', topic, 'a b', errors.invalidTopicException.code, /invalid/],
  ['another broker', ofBroker, '2', errors.invalidRequest.code, /expected 1 .* received 2/],
  ['a broker by letters', ofBroker, 'x', errors.invalidRequest.code, /must be an integer/],
  ['loggers', configResource.brokerLogger, '1', errors.invalidRequest.code, /log level/],
  ['loggers of nobody', configResource.brokerLogger, '', errors.invalidRequest.code, /empty/],
  ['no client metrics', configResource.clientMetrics, '', errors.invalidRequest.code, /empty/],
  ['a group without a name', configResource.group, '', errors.invalidRequest.code, /empty/],
  ['type 77', 77, 'x', errors.invalidRequest.code, /Unsupported resource type: 77/],
]
for (const [title, resourceType, resourceName, code, message] of unknown) {
  t.test(`describe: ${title} has an error of its own`, async (t) => {
    const broker = await withTopic()
    const response = await broker.call(describeConfigs, 4, {
      resources: [
        { resourceType, resourceName, configurationKeys: null },
        { resourceType: topic, resourceName: 'topic', configurationKeys: null },
      ],
    })
    t.match(response.results, [
      {
        errorCode: code,
        errorMessage: message,
        configs: { length: 0 },
        resourceType,
        resourceName,
      },
      { errorCode: 0, errorMessage: '' },
    ])
  })
}

t.test('describe: client metrics that were never set', async (t) => {
  const broker = await withTopic()
  t.equal((await configsOf(broker, configResource.clientMetrics, 'any')).size, 0)
})

t.test('alter: rows come in the order of the request, each with its own error', async (t) => {
  const broker = await withTopic()
  const configs = [{ name: 'message.max.bytes', value: '5' }]
  const resources = [
    { resourceType: ofBroker, resourceName: '2', configs },
    { resourceType: topic, resourceName: 'topic', configs: [{ name: 'segment.ms', value: '5' }] },
    { resourceType: topic, resourceName: 'nothing', configs: [] },
    { resourceType: ofBroker, resourceName: '1', configs },
  ]
  const response = await broker.call(alterConfigs, 2, { resources, validateOnly: false })
  t.match(response.responses, [
    { errorCode: errors.invalidRequest.code, errorMessage: /expected 1, but received 2/ },
    { errorCode: 0, errorMessage: null, resourceName: 'topic' },
    { errorCode: errors.unknownTopicOrPartition.code },
    { errorCode: 0, resourceType: ofBroker, resourceName: '1' },
  ])
  const operations = resources.map((resource) => ({
    ...resource,
    configs: resource.configs.map((config) => ({ ...config, configOperation: 0 })),
  }))
  const same = await broker.call(incremental, 0, { resources: operations, validateOnly: false })
  t.same(
    same.responses.map(({ errorCode }) => errorCode),
    response.responses.map(({ errorCode }) => errorCode),
  )
})

t.test('groups: what is set on one goes before what the broker has for all', async (t) => {
  const broker = await withTopic({ 'group.consumer.session.timeout.ms': '50000' })
  const timeout = 'consumer.session.timeout.ms'
  const before = (await configsOf(broker, configResource.group, 'g')).get(timeout)
  t.match(before, { value: '50000', configSource: 4, configType: 3, readOnly: false })
  await set(broker, configResource.group, 'g', { [timeout]: '60000' })
  const after = (await configsOf(broker, configResource.group, 'g')).get(timeout)
  t.match(after, { value: '60000', configSource: 8 })
  t.equal((await configsOf(broker, configResource.group, 'h')).get(timeout)?.value, '50000')
})

t.test('groups: values beyond the bounds of the broker are refused', async (t) => {
  const broker = await withTopic({ 'group.consumer.min.session.timeout.ms': '9000' })
  const refused: [string, string, RegExp][] = [
    ['consumer.session.timeout.ms', '8999', /min.session.timeout.ms \(9000\)/],
    ['consumer.session.timeout.ms', '60001', /less than or equal/],
    ['consumer.heartbeat.interval.ms', '1', /min.heartbeat/],
    ['consumer.session.timeout.ms', 'long', /Not a number/],
    ['share.session.timeout.ms', '1', /Unknown group config name/],
  ]
  for (const [name, value, message] of refused) {
    const configs = [{ name, configOperation: 0, value }]
    const resources = [{ resourceType: configResource.group, resourceName: 'g', configs }]
    const { responses } = await broker.call(incremental, 1, { resources, validateOnly: false })
    t.match(responses, [{ errorCode: errors.invalidConfig.code, errorMessage: message }])
  }
  await set(broker, configResource.group, 'g', { 'consumer.session.timeout.ms': '9001' })
  const configs = [{ name: 'consumer.heartbeat.interval.ms', configOperation: 0, value: '9001' }]
  const resources = [{ resourceType: configResource.group, resourceName: 'g', configs }]
  const { responses } = await broker.call(incremental, 1, { resources, validateOnly: false })
  t.match(responses, [{ errorMessage: /must be greater than consumer.heartbeat/ }])
})

t.test('describe: one request is not answered without end', async (t) => {
  const broker = await withTopic()
  const one = { resourceType: ofBroker, resourceName: '1', configurationKeys: null }
  const { results } = await broker.call(describeConfigs, 4, {
    resources: Array.from({ length: 10_000 }, () => one),
    includeSynonyms: false,
    includeDocumentation: false,
  })
  t.equal(results.length, 10_000)
  t.match(results[0], { errorCode: 0 })
  t.match(results.at(-1), { errorCode: errors.invalidRequest.code, errorMessage: /fewer/ })
  const entryCount = results.reduce((sum, { configs }) => sum + configs.length, 0)
  t.ok(entryCount > 200_000 && entryCount < 260_000, `${entryCount} settings`)
})

t.test('alter: what is refused is repeated only as far as an answer can hold it', async (t) => {
  const broker = await withTopic()
  const value = 'x'.repeat(32_000)
  const { responses } = await broker.call(incremental, 0, {
    resources: [
      {
        resourceType: topic,
        resourceName: 'topic',
        configs: [{ name: 'retention.ms', configOperation: 0, value }],
      },
    ],
    validateOnly: false,
  })
  t.match(responses, [{ errorCode: errors.invalidConfig.code, errorMessage: /x{100}/ }])
  t.equal(responses[0]?.errorMessage?.length, 1024)
})

t.test('alter: a list does not grow beyond what an answer can hold', async (t) => {
  const broker = await withTopic()
  const name = 'leader.replication.throttled.replicas'
  const appended = async (from: number): Promise<number | undefined> => {
    const value = Array.from({ length: 3000 }, (_, index) => `${from + index}:1`).join(',')
    const configs = [{ name, configOperation: 2, value }]
    const resources = [{ resourceType: topic, resourceName: 'topic', configs }]
    const request = { resources, validateOnly: false }
    return (await broker.call(incremental, 1, request)).responses[0]?.errorCode
  }
  t.equal(await appended(1_000_000), 0)
  t.equal(await appended(2_000_000), errors.invalidConfig.code)
  const value = (await configsOf(broker, topic, 'topic')).get(name)?.value ?? ''
  t.equal(value.split(',').length, 3000)
})
