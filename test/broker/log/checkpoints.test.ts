// The small text files of a log directory: Kafka's text, and damage that is seen.
import t, { type Test } from 'tap'
import { decodeCleanShutdown, encodeCleanShutdown } from '../../../broker/log/clean-shutdown.ts'
import { decodeMetaProperties, encodeMetaProperties } from '../../../broker/log/meta-properties.ts'
import {
  decodeOffsetCheckpoint,
  encodeOffsetCheckpoint,
} from '../../../broker/log/offset-checkpoint.ts'
import {
  decodePartitionMetadata,
  encodePartitionMetadata,
} from '../../../broker/log/partition-metadata.ts'
import { crc32c } from '../../../protocol/bytes/crc32c.ts'
import { Seeded } from './seeded.ts'

// All of these texts were written by Apache Kafka 4.3.1.
const kafkaOffsets = '0\n3\norders 0 1500\n__consumer_offsets 49 9007199254740991\na.b-c_d 2 0\n'
const kafkaMetadata = 'version: 0\ntopic_id: lkvVLfcpSAm9MGGrZCY2NQ'
const kafkaClean = '{"version":0,"brokerEpoch":17}'
const kafkaProperties =
  '#\n#Fri Nov 20 20:57:39 UTC 2026\nnode.id=2\ndirectory.id=lkvVLfcpSAm9MGGrZCY2NQ\nversion=1\n' +
  'cluster.id=4L6g3nShT-eMCtK--X86sw\n'

const uuid = Buffer.from('lkvVLfcpSAm9MGGrZCY2NQ', 'base64url').toString('hex')
const offsets = [
  { topic: 'orders', partition: 0, offset: 1500 },
  { topic: '__consumer_offsets', partition: 49, offset: Number.MAX_SAFE_INTEGER },
  { topic: 'a.b-c_d', partition: 2, offset: 0 },
]
const properties = { clusterId: '4L6g3nShT-eMCtK--X86sw', nodeId: 2, directoryId: uuid }

/** No cut is taken for a good file; a flip is refused, or changes nothing that is read. */
function checkDamage<Value>(
  t: Test,
  text: string,
  decode: (text: string) => Value | undefined,
): void {
  const random = new Seeded()
  t.comment(`SEED=${random.seed}`)
  const whole = decode(text)
  t.ok(whole !== undefined)
  for (let length = 0; length < text.length; length++) {
    if (decode(text.slice(0, length)) !== undefined) t.fail(`length ${length}`)
  }
  for (let round = 0; round < 1000; round++) {
    const flipped = random.flip(Buffer.from(text)).toString('latin1')
    const read = decode(flipped)
    if (read !== undefined) t.same(read, whole, JSON.stringify(flipped))
  }
}

t.test("offset checkpoint: Kafka's text is read", async (t) => {
  t.same(decodeOffsetCheckpoint(kafkaOffsets), offsets)
  t.same(decodeOffsetCheckpoint('0\n0\n'), [])
})

t.test(
  "offset checkpoint: ours is Kafka's text with one entry that no topic can have",
  async (t) => {
    const text = encodeOffsetCheckpoint(offsets)
    const crc = crc32c(
      Buffer.from('orders 0 1500\n__consumer_offsets 49 9007199254740991\na.b-c_d 2 0'),
    )
    t.equal(text, kafkaOffsets.replace('0\n3\n', '0\n4\n') + `#crc32c# 0 ${crc}\n`)
    t.same(decodeOffsetCheckpoint(text), offsets)
    t.equal(encodeOffsetCheckpoint([]), '0\n1\n#crc32c# 0 0\n')
    t.same(decodeOffsetCheckpoint(encodeOffsetCheckpoint([])), [])
  },
)

t.test('offset checkpoint: damage is seen', async (t) => {
  checkDamage(t, encodeOffsetCheckpoint(offsets), decodeOffsetCheckpoint)
})

t.test('offset checkpoint: text that is not a table is damaged', async (t) => {
  const texts = [
    '0\n1\norders 0\n',
    '0\n1\norders 0 1 2\n',
    '0\n1\norders -1 1\n',
    '0\n1\norders 0 -1\n',
    '0\n1\nor/ders 0 1\n',
    '0\n1\n 0 1\n',
    '0\n1\n#other 0 1\n',
    '0\n2\n#crc32c# 0 0\norders 0 1\n',
    '0\n1\n#crc32c# 0 1\n',
  ]
  for (const text of texts) t.equal(decodeOffsetCheckpoint(text), undefined, JSON.stringify(text))
})

t.test("partition metadata: Kafka's text is read and written", async (t) => {
  t.equal(decodePartitionMetadata(kafkaMetadata), uuid)
  t.equal(decodePartitionMetadata(`${kafkaMetadata}\n`), uuid)
  t.equal(encodePartitionMetadata(uuid), kafkaMetadata)
})

t.test('partition metadata: a file cut anywhere is damaged', async (t) => {
  for (let length = 0; length < kafkaMetadata.length; length++) {
    t.equal(decodePartitionMetadata(kafkaMetadata.slice(0, length)), undefined)
  }
  t.equal(decodePartitionMetadata(kafkaMetadata.replace('0', '1')), undefined)
  t.equal(
    decodePartitionMetadata(kafkaMetadata.replace('NQ', 'NR')),
    undefined,
    'bits that no id has',
  )
})

t.test("clean shutdown: Kafka's text is read and written", async (t) => {
  t.same(decodeCleanShutdown(kafkaClean), { brokerEpoch: 17 })
  t.equal(encodeCleanShutdown(17), kafkaClean)
  t.same(decodeCleanShutdown(encodeCleanShutdown(-1)), { brokerEpoch: -1 })
  for (let length = 0; length < kafkaClean.length; length++) {
    t.equal(decodeCleanShutdown(kafkaClean.slice(0, length)), undefined)
  }
  t.equal(decodeCleanShutdown('{"version":1,"brokerEpoch":17}'), undefined)
})

t.test("meta properties: Kafka's text is read, with whatever comment", async (t) => {
  t.same(decodeMetaProperties(kafkaProperties), properties)
  t.same(decodeMetaProperties(kafkaProperties.replaceAll('\n', '\r\n')), properties)
  t.same(decodeMetaProperties('version=1\ncluster.id=c\\:1\nnode.id=0\n'), {
    clusterId: 'c:1',
    nodeId: 0,
    directoryId: undefined,
  })
})

t.test('meta properties: what is written is read, and damage is seen', async (t) => {
  const text = encodeMetaProperties(properties)
  t.match(
    text,
    /^#\n#crc32c=\d+\ncluster\.id=4L6g3nShT-eMCtK--X86sw\ndirectory\.id=lkv.*\nnode\.id=2\nversion=1\n$/,
  )
  t.same(decodeMetaProperties(text), properties)
  const odd = { clusterId: 'a b:c=d\\e#f!g', nodeId: 0, directoryId: undefined }
  t.same(decodeMetaProperties(encodeMetaProperties(odd)), odd)
  checkDamage(t, text, decodeMetaProperties)
})

t.test('meta properties: a file that lacks something is damaged', async (t) => {
  const texts = [
    'version=1\nnode.id=1\n',
    'version=1\ncluster.id=\nnode.id=1\n',
    'version=1\ncluster.id=c\nnode.id=x\n',
    'version=0\ncluster.id=c\nnode.id=1\n',
    'version=1\ncluster.id=c\nnode.id=1\ndirectory.id=short\n',
    'version=1\ncluster.id=c\nnode.id=1\nNonsense\n',
  ]
  for (const text of texts) t.equal(decodeMetaProperties(text), undefined, JSON.stringify(text))
})
