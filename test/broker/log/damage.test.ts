// Goal: "every index, checkpoint and snapshot file deleted, truncated at every length, and bit-flipped at random:
// rebuilt, served correctly." (The .log files themselves: log-damage.test.ts.)
// Method: one log of several segments on a simulated disk, closed cleanly; each case damages a copy of its files, opens
// it, and compares every answer with what was written.
import { isDeepStrictEqual } from 'node:util'
import t, { type Test } from 'tap'
import {
  answersOf,
  closeLog,
  expectedTimes,
  openLog,
  partitionDirectory,
  readProblem,
  writeExample,
  type Example,
  type Files,
} from './damage-example.ts'
import { Seeded } from './seeded.ts'

const example = await writeExample()
const cleanMarker = '/data/.kafka_cleanshutdown'
const random = new Seeded()
t.comment(`SEED=${random.seed}`)
t.setTimeout(300_000)

/** What is derived from the log, or a checkpoint of it: everything but the batches and the identities. */
const derivedPaths = [...example.files.keys()].filter(
  (path) => !/\.log$|meta\.properties$|partition\.metadata$|\.lock$/.test(path),
)

t.test('damage: the example has everything that can be damaged', async (t) => {
  const segmentCount = [...example.files.keys()].filter((path) => path.endsWith('.log')).length
  t.ok(segmentCount >= 5, `${segmentCount} segments`)
  for (const kind of ['index', 'timeindex', 'txnindex', 'snapshot', 'summary']) {
    const sizes = [...example.files]
      .filter(([path]) => path.endsWith(`.${kind}`))
      .map(([, bytes]) => bytes.length)
    t.ok(sizes.length > 0 && Math.max(...sizes) > 0, `${kind}: ${sizes.join(' ')} bytes`)
  }
  for (const name of [
    '/data/recovery-point-offset-checkpoint',
    '/data/log-start-offset-checkpoint',
    `${partitionDirectory}/leader-epoch-checkpoint`,
    cleanMarker,
  ]) {
    t.ok((example.files.get(name)?.length ?? 0) > 0, name)
  }
  const { answers } = example
  t.ok(answers.logStartOffset > 0 && answers.lastStableOffset < answers.nextOffset)
  t.same(answers.times, expectedTimes(example, answers.logStartOffset))
  t.ok(JSON.stringify(answers.aborted).includes('firstOffset'), 'there are aborted transactions')
})

function without(files: Files, path: string): Files {
  return new Map([...files].filter(([other]) => other !== path))
}

function changed(files: Files, path: string, bytes: Buffer): Files {
  return new Map([...files, [path, bytes]])
}

/** After which the broker must look at the log instead of trusting its files. */
const unclean = without(example.files, cleanMarker)

/** Opens the files and names the first thing that is not as it was. */
async function problemOf(files: Files, example: Example): Promise<string | undefined> {
  const opened = await openLog(files, 1)
  const { log } = opened
  const read = readProblem(log, example)
  if (read !== undefined) return read
  const answers = answersOf(log, example.records)
  // The log start is in its checkpoint only. Without it records that were deleted may be seen again; none is lost.
  const start = answers.logStartOffset
  if (start > example.answers.logStartOffset) return `the log start moved up to ${start}`
  const expected = {
    ...example.answers,
    times: expectedTimes(example, start),
    logStartOffset: start,
  }
  for (const [name, value] of Object.entries(expected)) {
    // The epoch that holds the log start begins there.
    if (name === 'epochs' && start !== example.answers.logStartOffset) continue
    const answer = answers[name as keyof typeof answers]
    if (!isDeepStrictEqual(answer, value))
      return `${name}: ${excerpt(answer)} instead of ${excerpt(value)}`
  }
  return filesProblem(await closeLog(opened), start)
}

function excerpt(value: unknown): string {
  return JSON.stringify(value).slice(0, 300)
}

/** After a clean stop the files are what they were. */
function filesProblem(files: Files, start: number): string | undefined {
  for (const [path, bytes] of example.files) {
    const isStart = /log-start|leader-epoch/.test(path) && start !== example.answers.logStartOffset
    if (isStart || path.endsWith('.snapshot') || path.endsWith('.lock')) continue
    // It tells when folders were changed.
    if (path.endsWith('.millrace_quiet_logs')) continue
    const after = files.get(path)
    if (after === undefined) return `${path} is gone`
    if (!after.equals(bytes)) return `${path} is another: ${after.toString('latin1')}`
  }
  return undefined
}

async function check(t: Test, files: Files, title: string): Promise<void> {
  let problem
  try {
    problem = await problemOf(files, example)
  } catch (error) {
    problem = error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
  if (problem !== undefined) t.fail(`${title}: ${problem}`)
}

t.test('damage: undamaged files serve everything', async (t) => {
  await check(t, example.files, 'clean')
  await check(t, unclean, 'unclean')
})

t.test('damage: all derived files are gone at once', async (t) => {
  for (const start of [example.files, unclean]) {
    let files = start
    for (const path of derivedPaths) if (path !== cleanMarker) files = without(files, path)
    await check(t, files, 'nothing but batches')
  }
})

for (const path of derivedPaths) {
  const name = path.slice(path.lastIndexOf('/') + 1)
  const bytes = example.files.get(path) ?? Buffer.alloc(0)
  const starts: [string, Files][] = [
    ['clean', example.files],
    ['unclean', unclean],
  ]
  for (const [kind, files] of path === cleanMarker ? starts.slice(0, 1) : starts) {
    t.test(`damage: ${name}, ${kind}: deleted`, (t) => check(t, without(files, path), 'deleted'))
    t.test(`damage: ${name}, ${kind}: cut short`, async (t) => {
      // Every length from a clean stop; some of them when the broker looks at the log anyway.
      const step = kind === 'clean' ? 1 : 5
      for (let length = random.below(step); length < bytes.length && t.passing(); length += step) {
        await check(t, changed(files, path, bytes.subarray(0, length)), `${length} bytes`)
      }
    })
    t.test(`damage: ${name}, ${kind}: bits flipped`, async (t) => {
      for (let round = 0; round < 10 && bytes.length > 0 && t.passing(); round++) {
        const flipped = random.flip(bytes)
        await check(t, changed(files, path, flipped), flipped.toString('latin1'))
      }
    })
    t.test(`damage: ${name}, ${kind}: zeros, noise, bytes behind`, async (t) => {
      const noise = Buffer.from(bytes.map(() => random.below(256)))
      for (const other of [Buffer.alloc(bytes.length), noise, Buffer.concat([bytes, noise])]) {
        if (other.equals(bytes)) continue
        await check(t, changed(files, path, other), other.toString('latin1'))
      }
    })
  }
}
