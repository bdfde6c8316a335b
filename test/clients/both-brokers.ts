/** Our broker and a real Apache Kafka beside it, to be asked the same. TARGET has no meaning here. */
import { isDeepStrictEqual } from 'node:util'
import { join } from 'node:path'
import type { Test } from 'tap'
import { startKafka } from './kafka.ts'
import { startMillrace } from './millrace.ts'
import { temporaryDirectory } from './places.ts'
import { pause } from './processes.ts'
import type { Server } from './server.ts'

/** Apache Kafka answers before its own parts have heard of a change, and needs a moment for its first producer ids. */
const agreeMsMax = 5000

/** Both start on empty folders with the same configuration, and stop when `t` ends. */
export async function startBoth(t: Test, name: string): Promise<{ ours: Server; kafka: Server }> {
  t.setTimeout(300_000)
  const folder = temporaryDirectory(name)
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
  t.teardown(async () => {
    await Promise.all([ours.stop(), kafka.stop()])
    folder.remove()
  })
  return { ours, kafka }
}

/** What Apache Kafka answers: the first that equals `mine` or may not be asked for again, or else the last. */
export async function answerOfKafka(
  mine: unknown,
  ask: () => Promise<unknown>,
  mayAskAgain: (theirs: unknown) => boolean,
): Promise<unknown> {
  const deadline = performance.now() + agreeMsMax
  for (;;) {
    const theirs = await ask()
    if (isDeepStrictEqual(mine, theirs) || !mayAskAgain(theirs)) return theirs
    if (performance.now() > deadline) return theirs
    await pause(50)
  }
}
