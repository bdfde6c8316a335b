import t from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  connectionMeanings,
  consumerMeanings,
  inJavaWords,
  optionsOfProperties,
  producerMeanings,
  readProperties,
  type Meanings,
} from '../../../cli/bench/java-properties.ts'
import { settingsOf } from '../../../client/consumer/options.ts'
import { producerSettings } from '../../../client/producer/options.ts'

function optionsOf(pairs: Record<string, string>, meanings: Meanings): Record<string, unknown> {
  return optionsOfProperties(new Map(Object.entries(pairs)), meanings)
}

t.test('java properties: become options of the producer', async (t) => {
  const given = { acks: '-1', 'linger.ms': '20', 'batch.size': '16384', 'compression.type': 'zstd' }
  const options = optionsOf(given, producerMeanings)
  t.same(options, { acks: 'all', lingerMs: 20, batchBytes: 16_384, compression: 'zstd' })
  t.match(producerSettings(options), { acks: -1, idempotent: true, batchBytes: 16_384 })
  t.same(optionsOf({ 'max.block.ms': '9223372036854775807' }, producerMeanings), {
    maxBlockMs: Number.MAX_SAFE_INTEGER,
  })
  t.same(
    optionsOf(
      { 'key.serializer': 'x', 'send.buffer.bytes': '1' },
      { ...connectionMeanings, ...producerMeanings },
    ),
    {},
  )
})

t.test('java properties: every name of an option is one that the clients know', async (t) => {
  const levels = ['gzipLevel', 'lz4Level', 'zstdLevel']
  for (const meaning of Object.values(producerMeanings)) {
    const name = 'number' in meaning ? meaning.number : 'option' in meaning ? meaning.option : ''
    if (name === '' || levels.includes(name)) continue
    t.doesNotThrow(() => producerSettings({ [name]: undefined }), name)
  }
  const ours = ['autoCommitMs', 'fetchMinBytes', 'fetchMaxWaitMs', 'fetchMaxBytes']
  for (const meaning of Object.values(consumerMeanings)) {
    const name = 'number' in meaning ? meaning.number : 'option' in meaning ? meaning.option : ''
    if (name === '' || ours.includes(name)) continue
    t.doesNotThrow(() => settingsOf({ [name]: undefined }), name)
  }
})

for (const [name, value, message] of [
  ['acks', '2', 'acks must be one of 0, 1, all, -1, not "2"'],
  ['linger.ms', 'soon', 'linger.ms must be a whole number, not "soon"'],
  ['lingerms', '5', '"lingerms" is no property that is known here; the nearest is "linger.ms"'],
  [
    'ssl.truststore.location',
    '/x',
    'ssl.truststore.location: TLS and SASL are not there yet: use a plain listener',
  ],
  ['transactional.id', 'a', "transactional.id can't be used: transactions are not there yet"],
] as const) {
  t.test(`java properties: ${name}=${value} is refused in plain words`, async (t) => {
    t.throws(() => optionsOf({ [name]: value }, producerMeanings), { message, code: 'USAGE' })
  })
}

t.test('java properties: security.protocol can only be PLAINTEXT', async (t) => {
  t.same(optionsOf({ 'security.protocol': 'PLAINTEXT' }, connectionMeanings), {})
  t.throws(() => optionsOf({ 'security.protocol': 'SSL' }, connectionMeanings), { code: 'USAGE' })
})

t.test('java properties: the command line wins over the file', async (t) => {
  const file = join(t.testdir(), 'client.properties')
  writeFileSync(file, '# comment\nacks=1\nlinger.ms = 7\n')
  t.same(
    [...(await readProperties(file, ['acks=all']))],
    [
      ['acks', 'all'],
      ['linger.ms', '7'],
    ],
  )
  await t.rejects(readProperties(`${file}.none`, []), { code: 'USAGE' })
  await t.rejects(readProperties(undefined, ['acks']), { code: 'USAGE' })
})

t.test("java properties: our client's complaints name the property", async (t) => {
  const message = 'batchBytes is a whole number from 1024 to 1073741824, not 0'
  t.match(inJavaWords(message, producerMeanings), /^batch\.size is a whole number/)
})
