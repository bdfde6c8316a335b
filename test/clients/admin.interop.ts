/**
 * Admin requests, sent to our broker and to a real Apache Kafka beside it: the same errors, the same configurations with
 * the same defaults, types, sources and synonyms. TARGET has no meaning here, both always run.
 */
import t from 'tap'
import { DescribeConfigs } from '../../protocol/messages/describe-configs.ts'
import { WireClient } from '../support/wire-client.ts'
import { clusterSteps, configSteps } from './admin-config-steps.ts'
import { brokerType, type AdminStep, type Send } from './admin-steps.ts'
import { creationSteps, deletionSteps, metadataSteps } from './admin-topic-steps.ts'
import { answerOfKafka, startBoth } from './both-brokers.ts'
import type { Server } from './server.ts'

/**
 * Configurations that differ on purpose: by where each broker runs, by limits that we set and Kafka does not,
 * min.insync.replicas because Kafka 4.3 sets it for the whole cluster (eligible leader replicas), what makes a
 * cluster notice sooner that somebody is gone, and process.roles, which has no default there.
 */
const differing = new Set([
  'min.insync.replicas',
  'broker.heartbeat.interval.ms',
  'replica.socket.timeout.ms',
  'process.roles',
  'max.connections',
  'queued.max.request.bytes',
  'listeners',
  'advertised.listeners',
  'log.dirs',
  'log.dir',
  'node.id',
])

const { ours, kafka } = await startBoth(t, 'admin')

const [sendOurs, sendKafka] = await Promise.all([senderTo(ours), senderTo(kafka)])
const [ourNames, kafkaNames] = await Promise.all([brokerNames(sendOurs), brokerNames(sendKafka)])
const shared = new Set(ourNames.filter((name) => kafkaNames.includes(name)))

await t.test('admin: the properties that only our broker has are known', async (t) => {
  t.same(
    ourNames.filter((name) => !shared.has(name)),
    [
      'connection.backlog.bytes.max',
      'connection.backlog.timeout.ms',
      'connection.first.byte.timeout.ms',
      'connection.frame.bytes.per.second.min',
      'connection.pipelined.requests.max',
      'controller.listener',
      'fetch.transfer',
      'flush.interval.ms',
      'flush.policy',
      'follower.replication.throttled.rate',
      'host.label',
      'leader.imbalance.per.broker.percentage',
      'leader.replication.throttled.rate',
      'metadata.store',
      'metadata.store.ca.file',
      'metadata.store.certificate.file',
      'metadata.store.key.file',
      'metadata.store.password.file',
      'metadata.store.user',
      'unclean.leader.election.interval.ms',
    ],
  )
})

const steps: readonly AdminStep[] = [
  ...creationSteps,
  ...metadataSteps,
  ...configSteps(shared),
  ...clusterSteps,
  ...deletionSteps,
]
for (const [index, step] of steps.entries()) {
  await t.test(`${index} ${step.title}`, async (t) => {
    const mine = comparable(await step.run(sendOurs))
    const theirs = await answerOfKafka(
      mine,
      async () => comparable(await step.run(sendKafka)),
      () => /^(?:describe|metadata|init)/.test(step.title),
    )
    t.same(mine, theirs)
  })
}

/** A connection that is made anew when the broker closed it. */
async function senderTo(server: Server): Promise<Send> {
  let client = await WireClient.connect(server)
  t.teardown(() => client.close())
  return async (api, version, request) => {
    try {
      return await client.send(api, version, request)
    } catch (error) {
      client.close()
      client = await WireClient.connect(server)
      throw error
    }
  }
}

async function brokerNames(send: Send): Promise<string[]> {
  const response = await send(DescribeConfigs, 4, {
    resources: [{ resourceType: brokerType, resourceName: '1', configurationKeys: null }],
  })
  return response.results.flatMap(({ configs }) => configs.map(({ name }) => name)).toSorted()
}

/** Without texts for people and without what differs on purpose. */
function comparable(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.filter((item) => !isLeftOut(item)).map(comparable)
  }
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).filter(([key]) => key !== 'errorMessage')
  return Object.fromEntries(entries.map(([key, each]) => [key, comparable(each)]))
}

/** Synonyms of remote storage are the broker's in Kafka; our broker has no remote storage. */
function isLeftOut(item: unknown): boolean {
  if (typeof item !== 'object' || item === null || !('name' in item)) return false
  const { name } = item
  if (typeof name !== 'string') return false
  return differing.has(name) || name.startsWith('log.local.retention.')
}
