import t from 'tap'
import { crc32c } from '../../../protocol/bytes/crc32c.ts'

t.test('crc32c: the check values of RFC 3720', async (t) => {
  t.equal(crc32c(Buffer.from('123456789')), 0xe3069283)
  t.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa)
  t.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43)
})

t.test('crc32c: a running checksum equals that of the whole', async (t) => {
  t.equal(crc32c(Buffer.from('456789'), crc32c(Buffer.from('123'))), 0xe3069283)
})
