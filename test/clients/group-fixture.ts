/** What the tests of consumer groups share: a broker with short timeouts, topics with records. */
import { join } from 'node:path'

import type { Test } from 'tap'

import { committedOffsets, createTopics } from './admin.ts'
import { GroupMember, hasGo, memberPrograms } from './group-member.ts'
import type { MemberProgram, MemberSettings, MemberTarget } from './group-member.ts'
import { temporaryDirectory } from './places.ts'
import { eventually, run } from './processes.ts'
import { startServer } from './server.ts'
import type { Server } from './server.ts'

/** The same short times under both protocols; KIP-848 has them on the broker. */
export const heartbeatMs = 300
export const sessionMs = 3000

export const groupProperties: Readonly<Record<string, string>> = {
  'group.initial.rebalance.delay.ms': '0',
  'group.min.session.timeout.ms': '500',
  'group.consumer.min.session.timeout.ms': '500',
  'group.consumer.session.timeout.ms': `${sessionMs}`,
  'group.consumer.min.heartbeat.interval.ms': '100',
  'group.consumer.heartbeat.interval.ms': `${heartbeatMs}`,
  'offsets.topic.num.partitions': '4',
}

export class GroupFixture {
  readonly server: Server
  readonly brokers: string
  readonly path: string
  #count = 0

  private constructor(server: Server, path: string) {
    this.server = server
    this.brokers = server.address
    this.path = path
  }

  /** Runs until the test ends. */
  static async start(t: Test, name: string): Promise<GroupFixture> {
    const folder = temporaryDirectory(name)
    const server = await startServer({
      dataDirectory: join(folder.path, 'data'),
      properties: groupProperties,
    })
    t.teardown(async () => {
      await server.stop()
      folder.remove()
    })
    return new GroupFixture(server, folder.path)
  }

  /** A new topic, and a group that has its name. */
  async target(partitionCount: number): Promise<MemberTarget> {
    const topic = `topic-${++this.#count}`
    await createTopics(this.brokers, [{ topic, numPartitions: partitionCount }])
    return { brokers: this.brokers, group: `group-${this.#count}`, topic }
  }

  async load(topic: string, count: number): Promise<void> {
    const input = Array.from({ length: count }, (_, number) => `${number}\n`).join('')
    // Else librdkafka fills one partition after another.
    const spread = ['-X', 'sticky.partitioning.linger.ms=0']
    await run('kcat', ['-P', '-b', this.brokers, '-t', topic, ...spread], { input })
  }

  committed({ group, topic }: MemberTarget): Promise<number[]> {
    return committedOffsets(this.brokers, group, topic)
  }
}

/** Starts members of one test, which are killed when it ends. */
export class Members {
  readonly all: GroupMember[] = []
  readonly #target: MemberTarget

  constructor(t: Test, target: MemberTarget) {
    this.#target = target
    t.teardown(() => Promise.all(this.all.map((member) => member.kill())))
  }

  start(program: MemberProgram, settings: MemberSettings = {}): GroupMember {
    const times =
      settings.protocol === 'consumer' ? {} : { session: sessionMs, heartbeat: heartbeatMs }
    const name = `${this.all.length} ${program}`
    const member = new GroupMember(
      memberPrograms[program],
      this.#target,
      { ...times, ...settings },
      { name },
    )
    this.all.push(member)
    return member
  }

  /** Without franz-go where Go is missing. */
  startAll(programs: readonly MemberProgram[], settings: MemberSettings): GroupMember[] {
    return programs
      .filter((program) => program !== 'franz-go' || hasGo)
      .map((program) => this.start(program, settings))
  }

  /** Waits until they processed `count` different records between them. */
  async processed(count: number): Promise<void> {
    const different = (): number =>
      new Set(
        this.all.flatMap(({ records }) =>
          records.map(({ partition, offset }) => `${partition}/${offset}`),
        ),
      ).size
    await eventually(() => different() >= count || undefined, {
      timeoutMs: 30_000,
      describe: () =>
        `${different()} of ${count} records processed\n` +
        this.all.map(({ name, log }) => `${name}\n${log}`).join('\n'),
    })
  }
}
