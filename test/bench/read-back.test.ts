// What raw readers make of a partition that holds what was sent, or something else.
import t from 'tap'
import { singleRecordBatch } from '../../bench/load/batch-set.ts'
import { produceFrame, readerConnection } from '../../bench/load/frames.ts'
import type { ReadResult } from '../../bench/load/jobs.ts'
import { prepareProducers } from '../../bench/load/producers.ts'
import { prepareReaders } from '../../bench/load/readers.ts'
import type { Topic } from '../../bench/load/topics.ts'
import { startBroker } from '../../broker/testing.ts'
import { Kafka } from '../../client/kafka.ts'

const batchBytes = 1024

t.test('read back: what nobody sent is found behind what was', async (t) => {
  const broker = await startBroker({ topics: { orders: { partitions: 1 } } })
  const kafka = new Kafka({ brokers: [broker.address] })
  t.teardown(async () => {
    await kafka.close()
    await broker.stop()
  })
  const [host = '', port] = broker.address.split(':')
  const { id } = await kafka.admin().describeTopic('orders')
  const topic: Topic = { name: 'orders', id, leaders: [{ host, port: Number(port) }] }
  const { bytes } = singleRecordBatch(batchBytes)
  const frame = produceFrame({ topic: 'orders', partition: 0, batch: bytes, acks: -1 })
  const sending = { ...topic.leaders[0]!, frames: [frame.frame], errorAt: frame.errorAt }
  const send = await prepareProducers({
    kind: 'produce',
    connections: [{ ...sending, count: 5, depth: 1 }],
  })
  await send()

  const read = async (untilOffset: number, behindMax: number): Promise<ReadResult> => {
    const range = { fromOffset: 0, untilOffset, behindMax }
    const size = { fetchBytes: 4096, batchBytesMax: batchBytes }
    const connections = [readerConnection({ topic, partition: 0, ...size, ...range })]
    const run = await prepareReaders({ kind: 'read', connections, isThorough: true })
    return run()
  }
  t.match(await read(5, 0), { records: 5 })
  t.match(await read(3, 2), { records: 3 }, 'so many may be there')
  await t.rejects(read(3, 0), { message: '2 records are there that nobody sent' })
})
