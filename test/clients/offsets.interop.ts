/**
 * Offsets by time, ends of leader epochs, deleted records, producers and log directories, asked of our broker and of
 * a real Apache Kafka beside it: the same answers. TARGET has no meaning here, both always run.
 */
import { isDeepStrictEqual } from 'node:util'
import { join } from 'node:path'
import t from 'tap'
import { WireClient } from '../support/wire-client.ts'
import type { AdminStep } from './admin-steps.ts'
import { startKafka } from './kafka.ts'
import { startMillrace } from './millrace.ts'
import {
  creationStep,
  deletionSteps,
  directorySteps,
  epochSteps,
  listSteps,
  producerSteps,
  produceSteps,
} from './offset-steps.ts'
import { temporaryDirectory } from './places.ts'
import { pause } from './processes.ts'

/** Apache Kafka leads a new partition only a moment after it said that it is there. */
const agreeMsMax = 5000

const folder = temporaryDirectory('offsets')
const [ours, kafka] = await Promise.all([
  startMillrace({ dataDirectory: join(folder.path, 'ours'), properties: { 'node.id': '1' } }),
  startKafka({ dataDirectory: join(folder.path, 'kafka') }),
])
const [ourClient, kafkaClient] = await Promise.all([
  WireClient.connect(ours),
  WireClient.connect(kafka),
])
t.teardown(async () => {
  ourClient.close()
  kafkaClient.close()
  await Promise.all([ours.stop(), kafka.stop()])
  folder.remove()
})
t.setTimeout(300_000)

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
    const deadline = performance.now() + agreeMsMax
    for (;;) {
      const theirs = comparable(await step.run(kafkaClient.send.bind(kafkaClient)))
      const isAsking = !/^(?:create|produce)/.test(step.title) || isNotReady(theirs)
      if (!isAsking || isDeepStrictEqual(mine, theirs) || performance.now() > deadline) {
        t.same(mine, theirs)
        return
      }
      await pause(50)
    }
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
