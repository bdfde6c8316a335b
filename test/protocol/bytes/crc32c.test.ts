import t from 'tap'
import { crc32c } from '../../../protocol/bytes/crc32c.ts'
import { crc32cOfTables } from '../../../protocol/bytes/crc32c-tables.ts'
import { Prng } from '../../../base/simulated/prng.ts'
import { testSeed } from '../../support/seeded-random.ts'

const implementations = { library: crc32c, tables: crc32cOfTables }

for (const [name, checksum] of Object.entries(implementations)) {
  t.test(`crc32c, ${name}: the check values of RFC 3720`, async (t) => {
    t.equal(checksum(Buffer.from('123456789'), 0), 0xe3069283)
    t.equal(checksum(Buffer.alloc(32), 0), 0x8a9136aa)
    t.equal(checksum(Buffer.alloc(32, 0xff), 0), 0x62a8ab43)
    t.equal(checksum(Buffer.alloc(0), 0), 0)
  })

  t.test(`crc32c, ${name}: a running checksum equals that of the whole`, async (t) => {
    t.equal(checksum(Buffer.from('456789'), checksum(Buffer.from('123'), 0)), 0xe3069283)
  })
}

t.test('crc32c: library and tables agree on bytes at any place', async (t) => {
  const random = new Prng(String(testSeed(7)))
  const bytes = random.bytes(1000)
  let differences = 0
  for (let round = 0; round < 500; round++) {
    const start = Math.floor(random.fraction() * 1000)
    const part = bytes.subarray(start, start + Math.floor(random.fraction() * 100))
    const previous = random.bytes(4).readUInt32BE(0)
    if (crc32c(part, previous) !== crc32cOfTables(part, previous)) differences += 1
  }
  t.equal(differences, 0)
})
