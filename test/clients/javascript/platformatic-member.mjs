// @platformatic/kafka as a member of a consumer group (README.md, "Group members").
//
//   platformatic-member.mjs BROKERS GROUP TOPIC [NAME=VALUE...]
import { Consumer, cooperativeStickyAssigner } from '@platformatic/kafka'

import { Ownership, inputEnds, print, settingsOf } from './member-output.mjs'

const [brokers, groupId, topic, ...rest] = process.argv.slice(2)
const settings = settingsOf(rest)
const cooperative = settings.assignor === 'cooperative-sticky'
const classic = {
  sessionTimeout: Number(settings.session ?? 10_000),
  rebalanceTimeout: 15_000,
  heartbeatInterval: Number(settings.heartbeat ?? 300),
  ...(cooperative ? { partitionAssigner: cooperativeStickyAssigner } : {}),
  protocols: [{ name: cooperative ? 'cooperative-sticky' : 'roundrobin', version: 1 }],
}
const consumer = new Consumer({
  clientId: 'millrace-member',
  bootstrapBrokers: brokers.split(','),
  groupId,
  retries: 100,
  retryDelay: 50,
  maxWaitTime: 100,
  autocommit: false,
  ...(settings.protocol === 'consumer' ? { groupProtocol: 'consumer' } : classic),
})

// Under the consumer protocol there is no event for an assignment: it is looked at.
const ownership = new Ownership()
let before = ''
const look = () => {
  const partitions = (consumer.assignments ?? [])
    .filter((each) => each.topic === topic)
    .flatMap((each) => each.partitions)
    .toSorted((a, b) => a - b)
  if (partitions.join() === before) return
  before = partitions.join()
  ownership.assigned(consumer.generationId, partitions)
}
const watch = setInterval(look, 10)
consumer.on('consumer:group:join', look)
consumer.on('error', (error) => print('note', `error: ${error.message.replaceAll('\n', ' ')}`))

const stream = await consumer.consume({
  topics: [topic],
  mode: 'committed',
  fallbackMode: 'earliest',
})
stream.on('error', (error) => print('note', `stream: ${error.message.replaceAll('\n', ' ')}`))
let stopping = false
void inputEnds().then(async () => {
  stopping = true
  clearInterval(watch)
  ownership.revoked()
  await stream.close()
  await consumer.close(true)
  print('left')
  process.exit(0)
})
for await (const message of stream) {
  if (stopping) break
  const { partition, offset, timestamp } = message
  print('record', partition, offset, timestamp)
  try {
    await message.commit()
    print('committed', `${partition}:${offset + 1n}`)
  } catch (error) {
    print('note', `commit: ${error.message.replaceAll('\n', ' ')}`)
  }
}
