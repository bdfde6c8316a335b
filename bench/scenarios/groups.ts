// What a coordinator of consumer groups takes.
import { LatencyHistogram } from '../harness/histogram.ts'
import type { Cell, OpenCell, Place, Sample, Scenario } from '../harness/scenario.ts'
import { Filling } from '../load/filling.ts'
import { Generator } from '../load/generator.ts'
import type { GroupJob } from '../load/groups.ts'
import { deleteTopic, makeTopic, uniqueName } from '../load/topics.ts'
import { boundBy } from './produce.ts'

const changingGroups = 20
const committingGroups = 10
const commitsEach = 500
const commitsUnderWay = 5
const batch = { batchBytes: 1024, recordBytes: 512 }

export const groups: Scenario = {
  name: 'groups',
  summary:
    'Classic consumer groups. A third member joins two and leaves again, 20 groups one after the other: from its request until every member has its new assignment; members ask for news every 5 ms, group.initial.rebalance.delay.ms is 0. Ten groups commit offsets, 5 commits under way each; the coordinator is asked for the offsets in the end. A batch is produced and read back beside it.',
  cells: (scope) => (scope === 'quick' ? [] : [changing, committing]),
}

const common = {
  terms: {
    brokers: 1,
    durability: 'os',
    properties: { 'group.initial.rebalance.delay.ms': 0 },
  },
  openSeconds: 1,
  diskBytes: 100e6,
  refuses: (peer: Place['peer']): string | undefined =>
    peer.protocol === 'kafka' ? undefined : `it speaks ${peer.protocol}`,
} as const

const less = { better: 'less' } as const

const changing: Cell = {
  ...common,
  name: 'members=3 a third joins and leaves',
  figures: [
    { name: 'join of a third, p50', unit: 'ms', key: 'joinP50Ms', ...less },
    { name: 'join of a third, worst of 20', unit: 'ms', key: 'joinMaxMs', ...less },
    { name: 'leave of a third, p50', unit: 'ms', key: 'leaveP50Ms', ...less },
    { name: 'CPU of a group', unit: 'ms', key: 'cpuMsPerGroup', ...less },
  ],
  expectedSeconds: 2,
  roundsMax: 5,
  open: (place) => open(place, 'rebalance'),
}

const committing: Cell = {
  ...common,
  name: `commits groups=${committingGroups} depth=${commitsUnderWay}`,
  figures: [
    { name: 'commits per server core', unit: '1/s', key: 'commitsPerCpuSecond', better: 'more' },
    { name: 'commits', unit: '1/s', key: 'commitsPerSecond', better: 'more' },
  ],
  expectedSeconds: 8,
  roundsMax: 5,
  open: (place) => open(place, 'commit'),
}

function open(place: Place, action: GroupJob['action']): Promise<OpenCell> {
  const generator = new Generator(place.processes)
  return Promise.resolve({ sample: () => sample(place, generator, action) })
}

async function sample(
  place: Place,
  generator: Generator,
  action: GroupJob['action'],
): Promise<Sample> {
  const running = await place.running()
  const [{ host, port }] = running.nodes
  const topic = await makeTopic(running, { name: uniqueName('groups'), partitions: 1 })
  const filling = new Filling(topic, batch)
  await filling.run(generator, { batchesEach: 1, depth: 1 })
  const isCommit = action === 'commit'
  const count = isCommit ? committingGroups : changingGroups
  const prepared = await generator.prepare({
    kind: 'groups',
    action,
    host,
    port,
    prefix: uniqueName('group'),
    groups: count,
    topic: topic.name,
    commits: commitsEach,
    commitsUnderWay,
  })
  const { value, interval } = await place.measure(running, [generator.processId], () =>
    prepared.go(),
  )
  const wanted = isCommit ? committingGroups * commitsEach : 0
  if (value.committedOffsets !== wanted)
    throw new Error(`The committed offsets sum up to ${value.committedOffsets}, not ${wanted}`)
  const verified = await filling.verify(generator)
  await deleteTopic(running, topic.name)
  const { cpuMs } = interval.servers
  if (isCommit) {
    const commitsPerSecond = (wanted * 1000) / value.elapsedMs
    const figures = { commitsPerCpuSecond: (wanted * 1000) / cpuMs, commitsPerSecond }
    return { figures, interval, verified, notes: boundBy(interval) }
  }
  const [joined, left] = [value.joined, value.left].map((each) => LatencyHistogram.decode(each))
  const figures = {
    joinP50Ms: (joined?.percentile(50) ?? NaN) / 1000,
    joinMaxMs: (joined?.percentile(100) ?? NaN) / 1000,
    leaveP50Ms: (left?.percentile(50) ?? NaN) / 1000,
    cpuMsPerGroup: cpuMs / count,
  }
  const histograms = { 'join of a third member': value.joined, 'leave of it': value.left }
  return { figures, interval, histograms, verified }
}
