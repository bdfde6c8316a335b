// Goal: no bytes at all make a decoder do anything but return or throw ProtocolError, in bounded time and memory.
// Method: messages of every version, damaged at random, plus bombs made by hand.
import t from 'tap'
import { ProtocolError } from '../../protocol/bytes/protocol-error.ts'
import { Reader, requestBudget } from '../../protocol/bytes/reader.ts'
import { Writer } from '../../protocol/bytes/writer.ts'
import { apis } from '../../protocol/apis.ts'
import { decodeRequestHeader } from '../../protocol/request-header.ts'
import { everyMessage, type VersionedMessage, versionsOf } from '../support/every-message.ts'
import { interpretedDecode } from '../support/interpreter.ts'
import { randomMessage } from '../support/random-message.ts'
import { SeededRandom, testSeed } from '../support/seeded-random.ts'

const seed = testSeed(20261120)
const rounds = Number(process.env['FUZZ_ROUNDS'] ?? 30)

type Outcome = { message: unknown; byteLength: number } | 'refused'

/** Anything but ProtocolError gets out. */
function outcomeOf({ codec }: VersionedMessage, bytes: Buffer): Outcome {
  const reader = new Reader(bytes)
  try {
    const message = codec.decode(reader)
    return { message, byteLength: reader.position }
  } catch (error) {
    if (error instanceof ProtocolError) return 'refused'
    throw error
  }
}

/** Values that lengths, counts, tags and varints trip over. */
const spikes = [
  '00',
  '01',
  '7f',
  '80',
  'ff',
  'ffff',
  '7fff',
  'ffffffff',
  '7fffffff',
  '80000000',
  'ffffffff0f',
  '8080808080808000',
].map((hex) => Buffer.from(hex, 'hex'))

function damaged(bytes: Buffer, random: SeededRandom): Buffer {
  const copy = Buffer.from(bytes)
  const at = random.below(bytes.length + 1)
  switch (random.below(5)) {
    case 0:
      return copy.subarray(0, at)
    case 1: {
      if (copy.length > 0) copy[at % copy.length]! ^= 1 << random.below(8)
      return copy
    }
    case 2: {
      const spike = random.pick(spikes)
      return Buffer.concat([copy.subarray(0, at), spike, copy.subarray(at + spike.length)])
    }
    case 3:
      return Buffer.concat([copy.subarray(0, at), random.pick(spikes), copy.subarray(at)])
    default:
      return Buffer.concat([copy.subarray(0, at), copy.subarray(random.below(bytes.length + 1))])
  }
}

for (const api of apis.values()) {
  t.test(`fuzz: ${api.name}, damaged`, async (t) => {
    t.comment(`seed ${seed}`)
    const random = new SeededRandom(seed + api.key)
    let refusedCount = 0
    let acceptedCount = 0
    for (const each of versionsOf(api)) {
      for (let round = 0; round < rounds; round++) {
        const writer = new Writer()
        each.codec.encode(writer, randomMessage(each.fields, each.version, random))
        let bytes = writer.finish()
        for (let count = 1 + random.below(3); count > 0; count--) bytes = damaged(bytes, random)
        const outcome = outcomeOf(each, bytes)
        if (outcome === 'refused') refusedCount += 1
        else {
          // What is accepted means the same to the oracle.
          acceptedCount += 1
          const oracle = interpretedDecode(each.fields, bytes, each)
          if (!t.strictSame(outcome, oracle, `${each.title} ${bytes.toString('hex')}`)) return
        }
      }
    }
    t.comment(`${refusedCount} refused, ${acceptedCount} accepted`)
    t.ok(acceptedCount > 0)
  })
}

t.test('fuzz: random bytes', async (t) => {
  t.comment(`seed ${seed}`)
  const random = new SeededRandom(seed)
  let refusedCount = 0
  for (const each of everyMessage()) {
    for (let round = 0; round < rounds; round++) {
      if (outcomeOf(each, random.bytes(random.below(200))) === 'refused') refusedCount += 1
    }
  }
  t.ok(refusedCount > 1000, `${refusedCount} refused`)
})

t.test('fuzz: random request headers', async (t) => {
  const random = new SeededRandom(seed)
  let refusedCount = 0
  for (let round = 0; round < 5000; round++) {
    try {
      decodeRequestHeader(new Reader(random.bytes(random.below(40))))
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      refusedCount += 1
    }
  }
  t.ok(refusedCount > 500 && refusedCount < 5000, `${refusedCount} refused`)
})

/** Memory taken while `run` runs, of a heap collected before it. */
function bytesTaken(run: () => void): number {
  const used = (): number => {
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  const before = used()
  run()
  return used() - before
}

t.test('fuzz: counts and lengths of gigabytes in a small message cost nothing', async (t) => {
  const bombs = ['7fffffff', 'ffffffff07', 'ffffffff0f', '80808080', '7fff7fffffff'].map((hex) =>
    Buffer.from(hex, 'hex'),
  )
  const messages = [...everyMessage()]
  for (const each of messages) outcomeOf(each, Buffer.alloc(0))
  let count = 0
  const taken = bytesTaken(() => {
    for (const each of messages) {
      for (const bomb of bombs) {
        for (let lead = 0; lead < 24; lead++) {
          outcomeOf(each, Buffer.concat([Buffer.alloc(lead), bomb, Buffer.alloc(20)]))
          count += 1
        }
      }
    }
  })
  t.ok(taken < 256 * 1024 * 1024, `${taken} bytes for ${count} bombs`)
})

t.test('fuzz: a flood of small elements ends at the budget', async (t) => {
  // The cheapest elements that there are: empty names. 8 MiB of them in one compact array.
  const count = 4 * 1024 * 1024
  const writer = new Writer(2 * count + 16)
  writer.uvarint(count + 1)
  writer.raw(Buffer.alloc(2 * count, Buffer.from([1, 0])))
  for (const api of apis.values()) {
    for (const each of versionsOf(api)) {
      if (!each.flexible || each.direction === 'response') continue
      const bytes = writer.finish()
      const taken = bytesTaken(() => outcomeOf(each, bytes))
      if (taken > 8 * requestBudget.objectBytes) t.fail(`${each.title} takes ${taken} bytes`)
    }
  }
  const metadata = [...everyMessage()].find(
    ({ title }) => title === 'DescribeTopicPartitions.request.v0',
  )
  t.ok(metadata)
  if (metadata !== undefined) t.equal(outcomeOf(metadata, writer.finish()), 'refused')
})

t.test('fuzz: a flood of tags is refused before it is read', async (t) => {
  const writer = new Writer()
  writer.uvarint(1_000_000)
  for (let tag = 0; tag < 1_000_000; tag++) {
    writer.uvarint(tag)
    writer.uvarint(0)
  }
  const reader = new Reader(writer.finish())
  t.throws(() => reader.skipTags(), ProtocolError)
  t.ok(reader.position < 10, 'only the count was read')
})
