// Goal: our schemas say what Kafka's message definitions say. Method: compare every field of every version with the
// facts of Kafka's JSON files as of 4.3.1, which test/fixtures/kafka-messages.json holds. With KAFKA_DIR set to Kafka's
// sources (or to the folder common/message of kafka-clients.jar) that file is checked too, and, with
// UPDATE_FIXTURES=1, written anew.
import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { apis } from '../../protocol/apis.ts'
import type { AnyApi } from '../../protocol/schema/api.ts'
import type { AnyField, Fields } from '../../protocol/schema/field.ts'
import {
  type KafkaField,
  type KafkaMessage,
  readKafkaMessage,
} from '../support/kafka-definitions.ts'
import { repositoryPath } from '../support/repository.ts'

type Definitions = Readonly<Record<string, KafkaMessage>>
const fixturePath = repositoryPath('test/fixtures/kafka-messages.json')
const kafkaDirectory = process.env['KAFKA_DIR']
const names = [...apis.values()].flatMap(({ name }) => [`${name}Request`, `${name}Response`])

if (kafkaDirectory !== undefined && process.env['UPDATE_FIXTURES'] === '1') {
  const lines = names.map(
    (name) => `"${name}": ${JSON.stringify(readKafkaMessage(kafkaDirectory, name))}`,
  )
  writeFileSync(fixturePath, `{\n${lines.join(',\n')}\n}\n`)
}
const definitions: Definitions = JSON.parse(readFileSync(fixturePath, 'utf8'))

// With Kafka's sources at hand only: everywhere else the fixture stands for them.
if (kafkaDirectory !== undefined) {
  t.test('kafka json: the fixture is what Kafka says', async (t) => {
    for (const name of names) {
      const message = JSON.parse(JSON.stringify(readKafkaMessage(kafkaDirectory, name)))
      t.strictSame(definitions[name], message, name)
    }
  })
}

for (const api of apis.values()) {
  t.test(`kafka json: ${api.name} is as in Kafka`, async (t) => {
    for (const direction of ['request', 'response'] as const) {
      const kafka = definitions[`${api.name}${direction === 'request' ? 'Request' : 'Response'}`]
      if (kafka === undefined) throw new Error(`${api.name} is not in the fixture`)
      t.equal(api.key, kafka.apiKey, 'key')
      // Only the request's definition tells whether its last version is unstable.
      const [first, last] = kafka.versions
      const stableLast = direction === 'request' ? last : Math.min(last, api.versions[1])
      t.strictSame(api.versions, [first, stableLast], 'versions')
      t.equal(api.flexible, kafka.flexible ?? Infinity, 'first flexible version')
      t.strictSame(differences(api, api[direction].fields, kafka), [], `fields of the ${direction}`)
    }
  })
}

t.test(
  'kafka json: what is advertised differs from what is decoded for Produce only',
  async (t) => {
    for (const api of apis.values()) {
      // librdkafka takes the absence of Produce 0 for a broker without compression (KAFKA-18659).
      t.strictSame(api.advertised, api.name === 'Produce' ? [0, 13] : api.versions, api.name)
    }
  },
)

/** One sentence for every difference. */
function differences(api: AnyApi, fields: Fields, kafka: KafkaMessage): string[] {
  const found = new Set<string>()
  for (let version = api.versions[0]; version <= api.versions[1]; version++) {
    compareStructs('', fields, kafka.fields, { version, versions: api.versions, found })
  }
  return [...found]
}

interface Comparison {
  readonly version: number
  readonly versions: readonly [number, number]
  readonly found: Set<string>
}

function contains([first, last]: readonly [number, number], version: number): boolean {
  return first <= version && version <= last
}

function compareStructs(
  path: string,
  ours: Fields,
  theirs: readonly KafkaField[],
  comparison: Comparison,
): void {
  const { version, found } = comparison
  const kafkaFields = theirs.filter((each) => contains(each.versions, version))
  const ourFields = Object.entries(ours).filter(([, field]) => field.isIn(version))
  const order = (all: readonly string[]): string => all.join(', ')
  const ourNames = order(ourFields.map(([name]) => name))
  const kafkaNames = order(kafkaFields.map(({ name }) => name))
  if (ourNames !== kafkaNames) {
    found.add(`v${version} ${path}: we have ${ourNames}; Kafka has ${kafkaNames}`)
    return
  }
  for (const kafka of kafkaFields) {
    const field = ours[kafka.name]
    if (field !== undefined) compareField(`${path}.${kafka.name}`, field, kafka, comparison)
  }
}

function compareField(
  path: string,
  field: AnyField,
  kafka: KafkaField,
  comparison: Comparison,
): void {
  const { version, versions, found } = comparison
  const expect = (what: string, ours: unknown, theirs: unknown): void => {
    if (JSON.stringify(ours) !== JSON.stringify(theirs)) {
      found.add(
        `v${version} ${path}: ${what} is ${JSON.stringify(ours)}; Kafka has ${JSON.stringify(theirs)}`,
      )
    }
  }
  const type = field.kind === 'array' ? `[]${field.item?.kind}` : field.kind
  expect('type', type, kafka.type)
  expect(
    'nullable',
    field.isNullableIn(version),
    kafka.nullable !== undefined && contains(kafka.nullable, version),
  )
  expect('tag', field.isTagged ? field.tag : undefined, kafka.tag)
  expect('fallback', fallbackOf(field), kafka.default)
  // Only a field that some version lacks can be dropped.
  const isEverywhere = kafka.versions[0] <= versions[0] && versions[1] <= kafka.versions[1]
  if (!isEverywhere) expect('ignorable', field.isIgnorable, kafka.ignorable ?? false)
  const fields = field.fields ?? field.item?.fields
  if (fields !== undefined) compareStructs(path, fields, kafka.fields ?? [], comparison)
}

function fallbackOf({ fallback }: AnyField): unknown {
  if (fallback instanceof Uint8Array) return fallback.length === 0 ? '' : 'bytes'
  // We leave an absent struct out, where Kafka has one of defaults.
  return fallback === undefined ? {} : fallback
}
