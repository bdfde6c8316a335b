import type { StatusEvent } from '../client/consumer/status.ts'
import { topic } from '../client/topic.ts'
import { openKafka } from './client.ts'
import type { ConsumeOptions } from './consume.ts'
import { CliError } from './errors.ts'
import { exitCodes } from './exit-codes.ts'
import { checkTopicName, wholeNumber } from './options.ts'
import { writeOut } from './output.ts'
import { formatRecord, recordFormatOf } from './record-output.ts'

/** Prints what falls to this member of a group, and commits what was printed. Ends at Ctrl-C or after --count records. */
export async function consumeAsMember(
  topicName: string,
  group: string,
  options: ConsumeOptions,
): Promise<void> {
  checkTopicName(topicName)
  if (group === '') throw CliError.usage('--group must not be empty')
  const countMax = options.count === undefined ? Infinity : wholeNumber('--count', options.count, 1)
  const offsetReset = resetOf(options)
  const format = recordFormatOf(options)
  await using kafka = await openKafka(options)
  // A topic that is missing is told at once, instead of waited for.
  await kafka.admin().describeTopic(topicName)
  const consumer = kafka.consumer({ group, offsetReset })
  const told = tell(consumer.status())
  let isInterrupted = false
  const stop = (): void => {
    isInterrupted = true
    void consumer.close()
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  let count = 0
  try {
    for await (const batch of consumer.batches(topic(topicName))) {
      const lines: Buffer[] = []
      let last
      for (const record of batch) {
        const { offset, timestamp, key, value, rawHeaders: headers } = record
        const printed = { offset, timestamp, key, value, headers }
        lines.push(formatRecord(topicName, record.partition, printed, format))
        last = record
        count += 1
        if (count >= countMax) break
      }
      await writeOut(process.stdout, Buffer.concat(lines))
      if (count < countMax) continue
      if (last !== undefined) await consumer.commit(last)
      break
    }
  } finally {
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
    await consumer.close()
    await told
  }
  process.stderr.write(`Consumed ${count} records from ${topicName} as a member of ${group}\n`)
  if (!isInterrupted || countMax === Infinity || count >= countMax) return
  throw new CliError({
    code: 'INTERRUPTED',
    message: `${countMax - count} of ${countMax} records were not consumed`,
    exitCode: exitCodes.interrupted,
  })
}

/** Where a group goes on is the group's own: only a group that has committed nothing yet can be told. */
function resetOf(options: ConsumeOptions): 'earliest' | 'latest' {
  if (options.partition.length > 0) {
    throw CliError.usage('--partition and --group exclude each other', 'the group assigns')
  }
  if (options.exit === true) {
    throw CliError.usage(
      '--exit and --group exclude each other: the end may belong to another member',
      'use --count N, or Ctrl-C',
    )
  }
  if (options.from === 'start') return 'earliest'
  if (options.from === 'end') return 'latest'
  throw CliError.usage(
    `--from ${options.from} is no place for a group: it says where to begin when nothing is committed`,
    'use start or end; "millrace group reset-offsets" moves a group',
  )
}

/** Expected events, one sentence each. */
async function tell(events: AsyncIterable<StatusEvent>): Promise<void> {
  for await (const event of events) {
    const text = sentenceOf(event)
    if (text !== undefined) process.stderr.write(`${text}\n`)
  }
}

function sentenceOf(event: StatusEvent): string | undefined {
  if ('partitions' in event) {
    const places = event.partitions.map(({ topic: name, partition }) => `${name}-${partition}`)
    return places.length === 0 ? undefined : `${event.type}: ${places.join(', ')}`
  }
  if (event.type === 'retrying') {
    return `trying again in ${Math.round(event.inMs)} ms: ${event.error.message}`
  }
  if (event.type === 'failed' || event.type === 'commit-failed') {
    return `${event.type}: ${event.error.message}`
  }
  return undefined
}
