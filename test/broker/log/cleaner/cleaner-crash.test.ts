// Goal: whenever the machine or the process dies, compaction has lost nothing: of every key the latest value that was on
// disk is there at its offset, nothing is there that was not written, deleted keys don't come back, and reads, indexes and
// producers are what the log says. Method: random load, transactions among it, cut at a random step of a cleaning.
import t, { type Test } from 'tap'
import type { LogConfig } from '../../../../broker/log/log-config.ts'
import type { LogDirectories } from '../../../../broker/log/log-directories.ts'
import type { PartitionLog } from '../../../../broker/log/partition-log.ts'
import { Segment } from '../../../../broker/log/segment.ts'
import { controlBatch } from '../../../../protocol/records/control.ts'
import { machine, open, topicId, type Machine } from '../log-support.ts'
import { Seeded } from '../seeded.ts'
import { newCleaner, put, recordsIn, servedOffsets, type KeyValue } from './cleaner-support.ts'

const rounds = Number(process.env['ROUNDS'] ?? 20)
t.setTimeout(600_000)
const livesPerRound = 6
const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
const deleteRetentionMs = 300
const config: Partial<LogConfig> = {
  cleanupPolicy: { compact: true, delete: false },
  segmentBytes: 900,
  indexIntervalBytes: 120,
  fileDeleteDelayMs: 20,
  minCleanableDirtyRatio: 0,
  deleteRetentionMs,
}

interface Sent extends KeyValue {
  readonly offset: number
  /** Undecided while its transaction is open. */
  fate: 'committed' | 'aborted' | 'open'
}

interface Load {
  readonly random: Seeded
  /** By offset; markers and what was lost are holes. */
  readonly sent: Map<number, Sent>
  acknowledged: number
  /** Of producers 1 to 3, which are transactional, and 4, which is idempotent. */
  readonly sequences: number[]
  readonly open: Map<number, Sent[]>
  ended: {
    readonly offset: number
    readonly producerId: number
    readonly fate: 'committed' | 'aborted'
    readonly records: Sent[]
  }[]
}

t.test('cleaner: nothing is lost or comes back, whenever it is interrupted', async (t) => {
  const random = new Seeded()
  t.comment(`SEED=${random.seed}`)
  let cleanings = 0
  for (let round = 0; round < rounds; round++) {
    const m = machine(`${random.seed}-${round}`)
    const load: Load = {
      random,
      sent: new Map(),
      acknowledged: 0,
      sequences: [0, 0, 0, 0, 0],
      open: new Map(),
      ended: [],
    }
    for (let life = 0; life < livesPerRound; life++) {
      const where = `round ${round} life ${life}`
      const logs = await open(m, { config, checkpointIntervalMs: 20 })
      const log = logs.get('topic', 0) ?? logs.create('topic', topicId, 0)
      forgetLost(log, load)
      check(t, log, load, `${where}, opened`)
      cleanings += await live(t, m, logs, log, load, where)
      // Promises that are resolved already would go on as a ghost of the dead process.
      await new Promise((resolve) => setImmediate(resolve))
      if (random.below(3) === 0) m.env.kill()
      else m.env.cutPower()
      m.env.boot()
    }
  }
  t.ok(cleanings > rounds / 2, `${cleanings} cleanings ended`)
})

async function live(
  t: Test,
  m: Machine,
  logs: LogDirectories,
  log: PartitionLog,
  load: Load,
  where: string,
): Promise<number> {
  const { random } = load
  const small = random.below(3) === 0
  const cleaner = newCleaner(m, logs, small ? { config: { dedupeBufferBytes: 24 * 16 } } : {})
  let cleanings = 0
  for (let phase = 0, phases = 1 + random.below(3); phase < phases; phase++) {
    log.setConfig({ ...log.config, segmentBytes: 900 })
    for (let step = 0, steps = 10 + random.below(40); step < steps; step++) write(log, load)
    await settle(m, log, load)
    if (random.below(2) === 0) log.roll()
    await m.simulation.until(logs.checkpoint())
    // Larger ones than were written, so that segments full of live records become one.
    log.setConfig({ ...log.config, segmentBytes: 900 + random.below(6000) })
    const isLast = phase === phases - 1
    const cleaned = cleaner.cleanDirtiest()
    if (isLast && random.below(5) > 0) {
      // Somewhere in the middle of it, while others write on.
      cleaned.catch(() => undefined)
      for (let event = 0, events = random.below(24); event < events; event++) {
        if (!(await m.simulation.step())) break
        if (random.below(30) === 0) write(log, load)
      }
      return cleanings
    }
    if (await m.simulation.until(cleaned)) cleanings++
    check(t, log, load, `${where} phase ${phase}`)
    await m.simulation.run(m.simulation.scheduler.nowMs + random.below(deleteRetentionMs * 2))
  }
  if (random.below(4) === 0) {
    await m.simulation.until(cleaner.close())
    await m.simulation.until(logs.close())
  }
  return cleanings
}

async function settle(m: Machine, log: PartitionLog, load: Load): Promise<void> {
  await m.simulation.until(log.flush())
  load.acknowledged = log.durableOffset
}

function write(log: PartitionLog, load: Load): void {
  const { random, sent, sequences, open } = load
  const producerId = random.below(6)
  const isTransactional = producerId >= 1 && producerId <= 3
  const unfinished = open.get(producerId)
  if (isTransactional && unfinished !== undefined && random.below(3) === 0) {
    const end = random.below(2) === 0 ? 'commit' : 'abort'
    const fields = { producerId, producerEpoch: 0, coordinatorEpoch: 0, timestamp: 1 }
    const offset = log.nextOffset
    const marker = controlBatch({ ...fields, end })
    if (!log.append(marker, { origin: 'coordinator', leaderEpoch: 5 }).ok) throw new Error('marker')
    const fate = end === 'commit' ? 'committed' : 'aborted'
    for (const record of unfinished) record.fate = fate
    load.ended.push({ offset, producerId, fate, records: unfinished })
    open.delete(producerId)
    return
  }
  const pairs = Array.from({ length: 1 + random.below(4) }, () => ({
    // Some are written all the time, of most the latest value is old.
    key: `key ${random.below(random.below(2) === 0 ? 20 : 1000)}`,
    value: random.below(4) === 0 ? null : `${random.below(1e9)}`.repeat(1 + random.below(4)),
  }))
  const baseOffset = put(log, pairs, {
    codec: codecs[random.below(5)]!,
    timestamp: 1_000_000 + log.nextOffset,
    ...(producerId >= 1 && producerId <= 4
      ? { producerId, producerEpoch: 0, baseSequence: sequences[producerId]! }
      : {}),
    transactional: isTransactional,
  })
  if (producerId >= 1 && producerId <= 4) sequences[producerId]! += pairs.length
  const fate = isTransactional ? 'open' : 'committed'
  const records = pairs.map((pair, index): Sent => ({ ...pair, offset: baseOffset + index, fate }))
  for (const record of records) sent.set(record.offset, record)
  if (isTransactional) open.set(producerId, [...(unfinished ?? []), ...records])
}

/** What was not acknowledged may be gone: the model goes back with the log. */
function forgetLost(log: PartitionLog, load: Load): void {
  for (const offset of load.sent.keys()) if (offset >= log.nextOffset) load.sent.delete(offset)
  for (const ended of load.ended.filter(({ offset }) => offset >= log.nextOffset).toReversed()) {
    for (const record of ended.records) record.fate = 'open'
    const later = load.open.get(ended.producerId) ?? []
    load.open.set(ended.producerId, [...ended.records, ...later])
  }
  load.ended = load.ended.filter(({ offset }) => offset < log.nextOffset)
  for (const [producerId, records] of load.open) {
    const kept = records.filter(({ offset }) => offset < log.nextOffset)
    if (kept.length === 0) load.open.delete(producerId)
    else load.open.set(producerId, kept)
  }
  const active = new Map(log.activeProducers().map((each) => [each.producerId, each]))
  for (let producerId = 1; producerId <= 4; producerId++)
    load.sequences[producerId] = (active.get(producerId)?.lastSequence ?? -1) + 1
}

function check(t: Test, log: PartitionLog, load: Load, where: string): void {
  const problems: string[] = []
  const stored = new Map(recordsIn(log).map((record) => [record.offset, record]))
  if (log.nextOffset < load.acknowledged) problems.push(`ends at ${log.nextOffset}`)
  let previous = -1
  for (const { offset, key, value, timestamp } of stored.values()) {
    const original = load.sent.get(offset)
    if (offset <= previous) problems.push(`${offset} after ${previous}`)
    previous = offset
    if (original?.key !== key || original.value !== value || timestamp < 1_000_000)
      problems.push(`${offset} is ${key}=${value}, was ${original?.key}=${original?.value}`)
  }
  const latest = new Map<string, Sent>()
  const openRecords = new Set([...load.open.values()].flat())
  for (const record of [...load.sent.values()].toSorted((a, b) => a.offset - b.offset)) {
    if (record.fate === 'committed') latest.set(record.key, record)
    const isOpen = openRecords.has(record)
    if (isOpen && !stored.has(record.offset)) problems.push(`undecided ${record.offset} is gone`)
  }
  const committed = [...stored.values()].filter(
    ({ offset }) => load.sent.get(offset)?.fate === 'committed',
  )
  const read = new Map(committed.map((record) => [record.key, record]))
  for (const [key, { offset, value }] of latest) {
    const found = read.get(key)
    // A tombstone may have gone, but then with everything before it.
    if (found === undefined ? value !== null : found.offset !== offset)
      problems.push(`${key} is ${found?.value} at ${found?.offset}, must be ${value} at ${offset}`)
  }
  const served = servedOffsets(log, 1 + load.random.below(2000))
  const dataServed = served.filter((offset) => stored.has(offset))
  if (dataServed.length !== stored.size)
    problems.push(`${dataServed.length} of ${stored.size} read`)
  checkIndexes(log, problems)
  checkTransactions(log, load, problems)
  t.same(problems.slice(0, 5), [], where)
}

/** Offset and time indexes are those of a rebuild. */
function checkIndexes(log: PartitionLog, problems: string[]): void {
  const { disk } = log.resources.env
  for (const segment of log.segments.all.slice(0, -1)) {
    const { offsets, times, nextOffset } = segment.indexes
    const summary = disk.readFile(segment.path('summary'))
    disk.remove(segment.path('summary'))
    const again = new Segment(log, segment.baseOffset, segment.sizeBytes)
    again.close()
    if (!again.indexes.offsets.encode().equals(offsets.encode())) problems.push('offset index')
    if (!again.indexes.times.encode().equals(times.encode())) problems.push('time index')
    if (again.indexes.nextOffset !== nextOffset) problems.push('next offset')
    again.release()
    if (summary === undefined) continue
    const file = disk.open(segment.path('summary'), 'write')
    file.write([summary], 0)
    file.close()
  }
}

/** Aborted data is marked as such, committed data is not, and the last stable offset is that of the open ones. */
function checkTransactions(log: PartitionLog, load: Load, problems: string[]): void {
  const aborted = log.abortedTransactions(0, log.nextOffset)
  for (const { offset } of recordsIn(log)) {
    const record = load.sent.get(offset)
    if (record?.fate !== 'aborted') continue
    const ended = load.ended.find(({ records }) => records.includes(record))
    const isMarked = aborted.some(
      (each) => each.producerId === ended?.producerId && each.firstOffset <= offset,
    )
    if (!isMarked) problems.push(`aborted ${offset} is not marked`)
  }
  const first = Math.min(
    ...[...load.open.values()].flat().map(({ offset }) => offset),
    log.nextOffset,
  )
  const stable = log.lastStableOffset(log.nextOffset)
  if (stable !== first) problems.push(`stable to ${stable}, open from ${first}`)
}
