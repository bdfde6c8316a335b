// @platformatic/kafka behind the same small command line as our other client programs.
//
//   platformatic.mjs produce BROKERS TOPIC CODEC FILE [idempotent]
//   platformatic.mjs consume BROKERS TOPIC PARTITIONS FOLDER
//
// Consuming uses the consumer's public fetch() and listOffsets(), which need no group.
import { Consumer, Producer, stringSerializers } from '@platformatic/kafka'

import { PartitionFiles, messagesOf, range } from './lines.mjs'

const [command, brokers, topic, ...rest] = process.argv.slice(2)
const options = { clientId: 'millrace-test', bootstrapBrokers: brokers.split(',') }

if (command === 'produce') await produce(...rest)
else if (command === 'consume') await consume(Number(rest[0]), rest[1])
else throw new Error(`unknown command ${command}`)

async function produce(codec, file, mode) {
  const producer = new Producer({
    ...options,
    serializers: stringSerializers,
    compression: codec,
    idempotent: mode === 'idempotent',
    acks: -1,
  })
  for await (const group of messagesOf(file, 5000)) {
    await producer.send({ messages: group.map((message) => ({ topic, ...message })) })
  }
  await producer.close()
}

async function consume(partitionCount, folder) {
  const consumer = new Consumer({ ...options, groupId: 'unused', autocommit: false })
  const metadata = await consumer.metadata({ topics: [topic] })
  const { id: topicId, partitions: leaders } = metadata.topics.get(topic)
  const partitions = range(partitionCount)
  const latest = await consumer.listOffsets({ topics: [topic], timestamp: -1n })
  const ends = latest.get(topic)
  const files = new PartitionFiles(folder, partitions)
  const positions = partitions.map(() => 0n)
  for (;;) {
    const open = partitions.filter((partition) => positions[partition] < ends[partition])
    if (open.length === 0) break
    const node = leaders[open[0]].leader
    const { responses } = await consumer.fetch({
      node,
      maxWaitTime: 500,
      topics: [
        {
          topicId,
          partitions: open
            .filter((partition) => leaders[partition].leader === node)
            .map((partition) => ({
              partition,
              currentLeaderEpoch: -1,
              fetchOffset: positions[partition],
              lastFetchedEpoch: -1,
              partitionMaxBytes: 1 << 20,
            })),
        },
      ],
    })
    for (const { partitionIndex, records } of responses.flatMap((each) => each.partitions)) {
      take(partitionIndex, records ?? [], positions, files)
    }
  }
  await files.close()
  await consumer.close()
}

/** The last batch of an answer may begin before the position. */
function take(partition, batches, positions, files) {
  for (const batch of batches) {
    for (const record of batch.records) {
      const offset = batch.firstOffset + BigInt(record.offsetDelta)
      if (offset < positions[partition]) continue
      files.write(partition, offset, record.key, record.value)
      positions[partition] = offset + 1n
    }
  }
}
