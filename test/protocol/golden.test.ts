// Goal: our bytes are Kafka's bytes. Method: test/fixtures/golden-messages.txt holds one message of every version as
// the Java client 4.3.1 encodes it, and what each of its fields means to that client; ours must agree on both.
// The file is written anew with KAFKA_JARS set to a folder of Kafka's jars (test/clients/jars) and a JDK 17 or newer.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { Reader } from '../../protocol/bytes/reader.ts'
import { Writer } from '../../protocol/bytes/writer.ts'
import { apis } from '../../protocol/apis.ts'
import { everyMessage, type VersionedMessage } from '../support/every-message.ts'
import { randomMessage, type Values } from '../support/random-message.ts'
import { repositoryPath } from '../support/repository.ts'
import { SeededRandom } from '../support/seeded-random.ts'

const fixturePath = repositoryPath('test/fixtures/golden-messages.txt')
const jars = process.env['KAFKA_JARS']
const kafkaName = ({ api, direction }: VersionedMessage): string =>
  `${api.name}${direction === 'request' ? 'Request' : 'Response'}`

function encode({ codec }: VersionedMessage, message: Values): Buffer {
  const writer = new Writer()
  codec.encode(writer, message)
  return writer.finish()
}

if (jars !== undefined) {
  const random = new SeededRandom(20261120)
  const lines = [...everyMessage()].map((each) => {
    // The longest of a few that is not too long: a message of empty arrays tells little.
    const candidates = Array.from({ length: 10 }, () => {
      const message = randomMessage(each.fields, each.version, random)
      return encode(each, message).toString('hex')
    }).sort((one, other) => one.length - other.length)
    const chosen = candidates.findLast((hex) => hex.length <= 800) ?? candidates[0]
    return `${kafkaName(each)} ${each.version} ${chosen}`
  })
  const source = repositoryPath('test/protocol/golden/GoldenMessages.java')
  const output = execFileSync('java', ['-cp', `${jars}/*`, source], {
    input: lines.join('\n'),
    maxBuffer: 64 * 1024 * 1024,
  })
  writeFileSync(fixturePath, output)
}

const golden = new Map(
  readFileSync(fixturePath, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [, name, hex, json] = /^(\w+ \d+) (\w*) (.*)$/.exec(line) ?? []
      return [name ?? '', { hex: hex ?? '', json: JSON.parse(json ?? '') as Values }]
    }),
)

for (const api of apis.values()) {
  t.test(`golden: ${api.name} has the bytes of Kafka's own codec`, async (t) => {
    for (const each of everyMessage()) {
      if (each.api !== api) continue
      const expected = golden.get(`${kafkaName(each)} ${each.version}`)
      if (expected === undefined) throw new Error(`${each.title} is not in the fixture`)
      const reader = new Reader(Buffer.from(expected.hex, 'hex'))
      const message = each.codec.decode(reader)
      t.equal(reader.remaining, 0, `${each.title}: nothing remains`)
      t.strictSame(agreement(message, expected.json), [], `${each.title}: every field as in Kafka`)
      t.equal(encode(each, message).toString('hex'), expected.hex, `${each.title}: same bytes`)
    }
  })
}

/** Where our value differs from Kafka's JSON of it, which leaves out what the version does not carry. */
function agreement(ours: any, kafka: any, path = ''): string[] {
  if (kafka !== null && typeof kafka === 'object') {
    if (Array.isArray(kafka) && kafka.length !== ours?.length)
      return [`${path}: ${kafka.length} elements`]
    return Object.entries(kafka).flatMap(([name, value]) => {
      const isSize = name === 'recordsSizeInBytes'
      return agreement(isSize ? ours?.records?.length : ours?.[name], value, `${path}.${name}`)
    })
  }
  const same =
    ours === kafka ||
    (Buffer.isBuffer(ours) && ours.equals(Buffer.from(kafka, 'base64'))) ||
    (typeof ours === 'string' &&
      /^[0-9a-f]{32}$/.test(ours) &&
      Buffer.from(ours, 'hex').toString('base64url') === kafka)
  return same ? [] : [`${path}: we have ${ours}; Kafka has ${kafka}`]
}
