import t from 'tap'
import { ProtocolError } from '../../protocol/bytes/protocol-error.ts'
import { Reader } from '../../protocol/bytes/reader.ts'
import {
  correlationIdOf,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  requestHeaderVersion,
  responseHeaderVersion,
} from '../../protocol/headers.ts'
import { decodeRequestHeader } from '../../protocol/request-header.ts'
import { ApiVersions } from '../../protocol/messages/api-versions.ts'
import { Fetch } from '../../protocol/messages/fetch.ts'
import { OffsetDelete } from '../../protocol/messages/offset-delete.ts'
import { Produce } from '../../protocol/messages/produce.ts'

const apiVersions = { clientSoftwareName: 'me', clientSoftwareVersion: '1' }
/** A frame without its size. */
const body = (frame: Buffer): Buffer => frame.subarray(4)

t.test('headers: a classic request', async (t) => {
  const frame = encodeRequest(ApiVersions, 0, 258, 'me', {}).finish()
  t.equal(frame.toString('hex'), '0000000c 0012 0000 00000102 0002 6d65'.replaceAll(' ', ''))
  t.strictSame(decodeRequestHeader(new Reader(body(frame))), {
    apiKey: 18,
    apiVersion: 0,
    correlationId: 258,
    clientId: 'me',
    flexible: false,
  })
})

t.test(
  'headers: a flexible request has tags, and a client id with an int16 length all the same',
  async (t) => {
    const frame = encodeRequest(ApiVersions, 3, 1, null, apiVersions).finish()
    t.equal(
      frame.toString('hex'),
      '00000011 0012 0003 00000001 ffff 00 03 6d65 02 31 00'.replaceAll(' ', ''),
    )
    const reader = new Reader(body(frame))
    const header = decodeRequestHeader(reader)
    t.equal(header.clientId, null)
    t.equal(header.flexible, true)
    t.strictSame(ApiVersions.request.codec(3).decode(reader), apiVersions)
  },
)

t.test('headers: unknown tags in a request header are skipped', async (t) => {
  const reader = new Reader(Buffer.from('0012000300000001ffff01000177036d65023100', 'hex'))
  decodeRequestHeader(reader)
  t.strictSame(ApiVersions.request.codec(3).decode(reader), apiVersions)
})

t.test(
  'headers: the header of an unknown key or version can be read, so that it can be answered',
  async (t) => {
    const unknown = decodeRequestHeader(new Reader(Buffer.from('7fff000000000007ffff', 'hex')))
    t.equal(unknown.apiKey, 0x7fff)
    t.equal(unknown.flexible, false)
    const future = decodeRequestHeader(new Reader(Buffer.from('0012006300000007ffff00', 'hex')))
    t.equal(future.apiVersion, 99)
    t.equal(future.correlationId, 7)
  },
)

t.test('headers: a cut request header is refused', async (t) => {
  const bytes = body(encodeRequest(ApiVersions, 3, 1, 'me', apiVersions).finish())
  for (let length = 0; length < 13; length++) {
    t.throws(() => decodeRequestHeader(new Reader(bytes.subarray(0, length))), ProtocolError)
  }
})

t.test(
  'headers: responses of flexible versions have tags, but those of ApiVersions never',
  async (t) => {
    t.equal(responseHeaderVersion(Fetch, 11), 0)
    t.equal(responseHeaderVersion(Fetch, 12), 1)
    t.equal(responseHeaderVersion(ApiVersions, 4), 0)
    t.equal(responseHeaderVersion(OffsetDelete, 0), 0)
    t.equal(requestHeaderVersion(ApiVersions, 3), 2)
    t.equal(requestHeaderVersion(OffsetDelete, 0), 1)
    const response = { errorCode: 35, apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 4 }] }
    const frame = encodeResponse(ApiVersions, 0, 9, response).finish()
    const expected = '00000010 00000009 0023 00000001 0012 0000 0004'
    t.equal(frame.toString('hex'), expected.replaceAll(' ', ''))
  },
)

t.test('headers: a response comes back with its correlation id', async (t) => {
  for (const version of [4, 11, 12, 16]) {
    const frame = encodeResponse(Fetch, version, -5, { responses: [] }).finish()
    t.equal(frame.readInt32BE(0), frame.length - 4)
    t.equal(correlationIdOf(body(frame)), -5)
    const decoded = decodeResponse(Fetch, version, body(frame))
    t.equal(decoded.correlationId, -5)
    t.strictSame(decoded.response.responses, [])
  }
  t.throws(() => correlationIdOf(Buffer.alloc(3)), ProtocolError)
})

t.test('headers: bytes behind a response are refused', async (t) => {
  const frame = encodeResponse(Produce, 9, 1, { responses: [] }).finish()
  t.throws(
    () => decodeResponse(Produce, 9, Buffer.concat([body(frame), Buffer.alloc(1)])),
    ProtocolError,
  )
})

t.test('headers: the size of a response counts payloads that are spliced in', async (t) => {
  const records = Buffer.alloc(100_000, 1)
  const partition = {
    partitionIndex: 0,
    errorCode: 0,
    highWatermark: 5,
    abortedTransactions: null,
    records,
  }
  const writer = encodeResponse(Fetch, 12, 1, {
    responses: [{ topic: 'orders', partitions: [partition] }],
  })
  const chunks = writer.chunks()
  t.equal(chunks[1], records, 'not copied')
  const frame = writer.finish()
  t.equal(frame.readInt32BE(0), frame.length - 4)
  const { response } = decodeResponse(Fetch, 12, body(frame))
  t.ok(response.responses[0]?.partitions[0]?.records?.equals(records))
})
