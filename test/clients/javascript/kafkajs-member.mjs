// kafkajs as a member of a consumer group (README.md, "Group members").
//
//   kafkajs-member.mjs BROKERS GROUP TOPIC [NAME=VALUE...]
import kafkajs from 'kafkajs'

import { Ownership, inputEnds, print, settingsOf } from './member-output.mjs'

const { AssignerProtocol, Kafka, PartitionAssigners, logLevel } = kafkajs
const [brokers, groupId, topic, ...rest] = process.argv.slice(2)
const settings = settingsOf(rest)

const kafka = new Kafka({
  clientId: 'millrace-member',
  brokers: brokers.split(','),
  logLevel: logLevel.NOTHING,
  retry: { initialRetryTime: 30, maxRetryTime: 300, retries: 1000 },
})
const consumer = kafka.consumer({
  groupId,
  sessionTimeout: Number(settings.session ?? 10_000),
  rebalanceTimeout: 15_000,
  heartbeatInterval: Number(settings.heartbeat ?? 300),
  maxWaitTimeInMs: 100,
  allowAutoTopicCreation: false,
  partitionAssigners: [settings.assignor === 'range' ? range : PartitionAssigners.roundRobin],
})

const ownership = new Ownership()
const { events } = consumer
consumer.on(events.GROUP_JOIN, ({ payload }) => {
  ownership.assigned(-1, payload.memberAssignment[topic] ?? [])
})
consumer.on(events.REBALANCING, () => ownership.revoked())
consumer.on(events.CRASH, ({ payload }) => {
  print('note', `crash: ${payload.error}`)
  ownership.revoked()
  // After what it takes for fatal (a member that was frozen is not known any more) kafkajs leaves this to us.
  if (!payload.restart && !ending) restart()
})
let ending = false

await start()
await inputEnds()
ending = true
await consumer.stop()
ownership.revoked()
await consumer.disconnect()
print('left')
process.exit(0)

async function start() {
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await run()
}

async function restart() {
  await consumer.disconnect()
  if (!ending) await start()
}

function run() {
  return consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    async eachBatch(work) {
      const { messages, partition } = work.batch
      if (!work.isRunning() || work.isStale()) return
      for (const { offset, timestamp } of messages) {
        print('record', partition, offset, timestamp)
        work.resolveOffset(offset)
      }
      const next = `${Number(messages.at(-1).offset) + 1}`
      await consumer.commitOffsets([{ topic, partition, offset: next }])
      print('committed', `${partition}:${next}`)
      await work.heartbeat()
    },
  })
}

/** Java's range, under Java's name, so that kafkajs can be in one group with the others. */
function range({ cluster }) {
  return {
    name: 'range',
    version: 1,
    protocol: ({ topics }) => ({
      name: 'range',
      metadata: AssignerProtocol.MemberMetadata.encode({ version: 1, topics, userData: null }),
    }),
    async assign({ members, topics }) {
      const memberIds = members.map(({ memberId }) => memberId).toSorted()
      return memberIds.map((memberId, index) => {
        const assignment = {}
        for (const each of topics) {
          const count = cluster.findTopicPartitionMetadata(each).length
          const begin = Math.ceil((index * count) / memberIds.length)
          const end = Math.ceil(((index + 1) * count) / memberIds.length)
          assignment[each] = Array.from({ length: end - begin }, (_, at) => begin + at)
        }
        const encoded = { version: 1, assignment, userData: null }
        return { memberId, memberAssignment: AssignerProtocol.MemberAssignment.encode(encoded) }
      })
    },
  }
}
