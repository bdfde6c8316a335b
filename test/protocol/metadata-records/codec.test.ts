import t from 'tap'
import {
  decodeRecord,
  encodeRecord,
  MetadataFormatError,
  packValue,
  unpackValue,
} from '../../../protocol/metadata-records/codec.ts'
import type { MetadataRecord } from '../../../protocol/metadata-records/records.ts'

const id = '00112233445566778899aabbccddeeff'
const partition = {
  index: 3,
  replicas: [1, 2, 3],
  isr: [2],
  leader: -1,
  leaderEpoch: 7,
  partitionEpoch: 9,
}

/** Each type once, with the bytes that it has on disk: they must never change. */
const golden: [record: MetadataRecord, hex: string][] = [
  [
    {
      type: 'registerBroker',
      brokerId: 1,
      brokerEpoch: 5_000_000_000,
      incarnation: id,
      fenced: true,
      inControlledShutdown: false,
      listeners: [
        { name: 'PLAINTEXT', host: 'h', port: 65_535, securityProtocol: 'PLAINTEXT' },
        { name: 'S', host: 'h', port: 1, securityProtocol: 'SASL_SSL' },
      ],
      rack: null,
      host: 'm',
    },
    '99010001cb41f2a05f20000000c41000112233445566778899aabbccddeeff019294a9504c41494e54455854a168cdffffa9504c41494e5445585494a153a16801a85341534c5f53534cc0a16d',
  ],
  [
    {
      type: 'brokerChange',
      brokerId: 1,
      brokerEpoch: 2,
      fenced: false,
      inControlledShutdown: true,
    },
    '950200010202',
  ],
  [
    { type: 'topic', id, name: 'orders' },
    '940400c41000112233445566778899aabbccddeeffa66f7264657273',
  ],
  [{ type: 'removeTopic', id }, '930500c41000112233445566778899aabbccddeeff'],
  [
    { type: 'partition', topicId: id, ...partition },
    '940600c41000112233445566778899aabbccddeeff9603930102039102ff0709',
  ],
  [
    { type: 'partitionChange', topicId: id, changes: [partition, { ...partition, index: 4 }] },
    '940700c41000112233445566778899aabbccddeeff929603930102039102ff07099604930102039102ff0709',
  ],
  [
    {
      type: 'config',
      resourceType: 'topic',
      resource: 'orders',
      name: 'retention.ms',
      value: '1',
    },
    '96080002a66f7264657273ac726574656e74696f6e2e6d73a131',
  ],
  [
    { type: 'config', resourceType: 'broker', resource: '', name: 'a', value: null },
    '96080004a0a161c0',
  ],
  [
    { type: 'producerIds', brokerId: 1, brokerEpoch: 2, nextProducerId: 2 ** 53 - 1 },
    '950c000102cb433fffffffffffff',
  ],
  [{ type: 'feature', name: 'x', level: 3 }, '940d00a17803'],
  [{ type: 'epochStart', epoch: 4, controllerId: 1 }, '940e000401'],
  [{ type: 'noOp' }, '920f00'],
]

for (const [record, hex] of golden) {
  t.test(`metadata record: ${record.type} has the bytes it always had`, async (t) => {
    const packed = packValue(encodeRecord(record))
    t.equal(packed.toString('hex'), hex)
    t.same(decodeRecord(unpackValue(packed)), record)
  })
}

t.test('metadata record: fields of a newer writer are ignored', async (t) => {
  for (const [record] of golden) {
    t.same(decodeRecord([...encodeRecord(record), 'new', [1]]), record)
  }
})

t.test('metadata record: an unknown type or version is refused', async (t) => {
  t.throws(() => decodeRecord([77, 0]), { name: 'MetadataFormatError', message: /type 77/ })
  t.throws(() => decodeRecord([4, 1, Buffer.alloc(16), 'x']), { message: /version 1/ })
})

t.test('metadata record: a field of another type is refused', async (t) => {
  const bad: unknown[] = [
    null,
    'x',
    [],
    ['4', 0],
    [4, 0, Buffer.alloc(15), 'x'],
    [4, 0, Buffer.alloc(16), 5],
    [6, 0, Buffer.alloc(16), [0, ['1'], [], 1, 1, 1]],
    [6, 0, Buffer.alloc(16), [0, [1], [], 1, 1]],
    [7, 0, Buffer.alloc(16), {}],
    [8, 0, 3, 'x', 'y', 'z'],
    [8, 0, 2, 'x', 'y', 5],
    [12, 0, 1, 2, 2 ** 53],
    [1, 0, 1, 2, Buffer.alloc(16), 0, [['a', 'b', 1, 'NONE']], null, 'h'],
  ]
  for (const value of bad) t.throws(() => decodeRecord(value), MetadataFormatError)
})

t.test('metadata value: damaged bytes are an error of their own', async (t) => {
  const packed = packValue([1, 'text', Buffer.from('bytes')])
  t.throws(() => unpackValue(packed.subarray(0, packed.length - 3)), MetadataFormatError)
  t.throws(() => unpackValue(Buffer.alloc(0)), MetadataFormatError)
})
