import t from 'tap'
import {
  allBrokerProperties,
  ConfigError,
  configSchema,
  listenersOf,
  loadBrokerConfig,
  logConfigOf,
  logDirectoriesOf,
  withDynamicConfigs,
} from '../../broker/config.ts'
import { defaultLogConfig } from '../../broker/log/log-config.ts'
import { topicProperties } from '../../broker/log/topic-properties.ts'
import { ClusterImage } from '../../broker/metadata/image.ts'

const none: ReadonlyMap<string, string> = new Map()
const load = (sets: Record<string, string>): ReturnType<typeof loadBrokerConfig> =>
  loadBrokerConfig({ sets })

t.test('config: without anything given, Kafka defaults', async (t) => {
  const config = loadBrokerConfig({})
  t.match(config, {
    nodeId: 1,
    numPartitions: 1,
    autoCreateTopicsEnable: true,
    socketRequestMaxBytes: 104_857_600,
    logRetentionMs: undefined,
    logRetentionHours: 168,
    flushPolicy: 'ack',
  })
  const logConfig = logConfigOf(config, none)
  for (const [field, value] of Object.entries(defaultLogConfig)) {
    t.same(logConfig[field as keyof typeof logConfig], value, field)
  }
})

t.test('config: command line goes before environment, environment before file', async (t) => {
  const file = { path: 'a.properties', text: 'num.partitions=2\nlog.roll.hours=5\nnode.id=7\n' }
  const environment = { MILLRACE_NUM_PARTITIONS: '3', MILLRACE_NODE_ID: '8', PATH: '/bin' }
  const config = loadBrokerConfig({ file, environment, sets: { 'num.partitions': '4' } })
  t.match(config, { numPartitions: 4, nodeId: 8, logRollHours: 5 })
  t.same([...config.layers.static.keys()].toSorted(), [
    'log.roll.hours',
    'node.id',
    'num.partitions',
  ])
})

const refusals: [title: string, sets: Record<string, string>, message: RegExp][] = [
  [
    'an unknown key',
    { 'log.segment.byte': '1' },
    /log\.segment\.byte .*Did you mean log\.segment\.bytes/,
  ],
  [
    'text for a number',
    { 'num.partitions': 'many' },
    /num\.partitions is "many".* whole number, 1 or more/,
  ],
  ['a number out of range', { 'log.segment.bytes': '1' }, /log\.segment\.bytes .* 1048576 or more/],
  ['a word that is none', { 'flush.policy': 'never' }, /one of ack, interval, os/],
  ['no port', { listeners: 'PLAINTEXT://localhost' }, /NAME:\/\/HOST:PORT/],
  ['a port out of range', { listeners: 'PLAINTEXT://localhost:65536' }, /NAME:\/\/HOST:PORT/],
  ['no listener', { listeners: '' }, /listeners is empty/],
  ['a listener twice', { listeners: 'A://:1,a://:2' }, /name twice/],
  ['TLS', { listeners: 'SSL://:9093' }, /serves PLAINTEXT only/],
  ['an advertised stranger', { 'advertised.listeners': 'B://x:1' }, /B, which is not in listeners/],
  ['retention of nothing', { 'log.retention.hours': '0' }, /log\.retention\.hours .* or -1/],
  ['no directory', { 'log.dirs': '' }, /log\.dirs is empty/],
  [
    'a controller without a place of its own on etcd',
    { 'metadata.store': 'etcd://localhost:2379' },
    /controllers of their own: set process\.roles=controller .*start brokers beside it/,
  ],
  [
    'a broker without controllers',
    { 'process.roles': 'broker' },
    /name the controllers with controller\.quorum\.bootstrap\.servers/,
  ],
  [
    'a controller that nobody can reach',
    { 'process.roles': 'controller' },
    /tell where brokers reach it with controller\.listener/,
  ],
]
for (const [title, sets, message] of refusals) {
  t.test(`config: ${title} is refused, and the message tells what to do`, async (t) => {
    t.throws(() => load(sets), ConfigError)
    t.throws(() => load(sets), { message, code: 'CONFIG' })
  })
}

t.test('config: the message tells where the bad value stands', async (t) => {
  const file = { path: '/etc/m.properties', text: 'num.partitions=0' }
  t.throws(() => loadBrokerConfig({ file }), { message: /in \/etc\/m\.properties/ })
  t.throws(() => loadBrokerConfig({ environment: { MILLRACE_NO_SUCH: '1' } }), {
    message: /no\.such \(from the environment variable MILLRACE_NO_SUCH\)/,
  })
  t.throws(() => load({ nothing: '1' }), { message: /on the command line/ })
})

t.test('config: what Kubernetes tells of a service named millrace is no property', async (t) => {
  const environment = {
    MILLRACE_SERVICE_HOST: '10.0.0.1',
    MILLRACE_SERVICE_PORT: '9092',
    MILLRACE_SERVICE_PORT_KAFKA: '9092',
    MILLRACE_PORT: 'tcp://10.0.0.1:9092',
    MILLRACE_PORT_9092_TCP: 'tcp://10.0.0.1:9092',
    MILLRACE_PORT_9092_TCP_ADDR: '10.0.0.1',
    MILLRACE_CONTROLLER_SERVICE_HOST: '10.0.0.2',
    MILLRACE_NUM_PARTITIONS: '3',
  }
  t.equal(loadBrokerConfig({ environment }).numPartitions, 3)
})

t.test('config: retention comes from the finest unit that is set', async (t) => {
  const retentionOf = (sets: Record<string, string>): number =>
    logConfigOf(load(sets), none).retentionMs
  t.equal(retentionOf({ 'log.retention.hours': '2' }), 7_200_000)
  t.equal(retentionOf({ 'log.retention.hours': '2', 'log.retention.minutes': '3' }), 180_000)
  t.equal(retentionOf({ 'log.retention.minutes': '3', 'log.retention.ms': '4' }), 4)
  t.equal(retentionOf({ 'log.retention.hours': '-1' }), -1)
})

t.test('config: a topic overrides the broker, and its bad values are left out', async (t) => {
  const config = load({ 'log.segment.bytes': '2000000', 'log.cleanup.policy': 'compact' })
  t.match(logConfigOf(config, none), {
    segmentBytes: 2_000_000,
    cleanupPolicy: { delete: false, compact: true },
  })
  const overrides = new Map([
    ['segment.bytes', '3000000'],
    ['cleanup.policy', 'compact,delete'],
    ['retention.ms', 'forever'],
  ])
  t.match(logConfigOf(config, overrides), {
    segmentBytes: 3_000_000,
    cleanupPolicy: { delete: true, compact: true },
    retentionMs: 604_800_000,
  })
  t.equal(logConfigOf(config, new Map([['internal.segment.bytes', '100']])).segmentBytes, 100)
})

t.test('config: what is set at run time goes before what was given at start', async (t) => {
  const image = new ClusterImage('cluster')
  const set = (resource: string, name: string, value: string | null): void => {
    const record = { type: 'config', resourceType: 'broker', resource, name, value } as const
    image.apply(image.offset + 1, [record])
  }
  const start = load({ 'message.max.bytes': '1000' })
  t.equal(withDynamicConfigs(start, image).messageMaxBytes, 1000)
  set('', 'message.max.bytes', '2000')
  t.equal(withDynamicConfigs(start, image).messageMaxBytes, 2000)
  set('1', 'message.max.bytes', '3000')
  set('2', 'message.max.bytes', '4000')
  const now = withDynamicConfigs(start, image)
  t.equal(now.messageMaxBytes, 3000)
  t.equal(logConfigOf(now, none).maxMessageBytes, 3000)
  set('1', 'message.max.bytes', null)
  t.equal(withDynamicConfigs(now, image).messageMaxBytes, 2000)
})

t.test('config: listeners are told apart from what is advertised', async (t) => {
  const config = load({
    listeners: 'plaintext://:9092,IN://[::1]:0',
    'advertised.listeners': 'PLAINTEXT://example.org:19092',
  })
  t.same(listenersOf(config), [
    {
      name: 'PLAINTEXT',
      host: '',
      port: 9092,
      advertised: { name: 'PLAINTEXT', host: 'example.org', port: 19_092 },
    },
    { name: 'IN', host: '::1', port: 0, advertised: { name: 'IN', host: '::1', port: 0 } },
  ])
})

t.test('config: log.dirs goes before log.dir', async (t) => {
  t.same(logDirectoriesOf(load({ 'log.dir': 'x' })), ['x'])
  t.same(logDirectoriesOf(load({ 'log.dir': 'x', 'log.dirs': 'a, b' })), ['a', 'b'])
})

t.test('config: every property has a text, a default that is allowed, and one name', async (t) => {
  for (const table of [allBrokerProperties, topicProperties]) {
    const names = new Set<string>()
    for (const [field, property] of Object.entries(table)) {
      t.ok(property.doc.endsWith('.'), property.name)
      t.notOk(names.has(property.name), property.name)
      names.add(property.name)
      const camelCase = property.name.replaceAll(/\.(.)/g, (_, letter: string) =>
        letter.toUpperCase(),
      )
      t.equal(field, camelCase)
      if (property.defaultText !== null) {
        const parsed = property.parse(property.defaultText)
        t.ok(parsed.ok && parsed.text === property.defaultText, property.name)
      }
    }
  }
})

t.test('config: every synonym of a topic property is a property of the same type', async (t) => {
  for (const { name, synonyms, defaultText } of Object.values(topicProperties)) {
    const [first] = synonyms
    if (first === undefined) continue
    const broker = configSchema.broker(first.name)
    t.ok(broker !== undefined, `${first.name} of ${name}`)
    t.equal(broker?.defaultText ?? defaultText, defaultText, name)
  }
})
