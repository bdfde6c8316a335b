// Goal: "flipped bits in a .log: detected, reported, never served as good."
// Method: as in damage.test.ts, but what is damaged are batches: bytes under their checksums, and the base offset, length
// and leader epoch, which lie outside of them.
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { StorageError } from '../../../base/env.ts'
import type { PartitionLog } from '../../../broker/log/partition-log.ts'
import { openLog, writeExample, type Files } from './damage-example.ts'
import { Seeded } from './seeded.ts'

const example = await writeExample()
const random = new Seeded()
t.comment(`SEED=${random.seed}`)
t.setTimeout(300_000)

const logPaths = [...example.files.keys()].filter((path) => path.endsWith('.log'))
/** After which recovery looks at the log. */
const unclean = new Map([...example.files].filter(([path]) => !path.endsWith('cleanshutdown')))

function changed(files: Files, path: string, bytes: Buffer): Files {
  return new Map([...files, [path, bytes]])
}

/** A time gives the record that was written, or an error. */
function timeProblem(log: PartitionLog): string | undefined {
  const { logStartOffset, nextOffset } = log
  const left = example.records.filter(
    ({ offset }) => offset >= logStartOffset && offset < nextOffset,
  )
  const latest = Math.max(...left.map(({ timestamp }) => timestamp))
  const lookups = example.records.map(({ timestamp }) => ({
    find: () => log.offsetForTimestamp(timestamp, nextOffset),
    expected: left.find((record) => record.timestamp >= timestamp),
  }))
  lookups.push({
    find: () => log.maxTimestamp(nextOffset),
    expected: left.find(({ timestamp }) => timestamp === latest),
  })
  for (const { find, expected } of lookups) {
    try {
      const found = find()
      if (!isDeepStrictEqual(found, expected))
        return `${found?.offset} instead of ${expected?.offset} for a time`
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
    }
  }
  return undefined
}

/** Reads on over what is damaged. Gives back what was served wrong, and whether anything was refused. */
async function readDamaged(
  files: Files,
): Promise<{ wrong?: string; refused: number; reported: boolean }> {
  const { log, messages } = await openLog(files, 1)
  const start = messages.length
  let refused = 0
  // Before or after the bytes were looked at by reads.
  const timesFirst = random.below(2) === 0
  const wrongBefore = timesFirst ? timeProblem(log) : undefined
  if (wrongBefore !== undefined) return { wrong: wrongBefore, refused, reported: true }
  for (const bytesMax of [1, 1_000_000]) {
    for (const { offset } of example.records) {
      if (offset < log.logStartOffset || offset >= log.nextOffset) continue
      const options = { bytesMax, atLeastOneBatch: true, offsetMax: log.nextOffset }
      const result = log.read(offset, options)
      if (!result.ok) {
        refused++
        continue
      }
      const served = result.payload?.buffer ?? Buffer.alloc(0)
      const first = example.batches.findIndex((batch) => batch.nextOffset > offset)
      const last = example.batches.findLastIndex((batch) => batch.nextOffset <= result.nextOffset)
      const good = Buffer.concat(example.batches.slice(first, last + 1).map(({ bytes }) => bytes))
      const isGood = served.equals(good) && served.length > 0
      result.payload?.release()
      if (!isGood)
        return { wrong: `offset ${offset} up to ${result.nextOffset}`, refused, reported: true }
    }
  }
  const wrongTime = timeProblem(log)
  if (wrongTime !== undefined) return { wrong: wrongTime, refused, reported: true }
  const isShort = log.nextOffset < example.answers.nextOffset
  return {
    refused: refused + (isShort ? 1 : 0),
    reported: messages.length > start || messages.length > 0,
  }
}

for (const [kind, files] of [
  ['clean', example.files],
  ['unclean', unclean],
] as const) {
  t.test(
    `damage: a flipped bit in a .log, ${kind}: detected, reported, never served`,
    async (t) => {
      for (let round = 0; round < 200 && t.passing(); round++) {
        const path = logPaths[random.below(logPaths.length)] ?? ''
        const bytes = files.get(path) ?? Buffer.alloc(0)
        if (bytes.length === 0) continue
        const flipped = random.flip(bytes)
        const bit = flipped.findIndex((byte, at) => byte !== bytes[at])
        const title = `${path} byte ${bit}: ${bytes[bit]} became ${flipped[bit]}`
        try {
          const result = await readDamaged(changed(files, path, flipped))
          if (result.wrong !== undefined) t.fail(`${title}: served ${result.wrong}`)
          // A batch below the log start is never read.
          else if (result.refused === 0 && isServed(path, bit)) t.fail(`${title}: not noticed`)
          else if (result.refused > 0 && !result.reported) t.fail(`${title}: not reported`)
        } catch (error) {
          // Synced bytes are damaged: recovery changes nothing and leaves the partition offline.
          const isOffline = error instanceof StorageError && error.code === 'LOG_DAMAGED'
          if (!isOffline || kind === 'clean') {
            t.fail(`${title}: ${error instanceof Error ? (error.stack ?? '') : String(error)}`)
          }
        }
      }
    },
  )
}

/** Whether the byte belongs to a batch at or beyond the log start. */
function isServed(path: string, at: number): boolean {
  let position = 0
  const baseOffset = Number(/(\d{20})\.log$/.exec(path)?.[1])
  for (const batch of example.batches.filter((one) => one.baseOffset >= baseOffset)) {
    if (at < position + batch.bytes.length) return batch.nextOffset > example.answers.logStartOffset
    position += batch.bytes.length
  }
  return false
}
