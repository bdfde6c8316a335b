import t from 'tap'
import { ReplicaFetchers } from '../../../../broker/replica/fetcher/replica-fetchers.ts'
import { errors } from '../../../../protocol/errors.ts'
import { FakeFollowed, fetcherStage, type FetchRequest } from './fetcher-stage.ts'

function named(request: FetchRequest | undefined): string[] {
  return (request?.topics ?? []).flatMap(({ topicId, partitions }) =>
    partitions.map(
      ({ partition, fetchOffset }) => `${topicId.slice(0, 2)}-${partition}@${fetchOffset}`,
    ),
  )
}

t.test(
  'followers: partitions share one request, then only what changed is asked for',
  async (t) => {
    const { leader, options, pass } = await fetcherStage()
    const [one, two] = [new FakeFollowed('a', 0), new FakeFollowed('b', 3)]
    leader.log(one).end = 250
    leader.log(two)
    const fetchers = new ReplicaFetchers(options)
    fetchers.follow(one, 1)
    fetchers.follow(two, 1)
    await pass(100)
    t.equal(one.end, 250)
    t.equal(one.highWatermark, 250)
    t.strictSame(named(leader.fetches[0]), ['61-0@0', '62-3@0'])
    t.strictSame(named(leader.fetches[1]), ['61-0@100'])
    t.match(leader.fetches[1], { sessionId: 7, sessionEpoch: 1 })
    t.match(leader.fetches[0]?.replicaState, { replicaId: 2, replicaEpoch: 55 })
    leader.log(two).end = 10
    leader.log(two).start = 4
    await pass(50)
    t.equal(two.end, 10, 'a waiting fetch gets new records at once')
    t.equal(two.start, 4)
    await pass(2000)
    t.equal(leader.broker?.connectionCount, 1)
    t.ok(leader.fetches.length < 15, 'nothing is asked for in vain')
    await fetchers.close()
    t.equal(fetchers.count, 0)
  },
)

t.test('followers: an error of one partition delays that one alone', async (t) => {
  const { leader, options, pass } = await fetcherStage()
  const [bad, worse, good] = [
    new FakeFollowed('a', 0),
    new FakeFollowed('a', 1),
    new FakeFollowed('b', 0),
  ]
  leader.log(bad).error = errors.notLeaderOrFollower.code
  leader.log(worse).end = 5
  worse.refusal = { ok: false, error: errors.corruptMessage, message: 'as planted' }
  leader.log(good).end = 10
  const fetchers = new ReplicaFetchers(options)
  for (const partition of [bad, worse, good]) fetchers.follow(partition, 1)
  await pass(5000)
  leader.log(good).end = 20
  await pass(5)
  t.equal(good.end, 20)
  t.ok(leader.fetches.length < 80, `${leader.fetches.length}: errors are not met in a tight loop`)
  leader.log(bad).error = 0
  leader.log(bad).end = 30
  worse.refusal = undefined
  await pass(1010)
  t.equal(bad.end, 30)
  t.equal(worse.end, 5)
  await fetchers.close()
})

t.test('followers: after an election the leader is asked again soon', async (t) => {
  const { leader, options, pass } = await fetcherStage()
  const partition = new FakeFollowed('a', 0)
  leader.log(partition).error = errors.notLeaderOrFollower.code
  const fetchers = new ReplicaFetchers(options)
  fetchers.follow(partition, 1)
  await pass(60)
  leader.log(partition).error = 0
  leader.log(partition).end = 3
  await pass(100)
  t.equal(partition.end, 3)
  await fetchers.close()
})

t.test('followers: a log that diverges is cut, and goes on from there', async (t) => {
  const { leader, options, pass } = await fetcherStage()
  const partition = new FakeFollowed('a', 0)
  partition.end = 50
  partition.lastFetchedEpoch = 3
  leader.log(partition).diverging = { epoch: 2, endOffset: 40 }
  leader.log(partition).end = 60
  const fetchers = new ReplicaFetchers(options)
  fetchers.follow(partition, 1)
  await pass(10)
  t.match(partition.cuts[0], { epoch: 2, endOffset: 40 })
  t.equal(partition.end, 40)
  leader.log(partition).diverging = undefined
  await pass(2000)
  t.ok(partition.cuts.length < 12, 'a leader that repeats itself is not asked in a tight loop')
  t.equal(partition.end, 60)
  t.equal(leader.fetches[0]?.topics[0]?.partitions[0]?.lastFetchedEpoch, 3)
  await fetchers.close()
})

t.test(
  'followers: where the leader has deleted what comes next, the log starts over',
  async (t) => {
    const { leader, options, pass } = await fetcherStage()
    const partition = new FakeFollowed('far', 0)
    partition.end = 20
    partition.lastFetchedEpoch = 1
    leader.log(partition).error = errors.offsetOutOfRange.code
    const fetchers = new ReplicaFetchers(options)
    fetchers.follow(partition, 1)
    await pass(5)
    Object.assign(leader.log(partition), { error: 0, start: 70, end: 90 })
    await pass(3000)
    t.equal(partition.restarts[0], 70)
    t.equal(partition.end, 90)
    partition.end = 100
    leader.log(partition).error = errors.offsetOutOfRange.code
    fetchers.follow(partition, 1)
    await pass(3000)
    t.strictSame(partition.restarts, [70], 'beyond the end epochs decide, not offsets')
    partition.lastFetchedEpoch = -1
    await pass(2000)
    t.equal(partition.restarts[1], 70, 'a log without epochs is copied anew')
    await fetchers.close()
  },
)

t.test('followers: a session that the leader forgot is opened anew', async (t) => {
  const { leader, options, pass } = await fetcherStage()
  const partition = new FakeFollowed('a', 0)
  leader.log(partition).end = 10
  const fetchers = new ReplicaFetchers(options)
  fetchers.follow(partition, 1)
  await pass(700)
  leader.refusals.push(errors.fetchSessionIdNotFound.code)
  await pass(600)
  leader.log(partition).end = 20
  await pass(5)
  t.equal(partition.end, 20)
  t.match(leader.fetches.filter(({ sessionEpoch }) => sessionEpoch === 0).map(named), [
    ['61-0@0'],
    ['61-0@10'],
  ])
  leader.refusals.push(...Array.from({ length: 3 }, () => errors.unknownServerError.code))
  await pass(3000)
  leader.log(partition).end = 30
  await pass(5)
  t.equal(partition.end, 30)
  await fetchers.close()
})

t.test('followers: an offset is asked for when everything below it is durable', async (t) => {
  const { leader, options, pass, simulation } = await fetcherStage()
  const [slow, quick] = [new FakeFollowed('a', 0), new FakeFollowed('b', 0)]
  leader.log(slow).end = 10
  leader.log(quick).end = 10
  slow.sync = () =>
    new Promise((resolve) => {
      simulation.scheduler.schedule({ delayMs: 300, label: 'sync', run: resolve })
    })
  const fetchers = new ReplicaFetchers(options)
  fetchers.follow(slow, 1)
  fetchers.follow(quick, 1)
  await pass(100)
  leader.log(quick).end = 15
  await pass(20)
  t.equal(quick.end, 15, 'others go on')
  const askedSlow = (): string[] =>
    leader.fetches.flatMap(named).filter((each) => each.startsWith('61'))
  t.strictSame(askedSlow(), ['61-0@0'])
  await pass(220)
  t.strictSame(askedSlow(), ['61-0@0', '61-0@10'])
  const fresh = new FakeFollowed('c', 0)
  fresh.end = 33
  leader.log(fresh).end = 33
  fresh.initialSync = Promise.reject(new Error('as planted'))
  fetchers.follow(fresh, 1)
  await pass(100)
  t.strictSame(
    leader.fetches.flatMap(named).filter((each) => each.startsWith('63')),
    [],
  )
  fresh.initialSync = undefined
  await pass(1100)
  t.strictSame(
    leader.fetches.flatMap(named).filter((each) => each.startsWith('63')),
    ['63-0@33'],
  )
  await fetchers.close()
})

t.test('followers: a new partition does not wait behind a fetch that waits for data', async (t) => {
  const { leader, options, pass } = await fetcherStage()
  const [idle, fresh] = [new FakeFollowed('a', 0), new FakeFollowed('b', 0)]
  leader.log(idle)
  leader.log(fresh).end = 10
  const fetchers = new ReplicaFetchers(options)
  fetchers.follow(idle, 1)
  await pass(1000)
  fetchers.follow(fresh, 1)
  await pass(30)
  t.equal(fresh.end, 10)
  t.equal(leader.broker?.connectionCount, 2)
  leader.log(idle).end = 5
  await pass(10)
  t.equal(idle.end, 5)
  await fetchers.close()
})

t.test('followers: a leader that is away is dialled until it is back', async (t) => {
  const { leader, options, pass, simulation } = await fetcherStage()
  const [partition, homeless] = [new FakeFollowed('a', 0), new FakeFollowed('b', 0)]
  leader.log(partition).end = 10
  const fetchers = new ReplicaFetchers(options)
  fetchers.follow(partition, 1)
  fetchers.follow(homeless, 9)
  await pass(100)
  const received = leader.broker?.received.at(-1)
  received?.socket.destroy()
  leader.log(partition).end = 20
  await pass(200)
  t.equal(partition.end, 20)
  t.equal(homeless.end, 0)
  fetchers.follow(homeless, 1)
  leader.log(homeless).end = 1
  await pass(200)
  t.equal(homeless.end, 1, 'it follows another leader')
  fetchers.unfollow(partition)
  leader.log(partition).end = 40
  await pass(1000)
  t.equal(partition.end, 20)
  fetchers.unfollow(homeless)
  await simulation.until(fetchers.close())
})

t.test('followers: a stop does not wait for a leader that does not answer a dial', async (t) => {
  const { options, pass, simulation } = await fetcherStage()
  simulation.network.cut('follower', 'broker')
  const fetchers = new ReplicaFetchers(options)
  fetchers.follow(new FakeFollowed('a', 0), 1)
  await pass(100)
  const sinceMs = options.env.clock.monotonicMs()
  await simulation.until(fetchers.close())
  t.equal(options.env.clock.monotonicMs(), sinceMs)
  simulation.network.heal()
  await pass(60_000)
})

t.test('followers: several fetchers share the partitions of one leader', async (t) => {
  const { leader, options, pass } = await fetcherStage(3)
  const partitions = Array.from({ length: 9 }, (_, index) => new FakeFollowed('a', index))
  const fetchers = new ReplicaFetchers(options)
  for (const partition of partitions) {
    leader.log(partition)
    fetchers.follow(partition, 1)
  }
  await pass(100)
  t.equal(leader.broker?.connectionCount, 3)
  t.strictSame(
    leader.fetches.slice(0, 3).map((fetch) => named(fetch).length),
    [3, 3, 3],
  )
  for (const partition of partitions) fetchers.unfollow(partition)
  await pass(1000)
  const count = leader.fetches.length
  await pass(2000)
  t.equal(leader.fetches.length, count)
  await fetchers.close()
})

t.test('followers: thousands of partitions are named in several requests', async (t) => {
  for (const isSessionless of [false, true]) {
    const { leader, options, pass } = await fetcherStage()
    leader.isSessionless = isSessionless
    const partitions = Array.from({ length: 2500 }, (_, index) => new FakeFollowed('a', index))
    const fetchers = new ReplicaFetchers(options)
    for (const partition of partitions) {
      leader.log(partition)
      fetchers.follow(partition, 1)
    }
    await pass(isSessionless ? 30 : 100)
    t.strictSame(
      leader.fetches.slice(0, 2).map((fetch) => named(fetch).length),
      [1000, 1000],
    )
    for (const index of [3, 999, 2400]) Object.assign(leader.log(partitions[index]!), { end: 5 })
    await pass(isSessionless ? 30 : 100)
    t.strictSame(
      [3, 999, 2400].map((index) => partitions[index]?.end),
      [5, 5, 5],
    )
    if (!isSessionless) t.equal(leader.fetches.filter((fetch) => named(fetch).length > 3).length, 3)
    await fetchers.close()
  }
})

t.test('followers: throttled replicas keep to the rate until they are in sync', async (t) => {
  const { leader, options, pass, throttled } = await fetcherStage()
  throttled.bytesPerSecond = 1000
  throttled.replicas = '0:1,0:2'
  const [slow, free] = [new FakeFollowed('a', 0), new FakeFollowed('b', 1)]
  leader.log(slow).end = 10_000
  leader.log(free).end = 10_000
  const fetchers = new ReplicaFetchers(options)
  fetchers.follow(slow, 1)
  fetchers.follow(free, 1)
  await pass(3000)
  t.equal(free.end, 10_000)
  t.ok(slow.end >= 3500 && slow.end <= 4500, `${slow.end} bytes after 3 s`)
  throttled.replicas = '*'
  await pass(7000)
  t.equal(slow.end, 10_000)
  await fetchers.close()
})
