// Goal: what the compiler makes of a schema is what the schema says. Method: an interpreter of the same schemas,
// written without the compiler's code, must give the same bytes and values for random messages of every version.
import t from 'tap'
import { Reader } from '../../protocol/bytes/reader.ts'
import { Writer } from '../../protocol/bytes/writer.ts'
import { apis } from '../../protocol/apis.ts'
import { versionsOf } from '../support/every-message.ts'
import { interpretedDecode, interpretedEncode } from '../support/interpreter.ts'
import { randomMessage, withoutSomeFallbacks } from '../support/random-message.ts'
import { SeededRandom, testSeed } from '../support/seeded-random.ts'

const seed = testSeed(20261120)
const rounds = 40

for (const api of apis.values()) {
  t.test(`differential: ${api.name} in every version`, async (t) => {
    t.comment(`seed ${seed}`)
    const random = new SeededRandom(seed + api.key)
    for (const { fields, version, flexible, codec, title } of versionsOf(api)) {
      for (let round = 0; round < rounds; round++) {
        const message = randomMessage(fields, version, random)
        const expected = interpretedEncode(fields, message, { version, flexible })

        const writer = new Writer(1 + random.below(64))
        codec.encode(writer, withoutSomeFallbacks(fields, message, random))
        const bytes = writer.finish()
        if (!bytes.equals(expected)) {
          t.equal(bytes.toString('hex'), expected.toString('hex'), `${title} encodes alike`)
        }
        if (bytes.length !== writer.byteLength) t.fail(`${title} counts its bytes`)

        const reader = new Reader(expected)
        const decoded = codec.decode(reader)
        if (reader.remaining !== 0) t.fail(`${title} reads all bytes`)
        if (!t.strictSame(decoded, message, `${title} decodes what was encoded`)) return
        const interpreted = interpretedDecode(fields, expected, { version, flexible })
        if (!t.strictSame(decoded, interpreted.message, `${title} decodes alike`)) return
      }
    }
  })
}
