/**
 * Every version of every API that Apache Kafka serves, too: what succeeds and what fails there has the same answer from our
 * broker. TARGET has no meaning here, both always run.
 */
import { isDeepStrictEqual } from 'node:util'
import { join } from 'node:path'
import t from 'tap'
import { apis } from '../../protocol/apis.ts'
import { startKafka } from './kafka.ts'
import { startMillrace } from './millrace.ts'
import { temporaryDirectory } from './places.ts'
import { pause } from './processes.ts'
import { adminSteps } from './version-admin-steps.ts'
import { VersionClient } from './version-client.ts'
import { consumerSteps } from './version-consumer-steps.ts'
import { groupSteps } from './version-group-steps.ts'
import { recordSteps } from './version-record-steps.ts'
import type { VersionStep } from './version-step.ts'
import { topicSteps } from './version-topic-steps.ts'

/** Apache Kafka answers before its own parts have heard of a change. */
const agreeMsMax = 5000
/** Requests that change nothing: they may be sent again. */
const isReading = /^(?:Consumer)?(?:Describe|Elect|Fetch|Find|Group|List|Metadata|OffsetF)/

const folder = temporaryDirectory('versions')
const [ours, kafka] = await Promise.all([
  startMillrace({
    dataDirectory: join(folder.path, 'ours'),
    // As kafka.ts starts Apache Kafka.
    properties: {
      'node.id': '1',
      'offsets.topic.replication.factor': '1',
      'offsets.topic.num.partitions': '4',
      'group.initial.rebalance.delay.ms': '0',
    },
  }),
  startKafka({ dataDirectory: join(folder.path, 'kafka') }),
])
const [ourClient, kafkaClient] = await Promise.all([
  VersionClient.connect(ours),
  VersionClient.connect(kafka),
])
t.teardown(async () => {
  ourClient.close()
  kafkaClient.close()
  await Promise.all([ours.stop(), kafka.stop()])
  folder.remove()
})
t.setTimeout(300_000)

const steps = [...recordSteps, ...topicSteps, ...adminSteps, ...groupSteps, ...consumerSteps]

await t.test('versions: no API that our broker has is left out, and no version', async (t) => {
  const asked = new Set(steps.map(({ api, version }) => `${api.name} ${version}`))
  const served = [...apis.values()].flatMap(({ name, versions: [first, last] }) =>
    Array.from({ length: last - first + 1 }, (_, index) => `${name} ${first + index}`),
  )
  t.same(
    served.filter((each) => !asked.has(each)),
    [],
  )
})

const succeeded = new Set<string>()
for (const step of steps) {
  const { api, version, title } = step
  await t.test(`${api.name}: version ${version}, ${title}`, async (t) => {
    t.ok(kafkaClient.serves(step), 'Apache Kafka has this version')
    const mine = await ourClient.ask(step)
    t.same(mine, await answerOfKafka(step, mine))
    if (hasSuccess(mine)) succeeded.add(`${api.name} ${version}`)
  })
}

await t.test('versions: in each of them something succeeds', async (t) => {
  const all = new Set(steps.map(({ api, version }) => `${api.name} ${version}`))
  // The only broker can't be taken out.
  const failed = [...all].filter((each) => !succeeded.has(each))
  t.same(failed, ['UnregisterBroker 0'])
})

/** Whether some part of the answer is no error. */
function hasSuccess(answer: unknown): boolean {
  if (typeof answer !== 'object') return false
  const text = JSON.stringify(answer)
  return text.includes('"errorCode":0') || !text.includes('"errorCode"')
}

/** Of a request that changes nothing: the first that equals `wanted`, or the last. */
async function answerOfKafka(step: VersionStep, wanted: unknown): Promise<unknown> {
  const deadline = performance.now() + agreeMsMax
  for (;;) {
    const theirs = await kafkaClient.ask(step)
    if (isDeepStrictEqual(wanted, theirs) || !isReading.test(step.api.name)) return theirs
    if (performance.now() > deadline) return theirs
    await pause(50)
  }
}
