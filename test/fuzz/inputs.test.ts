import t from 'tap'

import { apis } from '../../protocol/apis.ts'
import { Reader } from '../../protocol/bytes/reader.ts'
import { decodeRequestHeader } from '../../protocol/request-header.ts'
import { Random } from '../clients/random.ts'
import { InputGenerator } from './inputs.ts'
import { SiteEncoder } from './site-encoder.ts'
import { randomMessage } from './values.ts'
import type { World } from './values.ts'

const world: World = {
  topics: ['fuzz-0', 'fuzz-1'],
  topicIds: ['0123456789abcdef0123456789abcdef'],
  records: () => Buffer.from('some records'),
}
const everyKey = new Set(apis.keys())

t.test('inputs: an unspoiled request decodes to what it was made from', async (t) => {
  const encoder = new SiteEncoder()
  const random = new Random(1)
  for (const api of apis.values()) {
    for (let version = api.versions[0]; version <= api.versions[1]; version++) {
      const flexible = version >= api.flexible
      const { fields } = api.request
      for (let round = 0; round < 20; round++) {
        const message = randomMessage(fields, version, random, world)
        const layout = { key: api.key, version, flexible, fields }
        const { frame } = encoder.encode(layout, round, message)
        const reader = new Reader(frame, 4)
        const header = decodeRequestHeader(reader)
        const decoded: unknown = api.request.codec(version).decode(reader)
        reader.finish()
        const expected = { apiKey: api.key, apiVersion: version, correlationId: round }
        t.has(header, expected, `${api.name} v${version}: header`)
        t.has(decoded, message, `${api.name} v${version}: body`)
      }
    }
  }
})

t.test('inputs: sites are where their numbers are', async (t) => {
  const encoder = new SiteEncoder()
  const random = new Random(2)
  for (const api of apis.values()) {
    const [, version] = api.versions
    const { fields } = api.request
    const layout = { key: api.key, version, flexible: version >= api.flexible, fields }
    const message = randomMessage(fields, version, random, world)
    const { frame, sites } = encoder.encode(layout, 1, message)
    for (const site of sites) {
      if (site.form === 'int32' && site.what !== 'size' && site.what !== 'opaque') {
        t.equal(frame.readInt32BE(site.at), site.value, `${api.name}: ${site.name}`)
      }
      t.ok(site.end <= frame.length && site.at <= site.end, `${api.name}: ${site.name} is inside`)
    }
  }
})

t.test('inputs: a seed and a number give the same bytes again', async (t) => {
  const one = new InputGenerator(42, everyKey, world, 1_760_000_000_000)
  const other = new InputGenerator(42, everyKey, world, 1_760_000_000_000)
  const backwards = Array.from({ length: 2000 }, (_, i) => 1999 - i)
  const again = backwards.map((index) => other.input(index)).toReversed()
  const different = again.filter((input, index) => {
    const first = one.input(index)
    return first.description !== input.description || !first.bytes.equals(input.bytes)
  })
  t.strictSame(different, [])
})

t.test('inputs: every kind of spoiling comes up', async (t) => {
  const generator = new InputGenerator(7, everyKey, world, 1_760_000_000_000)
  const seen = new Set<string>()
  for (let index = 0; index < 20_000; index++) {
    const { description } = generator.input(index)
    for (const word of description.split(/[ ,:+]+/)) seen.add(word)
  }
  for (const word of ['tagFlood', 'overlong', 'bomb', 'duplicate', 'codecSwap', 'TLS', 'session']) {
    t.ok(seen.has(word), word)
  }
  for (const api of apis.values()) t.ok(seen.has(api.name), api.name)
})
