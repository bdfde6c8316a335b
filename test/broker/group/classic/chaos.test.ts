// Clients that do anything at any time: no request ever finds a state that the group can't handle (assertions stop the
// process), everybody is answered in the end, no two members are told different things of one generation, and the record
// of a generation is what its members are told.
import t from 'tap'
import type { JoinAnswer, SyncAnswer } from '../../../../broker/group/classic/classic-api.ts'
import { ClassicGroup } from '../../../../broker/group/classic/classic-group.ts'
import { deferred, type Deferred } from '../../../../base/deferred.ts'
import { errors, type ErrorInfo } from '../../../../protocol/errors.ts'
import { SeededRandom } from '../../../support/seeded-random.ts'
import { GroupUnderTest, joinRequest, Pending, TestConnection } from './group-under-test.ts'

const stepCount = 1000

/** One client: what it believes, and what it waits for. */
interface Client {
  memberId: string
  generation: number
  readonly instance: string | null
  readonly version: number
  connection: TestConnection
  join: Pending<JoinAnswer> | undefined
  sync: Pending<SyncAnswer> | undefined
}

class Chaos {
  readonly test = new GroupUnderTest({ groupMaxSize: 6, groupInitialRebalanceDelayMs: 500 })
  readonly #clients: Client[]
  readonly #random: SeededRandom
  readonly #commits: Deferred<ErrorInfo | undefined>[] = []
  /** By generation: who leads it, with which protocol. */
  readonly #generations = new Map<number, string>()
  answers = 0
  stable = 0

  constructor(seed: number) {
    this.#random = new SeededRandom(seed)
    const instances = [null, null, null, null, 'a', 'a', 'b', null]
    this.#clients = instances.map((instance, index) => ({
      memberId: '',
      generation: -1,
      instance,
      version: index === 3 ? 2 : 9 - (index % 2),
      connection: new TestConnection(),
      join: undefined,
      sync: undefined,
    }))
  }

  async run(): Promise<void> {
    for (let step = 0; step < stepCount; step++) {
      this.#act(this.#random.pick(this.#clients))
      await this.test.pass(this.#random.pick([0, 0, 1, 50, 100, 1000]))
      for (const client of this.#clients) this.#hear(client)
      if (this.#random.below(4) === 0) this.#settleCommits()
      if (this.#random.below(100) === 0) this.#reload()
    }
    this.#settleCommits()
    this.test.group.close(errors.notCoordinator)
    await this.test.pass(0)
    for (const client of this.#clients) {
      this.#hear(client)
      t.equal(client.join ?? client.sync, undefined, 'everybody is answered')
      t.equal(client.connection.waiting, 0, 'nobody is left with a connection')
    }
  }

  /** Mostly what an honest client would do next, so that generations come about. */
  #act(client: Client): void {
    if (this.#random.chance(0.85)) {
      const { memberId, generation } = client
      const beat = this.test.heartbeat(memberId, {
        generation,
        ...(client.instance === null ? {} : { instance: client.instance }),
      })
      if (beat === 'NONE') this.#sync(client)
      else this.#join(client)
      return
    }
    switch (this.#random.below(12)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return this.#join(client)
      case 4:
      case 5:
      case 6:
        return this.#sync(client)
      case 7:
        client.connection.close()
        client.connection = new TestConnection()
        client.join = client.sync = undefined
        return
      case 8:
        this.test.leave(client.memberId, client.instance ?? undefined)
        return
      case 9:
        client.memberId = ''
        return
      case 10:
        this.test.failure = this.#random.below(8) === 0 ? errors.unknownServerError : undefined
        return
      default:
        this.test.heartbeat(client.memberId, { generation: client.generation })
        this.test.commit(client.memberId, { generation: client.generation })
        this.test.group.describe()
    }
  }

  #join(client: Client): void {
    if (client.join !== undefined || client.sync !== undefined) return
    client.join = new Pending(
      this.test.group.joinClassic(
        joinRequest({
          memberId: client.memberId,
          ...(client.instance === null ? {} : { instance: client.instance }),
          version: client.version,
          protocols: this.#random.pick([['x', 'y'], ['y', 'x'], ['y'], ['z', 'y']]),
          topics: this.#random.pick([['one'], ['one'], ['two']]),
          sessionTimeoutMs: this.#random.pick([6000, 30_000]),
          rebalanceTimeoutMs: this.#random.pick([0, 1000, 20_000]),
          connection: client.connection,
        }),
      ),
    )
  }

  #sync(client: Client): void {
    if (client.join !== undefined || client.sync !== undefined) return
    const { memberId, generation } = client
    const told = Buffer.from(`${generation}`)
    const ids = Array.from(this.test.group.members, (member) => member.memberId)
    client.sync = new Pending(
      this.test.group.syncClassic({
        memberId,
        groupInstanceId: client.instance,
        generation,
        protocolType: null,
        protocol: null,
        assignments: new Map(ids.map((id) => [id, told])),
        connection: client.connection,
      }),
    )
  }

  #hear(client: Client): void {
    if (client.join?.settled === true) {
      const answer = client.join.answer
      client.join = undefined
      if (answer !== undefined) this.#joined(client, answer)
    }
    if (client.sync?.settled === true) {
      const answer = client.sync.answer
      client.sync = undefined
      if (answer?.error === errors.none) {
        this.stable++
        const text = answer.assignment.toString()
        t.ok(text === '' || text === `${client.generation}`, 'of its own generation')
        if (text !== '') this.#checkRecorded(client)
      }
    }
  }

  #joined(client: Client, answer: JoinAnswer): void {
    this.answers++
    if (answer.error === errors.none || answer.error === errors.memberIdRequired) {
      client.memberId = answer.memberId
    } else if (answer.error !== errors.rebalanceInProgress) client.memberId = ''
    if (answer.error !== errors.none) return
    client.generation = answer.generation
    const known = this.#generations.get(answer.generation) ?? answer.protocol ?? ''
    t.equal(answer.protocol, known, 'one protocol in a generation')
    this.#generations.set(answer.generation, known)
    const isLeader = answer.leader === answer.memberId
    t.equal(answer.members.length > 0, isLeader, 'the leader knows the members')
  }

  #checkRecorded(client: Client): void {
    const recorded = this.test.written.some(
      ({ value }) =>
        value?.generation === client.generation &&
        value.members.some(({ assignment }) => assignment.toString() === `${client.generation}`),
    )
    t.ok(recorded, 'what is told was written')
  }

  #settleCommits(): void {
    for (const commit of this.#commits.splice(0)) commit.resolve(undefined)
    this.test.holds = undefined
    if (this.#random.below(2) === 0) this.#commits.push((this.test.holds = deferred()))
  }

  /** Another coordinator takes over with what was written. */
  #reload(): void {
    const record = this.test.written.at(-1)
    if (record === undefined) return
    this.test.group.close(errors.notCoordinator)
    this.test.group = ClassicGroup.restore(this.test.host, record)
    this.test.group.loaded()
    // A generation that was not stored is counted again.
    this.#generations.clear()
  }
}

const seeds = process.env['SEED'] === undefined ? [1, 2, 3, 4, 5, 6] : [Number(process.env['SEED'])]
for (const seed of seeds) {
  t.test(`chaos: seed ${seed}`, async (t) => {
    const chaos = new Chaos(seed)
    await chaos.run()
    t.ok(chaos.answers > 20, `${chaos.answers} joins answered`)
    t.ok(chaos.stable > 10, `${chaos.stable} assignments told`)
  })
}
