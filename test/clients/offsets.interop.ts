/**
 * Offsets by time, ends of leader epochs, deleted records, producers and log directories, asked of our broker and of
 * a real Apache Kafka beside it: the same answers. TARGET has no meaning here, both always run.
 */
import t from 'tap'
import { WireClient } from '../support/wire-client.ts'
import type { AdminStep } from './admin-steps.ts'
import { answerOfKafka, startBoth } from './both-brokers.ts'
import {
  creationStep,
  deletionSteps,
  directorySteps,
  epochSteps,
  listSteps,
  producerSteps,
  produceSteps,
} from './offset-steps.ts'

const { ours, kafka } = await startBoth(t, 'offsets')
const [ourClient, kafkaClient] = await Promise.all([
  WireClient.connect(ours),
  WireClient.connect(kafka),
])
t.teardown(() => {
  ourClient.close()
  kafkaClient.close()
})

const steps: readonly AdminStep[] = [
  creationStep,
  ...produceSteps,
  ...directorySteps,
  ...listSteps,
  ...epochSteps,
  ...producerSteps,
  ...deletionSteps,
]
for (const [index, step] of steps.entries()) {
  await t.test(`${index} ${step.title}`, async (t) => {
    const mine = comparable(await step.run(ourClient.send.bind(ourClient)))
    const theirs = await answerOfKafka(
      mine,
      async () => comparable(await step.run(kafkaClient.send.bind(kafkaClient))),
      // It leads a new partition only a moment after it said that it is there.
      (answer) => !/^(?:create|produce)/.test(step.title) || isNotReady(answer),
    )
    t.same(mine, theirs)
  })
}

/** Without texts for people. */
function comparable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(comparable)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).filter(([key]) => key !== 'errorMessage')
  return Object.fromEntries(entries.map(([key, each]) => [key, comparable(each)]))
}

/** UNKNOWN_TOPIC_OR_PARTITION or NOT_LEADER_OR_FOLLOWER. */
function isNotReady(value: unknown): boolean {
  return /"errorCode":[36],/.test(JSON.stringify(value))
}
