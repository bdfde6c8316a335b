/**
 * Every version of every API that Apache Kafka serves, too: what succeeds and what fails there has the same answer from our
 * broker.
 */
import t from 'tap'
import { apis } from '../../protocol/apis.ts'
import { answerOfKafka, startBoth } from './both-brokers.ts'
import { adminSteps } from './version-admin-steps.ts'
import { VersionClient } from './version-client.ts'
import { consumerSteps } from './version-consumer-steps.ts'
import { groupSteps } from './version-group-steps.ts'
import { recordSteps } from './version-record-steps.ts'
import { topicSteps } from './version-topic-steps.ts'

/** Requests that change nothing: they may be sent again. */
const isReading = /^(?:Consumer)?(?:Describe|Elect|Fetch|Find|Group|List|Metadata|OffsetF)/

const { ours, kafka } = await startBoth(t, 'versions')
const [ourClient, kafkaClient] = await Promise.all([
  VersionClient.connect(ours),
  VersionClient.connect(kafka),
])
t.teardown(() => {
  ourClient.close()
  kafkaClient.close()
})

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
    const theirs = await answerOfKafka(
      mine,
      () => kafkaClient.ask(step),
      () => isReading.test(api.name),
    )
    t.same(mine, theirs)
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
