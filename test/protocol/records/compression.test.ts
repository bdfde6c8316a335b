import t from 'tap'
import { Worker } from 'node:worker_threads'
import {
  compress,
  CompressionError,
  decompress,
  type CompressionCodec,
} from '../../../protocol/records/compression.ts'
import { SeededRandom, testSeed } from '../../support/seeded-random.ts'
import { vector } from './golden.ts'

const codecs: readonly CompressionCodec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const text = Buffer.from(
  Array.from({ length: 8000 }, (_, line) => `line ${line % 50} of the golden text\n`).join(''),
)
const short = text.subarray(0, 200)

/** Some words, some noise, some runs: what records look like. */
function sample(fraction: () => number, bytes: number): Buffer {
  const out = Buffer.alloc(bytes)
  for (let at = 0; at < bytes;) {
    const length = Math.min(1 + Math.floor(fraction() * 300), bytes - at)
    const kind = fraction()
    if (kind < 0.4) out.fill(Math.floor(fraction() * 256), at, at + length)
    else if (kind < 0.7) out.copy(out, at, Math.floor(fraction() * at), at)
    else for (let i = at; i < at + length; i++) out[i] = Math.floor(fraction() * 256)
    at += length
  }
  return out
}

for (const codec of codecs) {
  t.test(`${codec}: what goes in comes out, to the byte and at exactly the limit`, async (t) => {
    const seed = testSeed(20_261_120)
    const random = new SeededRandom(seed)
    const fraction = (): number => random.fraction()
    t.comment(`seed ${seed}`)
    for (const bytes of [1, 2, 60, 1000, 65_535, 65_536, 65_537, 131_072, 300_000, 1_100_000]) {
      const input = sample(fraction, bytes)
      const packed = compress(codec, input)
      t.ok(decompress(codec, packed, bytes).equals(input), `${bytes} bytes`)
      if (bytes > 1) t.throws(() => decompress(codec, packed, bytes - 1), CompressionError)
    }
  })
}

for (const codec of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
  t.test(`${codec}: cut at every length it is refused`, async (t) => {
    const packed = compress(codec, text.subarray(0, 3000))
    for (let length = 0; length < packed.length; length++) {
      t.throws(
        () => decompress(codec, packed.subarray(0, length), 10_000),
        CompressionError,
        `${length} of ${packed.length} bytes`,
      )
    }
  })

  t.test(`${codec}: flipped bits are refused or give bounded bytes`, async (t) => {
    const seed = testSeed(20_261_120)
    const random = new SeededRandom(seed)
    const fraction = (): number => random.fraction()
    t.comment(`seed ${seed}`)
    const packed = compress(codec, text.subarray(0, 3000))
    let refused = 0
    for (let round = 0; round < 2000; round++) {
      const damaged = Buffer.from(packed)
      for (let flips = 1 + Math.floor(fraction() * 3); flips > 0; flips--) {
        const at = Math.floor(fraction() * damaged.length)
        damaged[at] = damaged[at]! ^ (1 << Math.floor(fraction() * 8))
      }
      try {
        t.ok(decompress(codec, damaged, 5000).length <= 5000)
      } catch (error) {
        if (!(error instanceof CompressionError)) throw error
        refused++
      }
    }
    t.ok(refused > 1000, `${refused} of 2000 refused`)
  })

  t.test(`${codec}: a bomb is refused before it is large`, async (t) => {
    const bomb = compress(codec, Buffer.alloc(64 * 1024 * 1024))
    const before = process.memoryUsage().arrayBuffers
    t.throws(() => decompress(codec, bomb, 1_000_000), {
      name: 'CompressionError',
      message: /more than 1000000/,
    })
    t.ok(process.memoryUsage().arrayBuffers - before < 20_000_000)
  })
}

t.test('none: more than the limit is refused', async (t) => {
  t.throws(() => decompress('none', Buffer.alloc(11), 10), CompressionError)
})

t.test('gzip: made by Python, one member and two', async (t) => {
  t.same(decompress('gzip', vector('python-gzip'), 200), short)
  t.same(decompress('gzip', vector('python-gzip-members'), 200), short)
})

t.test('snappy: a raw block made by Python', async (t) => {
  t.same(decompress('snappy', vector('python-snappy-raw'), 200), short)
})

const xerialHeader = Buffer.from('82534e4150505900' + '00000001' + '00000001', 'hex')
const chunk = (bytes: Buffer): Buffer => {
  const length = Buffer.alloc(4)
  length.writeInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

t.test('snappy: xerial chunks, and streams behind one another', async (t) => {
  const one = chunk(compress('snappy', short.subarray(0, 70)))
  const two = chunk(compress('snappy', short.subarray(70)))
  t.same(decompress('snappy', Buffer.concat([xerialHeader, one, two]), 200), short)
  t.same(decompress('snappy', Buffer.concat([xerialHeader, one, xerialHeader, two]), 200), short)
  t.throws(
    () => decompress('snappy', Buffer.concat([xerialHeader, one, two]), 199),
    CompressionError,
  )
  t.same(decompress('snappy', xerialHeader, 200), Buffer.alloc(0), 'no chunk at all')
})

t.test('snappy: xerial chunks that lie about their length', async (t) => {
  const good = Buffer.concat([xerialHeader, chunk(compress('snappy', short))])
  for (const length of [-1, 0, 1, 0x7fffffff, good.length]) {
    const damaged = Buffer.from(good)
    damaged.writeInt32BE(length, xerialHeader.length)
    t.throws(() => decompress('snappy', damaged, 1000), CompressionError, `length ${length}`)
  }
  for (let length = 17; length < good.length; length++) {
    t.throws(() => decompress('snappy', good.subarray(0, length), 1000), CompressionError)
  }
})

t.test('snappy: a length that the input can not become is not allocated', async (t) => {
  const lie = Buffer.from('ffffff7f' + '00'.repeat(20), 'hex')
  t.throws(() => decompress('snappy', lie, 2 ** 30), { message: /can't become/ })
})

for (const name of ['linked', 'independent', '4mb-checksums'] as const) {
  t.test(`lz4: a frame made by Python, ${name}`, async (t) => {
    const packed = vector(`python-lz4-${name}`)
    const expected = text.subarray(0, 80_000)
    t.ok(decompress('lz4', packed, 80_000).equals(expected), 'at exactly the limit')
    t.throws(() => decompress('lz4', packed, 79_999), CompressionError)
  })
}

t.test('lz4: a frame with its content size', async (t) => {
  t.same(decompress('lz4', vector('python-lz4-size'), 200), short)
})

t.test('lz4: what we write is what the Java client accepts', async (t) => {
  // Its decoder refuses linked blocks; version 01, independent blocks, no dictionary.
  const flags = compress('lz4', text)[4]!
  t.equal(flags & 0b1110_0001, 0b0110_0000)
})

t.test('lz4: bytes behind the frame are refused', async (t) => {
  const packed = Buffer.concat([compress('lz4', short), Buffer.alloc(4)])
  t.throws(() => decompress('lz4', packed, 1000), CompressionError)
})

t.test('zstd: made by Python: with a size, streamed, and with a window of 128 MiB', async (t) => {
  t.ok(decompress('zstd', vector('python-zstd-size'), text.length).equals(text))
  t.same(decompress('zstd', vector('python-zstd-stream'), 300_000), short)
  t.same(decompress('zstd', vector('python-zstd-stream'), 200), short, 'at exactly the limit')
  t.same(decompress('zstd', vector('python-zstd-window'), 200_000), short)
})

t.test('zstd: frames behind one another, and frames to skip', async (t) => {
  const skip = Buffer.from('5e2a4d18' + '03000000' + 'aabbcc', 'hex')
  const packed = Buffer.concat([
    skip,
    compress('zstd', short.subarray(0, 50)),
    skip,
    compress('zstd', short.subarray(50)),
  ])
  t.same(decompress('zstd', packed, 200), short)
  t.throws(() => decompress('zstd', packed, 199), CompressionError)
})

t.test('zstd: a declared size that the blocks can not become is not allocated', async (t) => {
  // Single segment, size in 4 bytes, one raw block of one byte.
  const lie = Buffer.from('28b52ffd' + 'a0' + '0000ff3f' + '090000' + '61', 'hex')
  t.throws(() => decompress('zstd', lie, 2 ** 31), { message: /can't become/ })
})

t.test(
  'zstd: works the same on another thread, where the shared context is left alone',
  async (t) => {
    const compression = new URL('../../../protocol/records/compression.js', import.meta.url).href
    const worker = new Worker(
      `import { parentPort, workerData } from 'node:worker_threads'
     const { compress, decompress } = await import(${JSON.stringify(compression)})
     const bytes = Buffer.from(workerData)
     const packed = compress('zstd', bytes)
     let refused = ''
     try { decompress('zstd', packed, bytes.length - 1) } catch (error) { refused = error.name }
     parentPort.postMessage({ packed, unpacked: decompress('zstd', packed, bytes.length), refused })`,
      { eval: true, workerData: text },
    )
    const answer = await new Promise<{ packed: Uint8Array; unpacked: Uint8Array; refused: string }>(
      (resolve, reject) => {
        worker.once('message', resolve)
        worker.once('error', reject)
      },
    )
    t.equal(answer.refused, 'CompressionError')
    t.ok(text.equals(answer.unpacked))
    t.ok(decompress('zstd', Buffer.from(answer.packed), text.length).equals(text))
  },
)
