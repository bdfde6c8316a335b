// How long a start takes, and how much memory a broker needs that has nothing to do.
import { createTopic } from './lib/admin.ts'
import { startBroker } from './lib/broker-process.ts'
import { residentBytesOf } from './lib/process-figures.ts'
import { publish, type Row } from './lib/report.ts'
import { spread } from './lib/statistics.ts'
import { withFolder } from './lib/work-folder.ts'

/** In several topics: a controller refuses to create more than 10,000 things with one request. */
const partitionCount = 10_000
const topicCount = 10

interface Sample {
  readonly readyMs: number
  readonly residentMb: number
}

export async function benchStart(options: { quick: boolean }): Promise<void> {
  const times = options.quick ? 7 : 11
  const empty: Sample[] = []
  for (let round = 0; round < times; round++)
    await withFolder(async (folder) => empty.push(await once(folder)))
  publish({
    name: 'start empty',
    setting: { partitions: 0 },
    rows: rowsOf(empty, { readyMs: 300, residentMb: 90 }),
  })
  await withFolder(async (folder) => {
    const broker = await startBroker(folder)
    for (let topic = 0; topic < topicCount; topic++) {
      await createTopic(broker, { name: `many-${topic}`, partitions: partitionCount / topicCount })
    }
    await broker.stop()
    const full: Sample[] = []
    for (let round = 0; round < (options.quick ? 3 : 7); round++) full.push(await once(folder))
    const rows = rowsOf(full, { readyMs: 3_000, residentMb: 400 })
    publish({
      name: `start ${partitionCount} partitions, clean`,
      setting: { partitions: partitionCount },
      rows,
    })
  })
}

async function once(folder: string): Promise<Sample> {
  const broker = await startBroker(folder)
  // Memory is looked at when the start is over, not in the middle of its last turn.
  await new Promise((resolve) => setTimeout(resolve, 300))
  const residentMb = residentBytesOf(broker.processId) / 1e6
  await broker.stop()
  return { readyMs: broker.readyMs, residentMb }
}

function rowsOf(samples: Sample[], wanted: Sample): Row[] {
  const ready = spread(samples.map(({ readyMs }) => readyMs))
  const resident = spread(samples.map(({ residentMb }) => residentMb))
  return [
    {
      name: 'process start to ready',
      unit: 'ms',
      figures: ready,
      target: { text: `<= ${wanted.readyMs}`, met: ready.median <= wanted.readyMs },
    },
    {
      name: 'resident memory, idle',
      unit: 'MB',
      figures: resident,
      target: { text: `<= ${wanted.residentMb}`, met: resident.median <= wanted.residentMb },
    },
  ]
}
