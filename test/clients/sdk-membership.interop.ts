/**
 * Membership of our SDK in groups of a real coordinator, alone and beside Java's members. What each member is told is
 * checked as it comes: nothing is assigned to a member while another one still has it.
 */
import { join } from 'node:path'

import t, { type Test } from 'tap'

import { createRealEnv } from '../../base/real/real-env.ts'
import { Admin } from '../../client/admin.ts'
import { Cluster } from '../../client/cluster.ts'
import type { Membership, Subscription } from '../../client/consumer/membership.ts'
import { createMembership } from '../../client/group/membership.ts'
import type { MembershipOptions } from '../../client/group/options.ts'
import type { TopicPartition } from '../../client/topic.ts'
import { GroupFixture, groupProperties, heartbeatMs, Members, sessionMs } from './group-fixture.ts'
import type { MemberSettings, MemberTarget } from './group-member.ts'
import { freePort, temporaryDirectory } from './places.ts'
import { eventually, pause } from './processes.ts'
import { startServer } from './server.ts'

t.setTimeout(600_000)
const env = createRealEnv()
const fixture = await GroupFixture.start(t, 'sdk-membership')

function connect(brokers = fixture.brokers): Cluster {
  return new Cluster({
    env,
    brokers: [brokers],
    clientId: 'sdk',
    connectTimeoutMs: 5000,
    requestTimeoutMs: 30_000,
    callTimeoutMs: 30_000,
    retryBootstrap: true,
  })
}

type Options = Partial<MembershipOptions> & { readonly subscription?: Subscription }

class SdkMember {
  readonly name: string
  readonly partitions = new Set<number>()
  readonly revoked: number[] = []
  readonly lost: number[] = []
  readonly problems: string[] = []
  readonly log: string[] = []
  failure: Error | undefined
  readonly membership: Membership
  readonly #cluster: Cluster

  constructor(all: readonly SdkMember[], target: MemberTarget, options: Options) {
    this.name = `sdk ${all.length}`
    const { subscription, ...settings } = options
    this.#cluster = connect(target.brokers)
    this.membership = createMembership(
      {
        env,
        cluster: this.#cluster,
        groupId: target.group,
        sessionTimeoutMs: sessionMs,
        heartbeatIntervalMs: heartbeatMs,
        rebalanceTimeoutMs: 20_000,
        ...settings,
      },
      {
        assigned: async (partitions) => {
          const others = all.filter((each) => each !== this && each.failure === undefined)
          for (const { partition } of partitions) {
            const owner = others.find((each) => each.partitions.has(partition))
            if (owner !== undefined) this.problems.push(`${partition} is still with ${owner.name}`)
            this.partitions.add(partition)
          }
          this.log.push(`assigned ${numbers(partitions).join()}`)
        },
        revoked: async (partitions) => {
          this.log.push(`revoked ${numbers(partitions).join()}`)
          this.revoked.push(...numbers(partitions))
          await this.commit(partitions, 1)
          for (const { partition } of partitions) this.partitions.delete(partition)
        },
        lost: async (partitions) => {
          this.log.push(`lost ${numbers(partitions).join()}`)
          this.lost.push(...numbers(partitions))
          for (const { partition } of partitions) this.partitions.delete(partition)
        },
        status: (event) => {
          if (event.type !== 'heartbeat') this.log.push(JSON.stringify(event))
        },
        failed: (error) => {
          this.failure = error
          this.log.push(`failed ${error.message}`)
        },
      },
    )
    this.membership.subscribe(subscription ?? { kind: 'topics', topics: [target.topic] })
  }

  commit(partitions: readonly TopicPartition[], offset: number): Promise<void> {
    return this.membership.commit(
      partitions.map((each) => ({ ...each, offset, leaderEpoch: -1, metadata: this.name })),
    )
  }

  async leave(): Promise<void> {
    await this.membership.close()
    await this.#cluster.close()
  }

  /** As if the process had been killed: the coordinator hears nothing any more. */
  async die(): Promise<void> {
    await this.#cluster.close()
    await eventually(() => this.failure !== undefined || undefined, {
      timeoutMs: 10_000,
      describe: () => `${this.name} notices\n${this.log.join('\n')}`,
    })
  }
}

function numbers(partitions: readonly TopicPartition[]): number[] {
  return partitions.map(({ partition }) => partition)
}

class Group {
  readonly target: MemberTarget
  readonly sdk: SdkMember[] = []
  readonly others: Members
  readonly #left = new Set<object>()
  readonly #t: Test

  constructor(t: Test, target: MemberTarget) {
    this.#t = t
    this.target = target
    this.others = new Members(t, target)
    t.teardown(() => Promise.all(this.sdk.map((each) => each.leave())))
  }

  join(options: Options): SdkMember {
    const member = new SdkMember(this.sdk, this.target, options)
    this.sdk.push(member)
    return member
  }

  java(settings: MemberSettings): ReturnType<Members['start']> {
    return this.others.start('java', settings)
  }

  async leave(member: { leave(): Promise<void> }): Promise<void> {
    this.#left.add(member)
    await member.leave()
  }

  gone(member: object): void {
    this.#left.add(member)
  }

  /** Waits until those who are in it own everything, each partition once, evenly. */
  async settled(count: number, timeoutMs = 30_000): Promise<void> {
    const inside = (): readonly { partitions: Set<number> }[] =>
      [...this.sdk, ...this.others.all].filter((each) => !this.#left.has(each))
    const isSettled = (): true | undefined => {
      const sizes = inside().map(({ partitions }) => partitions.size)
      const owned = new Set(inside().flatMap(({ partitions }) => [...partitions]))
      const total = sizes.reduce((sum, size) => sum + size, 0)
      if (total !== count || owned.size !== count) return undefined
      return Math.max(...sizes) - Math.min(...sizes) <= 1 || undefined
    }
    await eventually(isSettled, {
      timeoutMs,
      describe: () =>
        [
          ...this.sdk.map(({ name, log }) => `${name}\n${log.join('\n')}`),
          ...this.others.all.map(({ name, log }) => `${name}\n${log}`),
        ].join('\n'),
    })
    for (const { problems, name } of this.sdk) this.#t.same(problems, [], name)
  }
}

const kinds: readonly Options[] = [
  { protocol: 'classic' },
  { protocol: 'classic', assignors: ['range'] },
  { protocol: 'classic', assignors: ['roundrobin'] },
  { protocol: 'classic', assignors: ['sticky'] },
  { protocol: 'classic', assignors: ['range', 'cooperative-sticky'] },
  { protocol: 'consumer' },
  { protocol: 'consumer', serverAssignor: 'range' },
]

const nameOf = ({ protocol, assignors, serverAssignor }: Options): string =>
  [protocol, assignors?.join('+') ?? serverAssignor ?? ''].join(' ').trimEnd()

for (const options of kinds) {
  await t.test(`${nameOf(options)}: members come, leave and die`, async (t) => {
    const group = new Group(t, await fixture.target(6))
    const first = group.join(options)
    await group.settled(6)
    const second = group.join(options)
    const third = group.join(options)
    await group.settled(6)
    const isIncremental = options.assignors === undefined && options.serverAssignor === undefined
    if (isIncremental) t.equal(first.revoked.length, 4, 'gives up what moves, no more')

    await second.commit(second.membership.assignment, 42)
    const committed = await first.membership.committed(second.membership.assignment)
    t.same(
      committed.map(({ offset }) => offset),
      [42, 42],
    )
    const stranger = first.commit(second.membership.assignment, 1)
    await t.rejects(stranger, { code: 'NOT_ASSIGNED' })

    await group.leave(second)
    await group.settled(6)
    group.gone(third)
    await third.die()
    const diedMs = performance.now()
    await group.settled(6)
    const tookMs = performance.now() - diedMs
    t.ok(tookMs < sessionMs + 2000, `taken over after ${tookMs.toFixed()} ms`)
    if (isIncremental) t.equal(first.revoked.length, 4, 'what stays is never interrupted')
    const before = first.revoked.length
    await group.leave(first)
    t.equal(first.revoked.length, before + 6)
    const offsets = await fixture.committed(group.target)
    t.same(offsets, [1, 1, 1, 1, 1, 1], 'what was revoked was committed')
  })
}

for (const assignor of ['range', 'roundrobin', 'sticky', 'cooperative-sticky'] as const) {
  for (const leader of ['java', 'sdk'] as const) {
    await t.test(`java and sdk, ${assignor}: one group that ${leader} leads`, async (t) => {
      const group = new Group(t, await fixture.target(6))
      const options: Options = { protocol: 'classic', assignors: [assignor] }
      const java = (): void => void group.java({ assignor })
      const sdk = (): void => void group.join(options)
      const [begin, join] = leader === 'java' ? [java, sdk] : [sdk, java]
      begin()
      await group.settled(6)
      join()
      await group.settled(6)
      sdk()
      await group.settled(6)
      await group.leave(group.sdk[0]!)
      await group.settled(6)
      await group.leave(group.others.all[0]!)
      await group.settled(6)
    })
  }
}

await t.test('java and sdk: one KIP-848 group', async (t) => {
  const group = new Group(t, await fixture.target(6))
  group.java({ protocol: 'consumer' })
  await group.settled(6)
  group.join({ protocol: 'auto' })
  group.join({ protocol: 'consumer' })
  await group.settled(6)
  await group.leave(group.others.all[0]!)
  await group.settled(6)
})

await t.test('migration: a classic group of Java takes in a KIP-848 member', async (t) => {
  const group = new Group(t, await fixture.target(6))
  group.java({ assignor: 'cooperative-sticky' })
  await group.settled(6)
  const modern = group.join({ protocol: 'auto' })
  group.join({ protocol: 'classic' })
  await group.settled(6)
  await group.leave(modern)
  await group.settled(6)
})

for (const protocol of ['classic', 'consumer'] as const) {
  await t.test(`${protocol}: a static member comes back to what it had`, async (t) => {
    const group = new Group(t, await fixture.target(6))
    const first = group.join({ protocol, instanceId: 'one', sessionTimeoutMs: 10_000 })
    const second = group.join({ protocol, instanceId: 'two', sessionTimeoutMs: 10_000 })
    await group.settled(6)
    const had = [...second.partitions].sort((a, b) => a - b)
    const log = first.log.length
    await group.leave(second)
    await pause(2 * heartbeatMs)
    const again = group.join({ protocol, instanceId: 'two', sessionTimeoutMs: 10_000 })
    await group.settled(6)
    t.same(
      [...again.partitions].sort((a, b) => a - b),
      had,
    )
    t.same(first.log.slice(log), [], 'the other one notices nothing')
  })

  await t.test(`${protocol}: topics and partitions that come later`, async (t) => {
    const group = new Group(t, await fixture.target(2))
    const { topic } = group.target
    const pattern = `${topic.replace('topic', '(?:topic|late)')}`
    const late = `late-${topic.slice('topic-'.length)}`
    const member = group.join({
      protocol,
      metadataMaxAgeMs: 500,
      subscription: { kind: 'pattern', pattern },
    })
    await group.settled(2)
    const cluster = connect()
    t.teardown(() => cluster.close())
    const admin = new Admin(cluster)
    await admin.createTopic({ name: late, partitions: 1 })
    await eventually(
      () => member.membership.assignment.some((each) => each.topic === late) || undefined,
      { timeoutMs: 60_000, describe: () => member.log.join('\n') },
    )
    const waiting = group.join({
      protocol,
      subscription: { kind: 'topics', topics: [`${late}-not-yet`] },
    })
    await pause(1000)
    await admin.createTopic({ name: `${late}-not-yet`, partitions: 1 })
    await eventually(() => waiting.partitions.size === 1 || undefined, {
      timeoutMs: 60_000,
      describe: () => waiting.log.join('\n'),
    })
    t.same(member.revoked, [])
  })
}

await t.test('coordinator: killed and back in the middle of a rebalance', async (t) => {
  const folder = temporaryDirectory('sdk-coordinator')
  const options = {
    dataDirectory: join(folder.path, 'data'),
    properties: groupProperties,
    port: await freePort(),
  }
  let server = await startServer(options)
  t.teardown(async () => {
    await server.stop()
    folder.remove()
  })
  for (const protocol of ['classic', 'consumer'] as const) {
    const target = { brokers: server.address, group: protocol, topic: protocol }
    const cluster = connect(server.address)
    await new Admin(cluster).createTopic({ name: protocol, partitions: 6 })
    await cluster.close()
    const group = new Group(t, target)
    const member = { protocol, sessionTimeoutMs: 6000 }
    const first = group.join(member)
    await group.settled(6)
    await first.commit(first.membership.assignment, 42)
    group.join(member)
    await eventually(() => first.revoked.length > 0 || undefined, {
      timeoutMs: 20_000,
      describe: () => first.log.join('\n'),
    })
    await server.kill()
    await pause(500)
    server = await startServer(options)
    await group.settled(6, 60_000)
    group.join(member)
    await group.settled(6)
    const places = [...first.partitions].map((partition) => ({ topic: protocol, partition }))
    const offsets = (await first.membership.committed(places)).map(({ offset }) => offset)
    t.equal(offsets.length, 2)
    t.ok(offsets.every((offset) => offset === 42 || offset === 1))
    for (const each of group.sdk) t.equal(each.failure, undefined)
    for (const each of group.sdk) await group.leave(each)
  }
})
