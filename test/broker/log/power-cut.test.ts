// Goal: nothing that was acknowledged is lost, duplicated or moved, whenever the machine or the process dies.
// Method: a random load on a simulated disk that forgets unsynced bytes and names, cut at a random moment, many times.
import t, { type Test } from 'tap'
import { StorageError } from '../../../base/env.ts'
import type { LogDirectories } from '../../../broker/log/log-directories.ts'
import type { PartitionLog } from '../../../broker/log/partition-log.ts'
import { errors } from '../../../protocol/errors.ts'
import { append, machine, open, readAll, topicId, type Machine } from './log-support.ts'
import { Seeded } from './seeded.ts'

const rounds = Number(process.env['ROUNDS'] ?? 60)
const livesPerRound = 5
const config = { segmentBytes: 700, indexIntervalBytes: 120, fileDeleteDelayMs: 100 }

interface Load {
  readonly random: Seeded
  /** Value at each offset, as the broker said. */
  readonly sent: string[]
  acknowledged: number
  logStart: number
  sequence: number
}

t.test('power cut: nothing acknowledged is lost', async (t) => {
  const random = new Seeded()
  t.comment(`SEED=${random.seed}`)
  for (let round = 0; round < rounds; round++) {
    const m = machine(`${random.seed}-${round}`)
    const load: Load = { random, sent: [], acknowledged: 0, logStart: 0, sequence: 0 }
    for (let life = 0; life < livesPerRound; life++) {
      const logs = await open(m, { config, checkpointIntervalMs: 5 })
      const log = logs.get('topic', 0) ?? logs.create('topic', topicId, 0)
      check(t, log, load, `round ${round} life ${life}`)
      await run(m, log, logs, load)
      // A clean stop, the death of the process, or of the machine, also right behind the stop.
      const end = random.below(6)
      if (end === 0) {
        await m.simulation.until(logs.close())
        load.acknowledged = load.sent.length
      }
      // Promises that are resolved already would go on as a ghost of the dead process.
      await new Promise((resolve) => setImmediate(resolve))
      if (end === 1) m.env.kill()
      else m.env.cutPower()
      m.env.boot()
    }
  }
})

function check(t: Test, log: PartitionLog, load: Load, where: string): void {
  t.ok(log.nextOffset >= load.acknowledged, `${where}: ${log.nextOffset} of ${load.acknowledged}`)
  t.ok(log.logStartOffset <= Math.max(load.logStart, 0), where)
  const records = readAll(log)
  const expected = load.sent.slice(log.logStartOffset, log.nextOffset)
  t.same(
    records.map((record) => record.value),
    expected,
    where,
  )
  t.same(
    records.map((record) => record.offset),
    expected.map((_, index) => log.logStartOffset + index),
    where,
  )
  // What was not acknowledged and is gone may be sent again under the same offsets.
  load.sent.length = log.nextOffset
  load.sequence = log.nextOffset
}

async function run(m: Machine, log: PartitionLog, logs: LogDirectories, load: Load): Promise<void> {
  const { random, sent } = load
  for (let step = 0, steps = random.below(40); step < steps; step++) {
    const action = random.below(20)
    if (action < 14) {
      const values = Array.from(
        { length: 1 + random.below(4) },
        (_, index) => `${log.nextOffset + index}:${random.below(1e9)}`,
      )
      const result = append(log, values, {
        producerId: 3,
        producerEpoch: 0,
        baseSequence: load.sequence,
        timestamp: random.below(1e6),
      })
      if (!result.ok && result.error === errors.kafkaStorageError) continue
      if (!result.ok || result.duplicate) throw new Error(JSON.stringify(result))
      sent.push(...values)
      load.sequence += values.length
      const { nextOffset } = result
      const durable = log.whenDurable(nextOffset)
      durable?.then(() => (load.acknowledged = Math.max(load.acknowledged, nextOffset)), ignore)
      // Half of a batch may have reached the file.
      if (random.below(10) === 0)
        m.env.disk.fail({ operation: 'write', path: '.log', code: 'ENOSPC', times: 1 })
    } else if (action < 17) await m.simulation.run(m.simulation.scheduler.nowMs + random.below(3))
    else if (action === 17) log.roll()
    else if (action === 18) void logs.checkpoint()
    else if (log.durableOffset > log.logStartOffset) {
      load.logStart = log.logStartOffset + random.below(log.durableOffset - log.logStartOffset)
      log.deleteRecords(load.logStart)
    }
  }
}

function ignore(error: unknown): void {
  if (!(error instanceof StorageError)) throw error
}
