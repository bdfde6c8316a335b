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
const ownership = new Ownership()
let ending = false
let consumer
let started = start()

await started
await inputEnds()
ending = true
await started
await consumer.stop()
ownership.revoked()
await consumer.disconnect()
print('left')
process.exit(0)

async function start() {
  consumer = kafka.consumer({
    groupId,
    sessionTimeout: Number(settings.session ?? 10_000),
    rebalanceTimeout: 15_000,
    heartbeatInterval: Number(settings.heartbeat ?? 300),
    maxWaitTimeInMs: 100,
    allowAutoTopicCreation: false,
    partitionAssigners: [settings.assignor === 'range' ? range : PartitionAssigners.roundRobin],
  })
  watch(consumer)
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await run(consumer)
}

function watch({ events, on }) {
  on(events.GROUP_JOIN, ({ payload }) => {
    // Without REBALANCING, it joined anew because the coordinator did not know it any more.
    ownership.lost()
    ownership.assigned(-1, payload.memberAssignment[topic] ?? [])
  })
  on(events.REBALANCING, () => ownership.revoked())
  on(events.CRASH, ({ payload }) => {
    print('note', `crash: ${payload.error}`)
    ownership.revoked()
    // After what it takes for fatal (a commit of a member that is not known any more) kafkajs leaves
    // this to us. A connection of the old consumer may not be used again: when the broker closes its
    // old socket, kafkajs takes that for the end of the new one.
    if (!payload.restart && !ending) started = start()
  })
}

function run(running) {
  return running.run({
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
      await running.commitOffsets([{ topic, partition, offset: next }])
      print('committed', `${partition}:${next}`)
      await work.heartbeat()
    },
  })
}

/** Java's range, under Java's name, so that kafkajs can be in one group with the others. */
function range({ cluster }) {
  return {
    name: 'range',
    version: 0,
    protocol: ({ topics }) => ({
      name: 'range',
      metadata: AssignerProtocol.MemberMetadata.encode({ version: 0, topics, userData: null }),
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
        const encoded = { version: 0, assignment, userData: null }
        return { memberId, memberAssignment: AssignerProtocol.MemberAssignment.encode(encoded) }
      })
    },
  }
}
