// What no honest client sends, over TCP to a running broker: reliability §5. Beside it an honest client goes on.
import t, { type Test } from 'tap'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { silentLogger } from '../../base/logger.ts'
import { startBroker } from '../../broker/testing.ts'
import { decodeResponse, encodeRequest } from '../../protocol/headers.ts'
import { ApiVersions } from '../../protocol/messages/api-versions.ts'
import { CreateTopics } from '../../protocol/messages/create-topics.ts'
import { Fetch } from '../../protocol/messages/fetch.ts'
import { Metadata } from '../../protocol/messages/metadata.ts'
import { Produce } from '../../protocol/messages/produce.ts'
import { computeCrc } from '../../protocol/records/batch.ts'
import { BatchBuilder, type BatchBuilderOptions } from '../../protocol/records/builder.ts'
import { recordsOf } from '../../protocol/records/record.ts'
import type { ResponseOf } from '../../protocol/schema/api.ts'
import { cpuTimeMs } from '../support/cpu-time.ts'
import { WireClient } from '../support/wire-client.ts'

const requestBytesMax = 8 * 1024 * 1024
const firstByteMsMax = 300
const frameBytesPerSecondMin = 1_000_000

/** A client of which every byte is ours. */
class RawClient {
  readonly socket: Socket
  readonly #received: Buffer[] = []
  readonly #closed: Promise<unknown>

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => this.#received.push(chunk))
    // Bytes that reach a broker that has closed already are answered with a reset: closed, too.
    socket.on('error', () => undefined)
    this.#closed = new Promise((resolve) => socket.once('close', resolve))
  }

  static async connect(): Promise<RawClient> {
    const socket = connect(address.port, address.host)
    await once(socket, 'connect')
    return new RawClient(socket)
  }

  /** All that the broker sent before it closed the connection. */
  async untilClosed(): Promise<Buffer> {
    await this.#closed
    return Buffer.concat(this.#received)
  }
}

const unexpected: string[] = []
const warnings: string[] = []
const test = await startBroker({
  properties: {
    'socket.request.max.bytes': String(requestBytesMax),
    'connection.first.byte.timeout.ms': String(firstByteMsMax),
    'connection.frame.bytes.per.second.min': String(frameBytesPerSecondMin),
  },
  logger: {
    ...silentLogger,
    info: (fields) => warnings.push(JSON.stringify(fields)),
    error: (fields, text) => unexpected.push(`${text} ${JSON.stringify(fields)}`),
  },
})
const [host = '', port = ''] = test.address.split(':')
const address = { host, port: Number(port) }
const honest = await WireClient.connect(address)
t.teardown(async () => {
  honest.close()
  await test.stop()
})
await honest.send(CreateTopics, 5, {
  topics: [
    { name: 'honest', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] },
    { name: 'plain', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] },
    {
      name: 'compacted',
      numPartitions: 1,
      replicationFactor: 1,
      assignments: [],
      configs: [{ name: 'cleanup.policy', value: 'compact' }],
    },
  ],
  timeoutMs: 10_000,
})

let honestCount = 0
async function honestGoesOn(t: Test): Promise<void> {
  const produced = await produce(honest, 'honest', batch([`value ${honestCount}`]))
  t.same([produced.errorCode, produced.baseOffset], [0, honestCount], 'the honest client goes on')
  honestCount++
}

async function attack(name: string, body: (t: Test) => Promise<void>): Promise<void> {
  await t.test(name, async (t) => {
    await body(t)
    await honestGoesOn(t)
  })
}

type PartitionResponse = ResponseOf<
  typeof Produce
>['responses'][number]['partitionResponses'][number]

async function produce(
  client: WireClient,
  topic: string,
  records: Buffer,
  { version = 9, acks = -1 } = {},
): Promise<PartitionResponse> {
  const response = await client.send(Produce, version, {
    acks,
    timeoutMs: 10_000,
    topicData: [{ name: topic, partitionData: [{ index: 0, records }] }],
  })
  return response.responses[0]!.partitionResponses[0]!
}

/** What a batch is answered with. */
async function answerTo(
  records: Buffer,
  topic = 'plain',
  options?: { version?: number; acks?: number },
): Promise<PartitionResponse> {
  const client = await WireClient.connect(address)
  try {
    return await produce(client, topic, records, options)
  } finally {
    client.close()
  }
}

function batch(
  values: readonly string[],
  { key = null, ...options }: BatchBuilderOptions & { key?: string | null } = {},
): Buffer {
  const builder = new BatchBuilder(options)
  for (const value of values) builder.append(key, value, [], Date.now())
  return builder.finish()
}

/** With the checksum made right again. */
function changed(bytes: Buffer, change: (bytes: Buffer) => void): Buffer {
  change(bytes)
  bytes.writeUInt32BE(computeCrc(bytes, 0, bytes.length), 17)
  return bytes
}

/** What comes back on a connection that sends `bytes` and nothing else, until the broker closes it. */
async function bytesFor(...chunks: readonly Buffer[]): Promise<Buffer> {
  const client = await RawClient.connect()
  for (const chunk of chunks) client.socket.write(chunk)
  return client.untilClosed()
}

const apiVersions = (version: number, id = 1): Buffer =>
  encodeRequest(ApiVersions, version, id, 'raw', {
    clientSoftwareName: 'raw',
    clientSoftwareVersion: '1',
  }).finish()

/** A frame with a header of version 2 and whatever follows. */
function frame(apiKey: number, apiVersion: number, ...rest: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(14)
  header.writeInt16BE(apiKey, 4)
  header.writeInt16BE(apiVersion, 6)
  header.writeInt32BE(7, 8)
  header.writeInt16BE(-1, 12)
  const bytes = Buffer.concat([header, ...rest])
  bytes.writeInt32BE(bytes.length - 4, 0)
  return bytes
}

await attack('batches: every fault has its code, and nothing is appended', async (t) => {
  const twoBatches = Buffer.concat([batch(['a']), batch(['b'])])
  const wrongCount = changed(batch(['a', 'b']), (bytes) => {
    bytes.writeInt32BE(3, 57)
    bytes.writeInt32BE(2, 23)
  })
  const corrupt = batch(['a'])
  corrupt[corrupt.length - 1]! ^= 1
  const truncated = changed(batch(['x'.repeat(5000)], { codec: 'gzip' }).subarray(0, 80), (bytes) =>
    bytes.writeInt32BE(80 - 12, 8),
  )
  for (const [name, records, code] of [
    ['a wrong checksum', corrupt, 2],
    ['a count that is not the one of the records', wrongCount, 87],
    ['two batches', twoBatches, 87],
    ['a batch above max.message.bytes', batch(['x'.repeat(2_000_000)]), 10],
    ['a control batch', batch(['a'], { control: true }), 87],
    ['nothing', Buffer.alloc(0), 87],
    ['a codec that does not exist', changed(batch(['a']), (b) => b.writeInt16BE(6, 21)), 2],
  ] as const) {
    const answer = await answerTo(records)
    t.same([answer.errorCode, answer.baseOffset], [code, -1], name)
    t.not(answer.errorMessage, null, `${name}: says why`)
  }
  t.equal((await answerTo(truncated, 'compacted')).errorCode, 2, 'half of a compressed batch')
  t.equal((await answerTo(batch(['a']), 'plain', { acks: 5 })).errorCode, 21, 'acks=5')
  const zstd = batch(['a'], { codec: 'zstd' })
  t.equal((await answerTo(zstd, 'plain', { version: 6 })).errorCode, 76, 'zstd before v7')
  t.equal((await answerTo(batch(['a']), 'none')).errorCode, 3, 'an unknown topic')
  t.equal((await answerTo(batch(['a']))).baseOffset, 0, 'nothing was appended')
})

await attack('a compacted topic: null keys are named, bombs do not go off', async (t) => {
  const builder = new BatchBuilder()
  for (const key of ['k', null, 'k', null]) builder.append(key, 'v', [], Date.now())
  const answer = await answerTo(builder.finish(), 'compacted')
  t.equal(answer.errorCode, 87)
  t.same(
    answer.recordErrors.map(({ batchIndex }) => batchIndex),
    [1, 3],
  )
  for (const codec of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
    // Snappy can't do better than 1:20, and must stay below max.message.bytes.
    const bytes = codec === 'snappy' ? 8_000_000 : 24_000_000
    const bomb = batch(['0'.repeat(bytes)], { codec, key: 'k' })
    t.ok(bomb.length < 1_000_000, `${codec}: ${bomb.length} bytes`)
    const began = cpuTimeMs()
    t.equal((await answerTo(bomb, 'compacted')).errorCode, 87, codec)
    t.ok(cpuTimeMs() - began < 1000, `${codec}: in no time`)
  }
  const good = await answerTo(batch(['v'], { key: 'k' }), 'compacted')
  t.same([good.errorCode, good.baseOffset], [0, 0])
})

await attack(
  'acks=0: an error closes the connection, what comes behind it is not done',
  async (t) => {
    const request = (topic: string, id: number): Buffer =>
      encodeRequest(Produce, 9, id, 'raw', {
        acks: 0,
        timeoutMs: 1000,
        topicData: [{ name: topic, partitionData: [{ index: 0, records: batch(['late']) }] }],
      }).finish()
    const bytes = await bytesFor(Buffer.concat([request('none', 1), request('plain', 2)]))
    t.equal(bytes.length, 0, 'no answer')
    t.equal((await answerTo(batch(['a']))).baseOffset, 1, 'the second request was not carried out')
  },
)

await attack('versions: of ApiVersions answered, of anything else refused', async (t) => {
  const future = apiVersions(4)
  future.writeInt16BE(99, 6)
  const raw = await RawClient.connect()
  raw.socket.end(future)
  const answer = decodeResponse(ApiVersions, 0, (await raw.untilClosed()).subarray(4))
  t.match(answer, {
    correlationId: 1,
    response: { errorCode: 35, apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 4 }] },
  })
  t.equal((await bytesFor(frame(0, 99))).length, 0, 'Produce v99')
  t.equal((await bytesFor(frame(0, -1))).length, 0, 'Produce v-1')
  t.equal((await bytesFor(frame(999, 0))).length, 0, 'API key 999')
})

await attack('frames: bombs, floods and other protocols close the connection', async (t) => {
  const prefix = (size: number): Buffer => {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32BE(size)
    return bytes
  }
  const manyTags = Buffer.concat([
    Buffer.from([0xe8, 0x07]),
    ...Array.from({ length: 1000 }, (_, tag) => Buffer.from([0x80 | (tag & 0x7f), tag >> 7, 0])),
  ])
  const tls = Buffer.from('16030102000100', 'hex')
  for (const [name, bytes] of [
    ['a length above the maximum', prefix(requestBytesMax + 1)],
    ['a negative length', prefix(-1)],
    ['an empty frame', prefix(0)],
    ['a TLS hello', tls],
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
    ['a flood of tags', frame(18, 3, manyTags)],
    ['a count of 2^31-1 topics', frame(0, 9, Buffer.from('0000ffff000003e8ffffffff07', 'hex'))],
    ['half a body', frame(0, 9, Buffer.from('00', 'hex'))],
  ] as const) {
    t.equal((await bytesFor(bytes)).length, 0, name)
  }
  t.ok(
    warnings.some((fields) => fields.includes('TLS on a plaintext listener?')),
    'the log says what a TLS hello is',
  )
})

await attack('librdkafka asks for all topics with 3 bytes too many, and is answered', async (t) => {
  const bytes = '000000190003000d00000003000772646b61666b610000000000010000'
  const raw = await RawClient.connect()
  raw.socket.end(Buffer.from(bytes, 'hex'))
  const answer = decodeResponse(Metadata, 13, (await raw.untilClosed()).subarray(4))
  t.equal(answer.response.errorCode, 0)
  t.ok(answer.response.topics.some(({ name }) => name === 'plain'))
})

await attack('an answer that was due is sent before a bad frame closes', async (t) => {
  const bytes = await bytesFor(Buffer.concat([apiVersions(0, 41), frame(999, 0)]))
  t.equal(decodeResponse(ApiVersions, 0, bytes.subarray(4)).correlationId, 41)
})

await attack('a topic name that can not be, for ten thousand partitions, is refused', async (t) => {
  const partitions = Array.from({ length: 10_000 }, (_, partition) => ({
    partition,
    fetchOffset: 0,
    partitionMaxBytes: 1,
  }))
  for (const version of [4, 12]) {
    const client = await WireClient.connect(address)
    const answer = await client.send(Fetch, version, {
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: 1000,
      topics: [{ topic: 'x'.repeat(30_000), partitions }],
    })
    client.close()
    // Before v7 the answer as a whole has no error code.
    t.match(answer, { errorCode: version < 7 ? 0 : 42, responses: { length: 0 } })
  }
})

await attack('silence: announced bytes cost nothing, and who goes silent is closed', async (t) => {
  const began = performance.now()
  const clients = await Promise.all(Array.from({ length: 60 }, () => RawClient.connect()))
  const before = process.memoryUsage()
  const announced = Buffer.alloc(4)
  announced.writeInt32BE(requestBytesMax)
  for (const [index, { socket }] of clients.entries()) {
    if (index % 3 === 0) socket.write(announced)
    else if (index % 3 === 1) socket.write(apiVersions(3).subarray(0, 20))
  }
  await honestGoesOn(t)
  const { rss, arrayBuffers } = process.memoryUsage()
  t.ok(arrayBuffers - before.arrayBuffers < 8_000_000, 'no buffers for what was only announced')
  t.ok(rss - before.rss < 64_000_000, 'nor anything else')
  const received = await Promise.all(clients.map((client) => client.untilClosed()))
  t.ok(received.every((bytes) => bytes.length === 0))
  const ms = performance.now() - began
  t.ok(ms > firstByteMsMax && ms < firstByteMsMax + 4000, `closed after ${Math.round(ms)} ms`)
  await honestGoesOn(t)
})

await t.test('the honest client reads back all that it wrote', async (t) => {
  const fetched = await honest.send(Fetch, 12, {
    maxWaitMs: 1000,
    minBytes: 1,
    maxBytes: 1_000_000,
    topics: [
      {
        topic: 'honest',
        partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000_000 }],
      },
    ],
  })
  const records = fetched.responses[0]!.partitions[0]!.records!
  const values: string[] = []
  for (let at = 0; at < records.length; at += 12 + records.readInt32BE(at + 8)) {
    const size = 12 + records.readInt32BE(at + 8)
    for (const { value } of recordsOf(records.subarray(at, at + size)))
      values.push(value?.toString() ?? '')
  }
  t.same(
    values,
    Array.from({ length: honestCount }, (_, index) => `value ${index}`),
  )
  t.same(unexpected, [], 'nothing was a bug or a fault of the disk')
})
