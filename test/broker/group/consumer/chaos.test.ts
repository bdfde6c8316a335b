// Goal: no partition ever has two owners, nothing is lost by a restart, and groups come to rest. Method: members that
// join, leave, freeze, dawdle and change places while topics come, grow and go and the coordinator dies.
import t, { type Test } from 'tap'
import type { MetadataRecord } from '../../../../protocol/metadata-records/records.ts'
import type { GroupCalls } from '../../../support/group-calls.ts'
import { SeededRandom, testSeed } from '../../../support/seeded-random.ts'
import { coordinator, described, settle, TestMember } from './test-member.ts'

const steps = 100
const sessionMs = 45_000
const topicNames = ['a', 'b', 'c-1', 'c-2']
const subscriptions: readonly { topics: readonly string[] | null; regex: string | null }[] = [
  { topics: ['a', 'b', 'c-1', 'c-2'], regex: null },
  { topics: ['a', 'c-1'], regex: null },
  { topics: null, regex: 'c-.*' },
  { topics: ['b'], regex: 'c-\\d' },
]

class Chaos {
  readonly #t: Test
  readonly #calls: GroupCalls
  readonly #random: SeededRandom
  readonly #homogeneous: boolean
  readonly #members = new Map<string, TestMember>()
  /** Members whose process stopped for good, and when. */
  readonly #frozen = new Map<TestMember, number>()
  #count = 0

  constructor(t: Test, calls: GroupCalls, random: SeededRandom) {
    this.#t = t
    this.#calls = calls
    this.#random = random
    this.#homogeneous = random.chance(0.5)
  }

  get #nowMs(): number {
    return this.#calls.machine.env.clock.monotonicMs()
  }

  async step(): Promise<void> {
    const random = this.#random
    if (this.#members.size < 2 || (this.#members.size < 7 && random.chance(0.15))) this.#join()
    for (const [key, member] of this.#members) {
      if (random.chance(0.3)) member.prompt = !member.prompt
      if (member.prompt) member.release()
      await this.#beat(member)
      if (random.chance(0.03)) await this.#leave(key, member)
      else if (random.chance(0.02)) this.#freeze(key, member)
    }
    if (random.chance(0.05)) this.#changeTopics()
    if (random.chance(0.03)) await this.#restart()
    const ms = 500 + random.below(4000)
    await this.#calls.advance(ms)
    this.#check()
  }

  async rest(): Promise<void> {
    for (const member of this.#members.values()) member.prompt = true
    for (let round = 0; round < 20; round++) {
      for (const member of this.#members.values()) {
        member.release()
        await this.#beat(member)
      }
      await this.#calls.advance(5000)
    }
    this.#check()
    const group = await described(this.#calls)
    this.#t.equal(group.groupState, 'Stable')
    this.#t.equal(group.members.length, this.#members.size)
    const owned = [...this.#members.values()].flatMap((member) => member.names)
    const wanted = [...this.#members.values()].flatMap(({ options }) => [
      ...(options.topics ?? []),
      ...(options.regex == null ? [] : ['c-1', 'c-2']),
    ])
    const all = [...new Set(wanted)].flatMap((name) => {
      const partitions = this.#calls.image.topicsByName.get(name)?.partitions ?? []
      return partitions.map(({ index }) => `${name}:${index}`)
    })
    this.#t.strictSame(owned.sort(), all.sort(), 'each partition has one owner')
    if (!this.#homogeneous) return
    const sizes = [...this.#members.values()].map((member) => member.owned.size)
    this.#t.ok(Math.max(...sizes) - Math.min(...sizes) <= 1, 'evenly')
  }

  async #beat(member: TestMember): Promise<void> {
    const code = await member.beat()
    // Unknown or fenced: it gives everything up, and joins anew.
    if (code !== 0) member.forget()
    if (code !== 0 && code !== 25 && code !== 110 && code !== 111) this.#t.fail(`error ${code}`)
  }

  #join(): void {
    const random = this.#random
    const memberId = `member-${++this.#count}`
    const instanceId = random.chance(0.3) ? `instance-${this.#count}` : null
    const subscription = this.#homogeneous ? subscriptions[0]! : random.pick(subscriptions)
    const options = { memberId, instanceId, ...subscription, rebalanceTimeoutMs: 300_000 }
    this.#members.set(memberId, new TestMember(this.#calls, options))
  }

  async #leave(key: string, member: TestMember): Promise<void> {
    const { options } = member
    const comesBack = typeof options.instanceId === 'string' && this.#random.chance(0.7)
    const left = await member.leave(comesBack ? -2 : -1)
    // It was told nothing else if it had just been removed.
    if (left.errorCode !== 0) return
    this.#members.delete(key)
    if (!comesBack) return
    const memberId = `member-${++this.#count}`
    this.#members.set(memberId, new TestMember(this.#calls, { ...options, memberId }))
  }

  #freeze(key: string, member: TestMember): void {
    this.#members.delete(key)
    this.#frozen.set(member, this.#nowMs)
  }

  #changeTopics(): void {
    const { image } = this.#calls
    const name = this.#random.pick(topicNames)
    const topic = image.topicsByName.get(name)
    if (topic === undefined) {
      this.#calls.addTopic(name, 1 + this.#random.below(5))
    } else if (this.#random.chance(0.3)) {
      this.#calls.removeTopic(name)
    } else {
      const [like] = topic.partitions
      const partition = { ...like!, index: topic.partitions.length }
      const record: MetadataRecord = { type: 'partition', topicId: topic.id, ...partition }
      image.apply(image.offset + 1, [record])
    }
  }

  async #restart(): Promise<void> {
    const before = await described(this.#calls)
    await this.#calls.restart(this.#random.chance(0.5) ? 'kill' : 'power')
    const after = await described(this.#calls)
    const sorted = ({ members, ...group }: typeof before): object => ({
      ...group,
      members: members.toSorted((one, other) => (one.memberId < other.memberId ? -1 : 1)),
    })
    this.#t.strictSame(sorted(after), sorted(before), 'a restart changes nothing')
    // Their sessions begin anew.
    for (const member of this.#lingering()) this.#frozen.set(member, this.#nowMs)
  }

  /** Frozen members that the coordinator must still reckon with. */
  #lingering(): TestMember[] {
    const lingering = [...this.#frozen].filter(([, ms]) => this.#nowMs < ms + sessionMs)
    return lingering.map(([member]) => member)
  }

  #check(): void {
    const owners = new Map<string, string>()
    for (const member of [...this.#members.values(), ...this.#lingering()]) {
      for (const partition of member.owned) {
        const other = owners.get(partition)
        if (other !== undefined) {
          this.#t.fail(`${partition} belongs to ${other} and to ${member.memberId}`)
        }
        owners.set(partition, member.memberId)
      }
    }
  }
}

for (let run = 0; run < 4; run++) {
  const seed = testSeed(100) + run
  t.test(`chaos: seed ${seed}`, async (t) => {
    const properties = { 'offsets.topic.num.partitions': '1' }
    const calls = await coordinator(
      { a: 4, b: 3, 'c-1': 2, 'c-2': 5 },
      { seed, flushPolicy: 'ack', properties },
    )
    const chaos = new Chaos(t, calls, new SeededRandom(seed))
    for (let step = 0; step < steps; step++) await chaos.step()
    await chaos.rest()
  })
}

t.test('chaos: many members come to rest in few heartbeats', async (t) => {
  const calls = await coordinator({ topic: 100 })
  const members = Array.from(
    { length: 30 },
    (_, index) => new TestMember(calls, { memberId: `member-${index}` }),
  )
  await settle(members, 4)
  t.equal((await described(calls)).groupState, 'Stable')
  t.equal(
    members.reduce((sum, member) => sum + member.owned.size, 0),
    100,
  )
})
