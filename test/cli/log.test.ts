import t from 'tap'
import { copyFileSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createRealEnv } from '../../base/real/real-env.ts'
import { segmentFileName } from '../../broker/log/layout.ts'
import { SegmentIndexes } from '../../broker/log/segment-indexes.ts'
import { patchBatch, readBatchHeader } from '../../protocol/records/batch.ts'
import { BatchBuilder } from '../../protocol/records/builder.ts'
import { runCommand, type Outcome } from './command.ts'

const intervalBytes = 4096

/** A partition directory as a broker leaves it: two segments, with indexes. */
function writePartition(directory: string): void {
  mkdirSync(directory, { recursive: true })
  let offset = 0
  for (let segment = 0; segment < 2; segment++) {
    const baseOffset = offset
    const indexes = new SegmentIndexes(baseOffset, 1_000_000)
    const batches: Buffer[] = []
    for (let batch = 0; batch < 50; batch++) {
      const codec = (['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)[batch % 5]!
      const builder = new BatchBuilder({ codec })
      for (let record = 0; record < 4; record++) {
        builder.append(
          `key-${offset + record}`,
          `${Math.sin(offset + record)}`.repeat(20),
          [],
          1000 + offset + record,
        )
      }
      const bytes = builder.finish()
      patchBatch(bytes, 0, offset, 0)
      indexes.add(readBatchHeader(bytes, 0), intervalBytes)
      batches.push(bytes)
      offset += 4
    }
    writeFileSync(join(directory, segmentFileName(baseOffset, 'log')), Buffer.concat(batches))
    if (segment === 0) indexes.close()
    indexes.save(createRealEnv().disk, {
      baseOffset,
      path: (kind) => join(directory, segmentFileName(baseOffset, kind)),
    })
  }
}

function verify(directory: string): Promise<Outcome> {
  return runCommand(['log', 'verify', directory])
}

t.test('log verify: a partition and a data directory that are whole', async (t) => {
  const data = t.testdir()
  writePartition(join(data, 'orders-0'))
  writePartition(join(data, 'orders-1'))
  mkdirSync(join(data, 'metadata'))
  t.match(await verify(join(data, 'orders-0')), {
    exitCode: 0,
    stderr: '',
    stdout: /orders-0 +2 +100 +400 +\d+ +400 +0\n/,
  })
  const all = await runCommand(['-o', 'json', 'log', 'verify', data])
  t.equal(all.exitCode, 0)
  t.match(JSON.parse(all.stdout), {
    partitions: [{ records: 400, end_offset: '400', damaged: 0 }, { records: 400 }],
    damages: { length: 0 },
  })
})

t.test('log verify: each damage is found and the report says where', async (t) => {
  const second = segmentFileName(200, 'log')
  const damages: Readonly<Record<string, (directory: string) => RegExp>> = {
    'a flipped bit in a record': (directory) => {
      flip(join(directory, second), 200)
      return /200\.log at byte \d+: the checksum of the batch is wrong/
    },
    'a flipped bit in a length': (directory) => {
      flip(join(directory, second), 8)
      return /200\.log at byte 0: \d+ bytes at the end hold no batch: the batch says that it has/
    },
    'a cut batch': (directory) => {
      const path = join(directory, second)
      truncateSync(path, readFileSync(path).length - 5)
      return /200\.log at byte \d+: \d+ bytes at the end hold no batch/
    },
    'bytes behind the end': (directory) => {
      const path = join(directory, second)
      writeFileSync(path, Buffer.alloc(30), { flag: 'a' })
      return /30 bytes at the end hold no batch: too short/
    },
    'a segment twice': (directory) => {
      copyFileSync(
        join(directory, segmentFileName(0, 'log')),
        join(directory, segmentFileName(100, 'log')),
      )
      return /100\.log: the segment begins at 100, before 200/
    },
    'a flipped bit in an index': (directory) => {
      flip(join(directory, segmentFileName(0, 'index')), 7)
      return /000\.index( at byte 0: no batch at \d+ ends with offset \d+|: the index is malformed)/
    },
    'an index that is cut': (directory) => {
      truncateSync(join(directory, segmentFileName(0, 'index')), 8)
      return /000\.index: it has 1 entries, a rebuild \d+/
    },
    'a time index that is cut': (directory) => {
      truncateSync(join(directory, segmentFileName(0, 'timeindex')), 12)
      return /000\.timeindex: it has 1 entries/
    },
    'an index of odd length': (directory) => {
      truncateSync(join(directory, segmentFileName(0, 'index')), 9)
      return /000\.index: the index is malformed/
    },
  }
  for (const [name, damage] of Object.entries(damages)) {
    await t.test(name, async (t) => {
      const directory = join(t.testdir(), 'orders-0')
      writePartition(directory)
      const expected = damage(directory)
      const outcome = await verify(directory)
      t.equal(outcome.exitCode, 1)
      t.match(outcome.stdout, expected)
      t.match(outcome.stderr, /^error\[DAMAGED\]/)
    })
  }
})

function flip(path: string, at: number): void {
  const bytes = readFileSync(path)
  bytes[at] = bytes[at]! ^ 0x04
  writeFileSync(path, bytes)
}

t.test('log verify and dump: what is not there', async (t) => {
  const empty = t.testdir()
  t.match(await verify(empty), { exitCode: 3 })
  t.match(await verify(join(empty, 'nothing')), { exitCode: 3 })
  t.match(await runCommand(['log', 'dump', join(empty, 'nothing')]), { exitCode: 3 })
  writeFileSync(join(empty, 'notes.txt'), 'x')
  t.match(await runCommand(['log', 'dump', join(empty, 'notes.txt')]), { exitCode: 2 })
})

t.test('log dump: batches, records and index entries', async (t) => {
  const directory = join(t.testdir(), 'orders-0')
  writePartition(directory)
  const log = await runCommand([
    'log',
    'dump',
    join(directory, segmentFileName(200, 'log')),
    '--records',
  ])
  t.equal(log.exitCode, 0)
  const lines = log.stdout.trim().split('\n')
  t.equal(lines.length, 50 + 200)
  t.match(
    lines[0],
    /^baseOffset=200 lastOffset=203 count=4 position=0 size=\d+ .*codec=none .*crcIsRight=true$/,
  )
  t.match(lines[1], /^offset=200 timestamp=1200 key=key-200 value=/)
  const json = await runCommand([
    '-o',
    'json',
    'log',
    'dump',
    join(directory, segmentFileName(0, 'index')),
  ])
  const entries = json.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { offset: string; position: number })
  t.ok(entries.length > 3)
  t.ok(entries.every((entry, at) => at === 0 || entry.position > entries[at - 1]!.position))
  const all = await runCommand(['log', 'dump', directory])
  t.equal(
    all.stdout.split('\n').filter((line) => line.startsWith('# ')).length,
    6,
    'two segments, three kinds of files',
  )
})
