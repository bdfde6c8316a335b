// Members of classic consumer groups, as fast as a member can be: what is measured is the coordinator.
import { once } from 'node:events'
import * as net from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { decodeResponse, encodeRequest } from '../../protocol/headers.ts'
import { FindCoordinator } from '../../protocol/messages/find-coordinator.ts'
import { Heartbeat } from '../../protocol/messages/heartbeat.ts'
import { JoinGroup } from '../../protocol/messages/join-group.ts'
import { LeaveGroup } from '../../protocol/messages/leave-group.ts'
import { OffsetCommit } from '../../protocol/messages/offset-commit.ts'
import { OffsetFetch } from '../../protocol/messages/offset-fetch.ts'
import { SyncGroup } from '../../protocol/messages/sync-group.ts'
import type { AnyApi, RequestInputOf, ResponseOf } from '../../protocol/schema/api.ts'
import { Answers } from './answers.ts'
import type { Leader } from './topics.ts'

/** Before version 4 a member needs no second request to get its id. */
const joinVersion = 3
const syncVersion = 2
const heartbeatVersion = 2
const leaveVersion = 2
const commitVersion = 7
const fetchVersion = 7
const coordinatorVersion = 2
const rebalanceInProgress = 27
const heartbeatEveryMs = 5
const coordinatorWithinMs = 60_000
const timeouts = { sessionTimeoutMs: 30_000, rebalanceTimeoutMs: 30_000 }
/** Of the consumer protocol, version 0: one topic named `t`, no user data. Kafka's coordinator reads it. */
const subscription = Buffer.from('00000000000100' + '0174' + 'ffffffff', 'hex')
/** Version 0, no partitions, no user data: nobody here reads records. */
const assignment = Buffer.from('000000000000ffffffff', 'hex')

/** Requests and answers in turn. */
export class Conversation {
  readonly #socket: net.Socket
  readonly #waiting: {
    readonly api: AnyApi
    readonly version: number
    resolve(frame: Buffer): void
    reject(error: Error): void
  }[] = []

  private constructor(socket: net.Socket) {
    this.#socket = socket
    const answers = new Answers((bytes, at, size) =>
      this.#waiting.shift()?.resolve(Buffer.from(bytes.subarray(at, at + size))),
    )
    socket.on('data', (chunk) => answers.receive(chunk))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      for (const each of this.#waiting.splice(0))
        each.reject(new Error('The server closed a connection'))
    })
  }

  static async open({ host, port }: Leader): Promise<Conversation> {
    const socket = net.connect({ host, port, noDelay: true })
    await once(socket, 'connect')
    return new Conversation(socket)
  }

  async ask<A extends AnyApi>(
    api: A,
    version: number,
    request: RequestInputOf<A>,
  ): Promise<ResponseOf<A>> {
    const frame = await new Promise<Buffer>((resolve, reject) => {
      this.#waiting.push({ api, version, resolve, reject })
      this.#socket.write(encodeRequest(api, version, 1, 'bench', request).finish())
    })
    return decodeResponse(api, version, frame).response
  }

  close(): void {
    this.#socket.destroy()
  }
}

/** Returns when the coordinator of the group serves, which for the first one means that its log was created. */
export async function findCoordinator(at: Leader, groupId: string): Promise<void> {
  const conversation = await Conversation.open(at)
  const deadlineMs = performance.now() + coordinatorWithinMs
  try {
    for (;;) {
      const request = { key: groupId, keyType: 0 }
      const { errorCode } = await conversation.ask(FindCoordinator, coordinatorVersion, request)
      const ready = errorCode === 0 && (await fetchCommitted(conversation, groupId)) === 0
      if (ready) return
      if (performance.now() > deadlineMs) throw new Error(`No coordinator: error ${errorCode}`)
      await pause(heartbeatEveryMs)
    }
  } finally {
    conversation.close()
  }
}

/** Gives the error code. */
async function fetchCommitted(conversation: Conversation, groupId: string): Promise<number> {
  const request = { groupId, topics: null, requireStable: false }
  const { errorCode } = await conversation.ask(OffsetFetch, fetchVersion, request)
  return errorCode
}

export class Member {
  readonly #groupId: string
  readonly #conversation: Conversation
  #memberId = ''
  #generation = -1
  #isLeaving = false
  #heart: Promise<void> | undefined
  #settled: (generation: number) => void = () => undefined

  private constructor(groupId: string, conversation: Conversation) {
    this.#groupId = groupId
    this.#conversation = conversation
  }

  /** Resolves when it has its first assignment; `failed` is called when it is thrown out later. */
  static async join(
    at: Leader,
    groupId: string,
    failed: (error: unknown) => void,
  ): Promise<Member> {
    const member = new Member(groupId, await Conversation.open(at))
    await member.#settle()
    member.#heart = member.#beat().catch(failed)
    return member
  }

  get generation(): number {
    return this.#generation
  }

  /** Resolves when it has the assignment of a later generation than this one. */
  settledAfter(generation: number): Promise<void> {
    if (this.#generation > generation) return Promise.resolve()
    return new Promise((resolve) => {
      this.#settled = (now) => {
        if (now > generation) resolve()
      }
    })
  }

  /** Before it leaves; others rebalance at once then. */
  async stopBeating(): Promise<void> {
    this.#isLeaving = true
    await this.#heart
  }

  async leave(): Promise<void> {
    await this.stopBeating()
    const request = { groupId: this.#groupId, memberId: this.#memberId }
    const { errorCode } = await this.#conversation.ask(LeaveGroup, leaveVersion, request)
    if (errorCode !== 0) throw new Error(`Leaving was answered with error ${errorCode}`)
    this.#conversation.close()
  }

  /** So many commits of the offsets 1, 2, ... one behind the other, some of them under way at once. */
  async commit(topic: string, count: number, underWay: number): Promise<void> {
    let next = 0
    const committer = async (): Promise<void> => {
      while (next < count) await this.#commitOne(topic, ++next)
    }
    await Promise.all(Array.from({ length: underWay }, committer))
  }

  async committed(topic: string): Promise<number> {
    const request = {
      groupId: this.#groupId,
      topics: [{ name: topic, partitionIndexes: [0] }],
      requireStable: false,
    }
    const { topics } = await this.#conversation.ask(OffsetFetch, fetchVersion, request)
    return Number(topics[0]?.partitions[0]?.committedOffset ?? -1)
  }

  async #commitOne(topic: string, committedOffset: number): Promise<void> {
    const partitions = [{ partitionIndex: 0, committedOffset, committedMetadata: '' }]
    const { topics } = await this.#conversation.ask(OffsetCommit, commitVersion, {
      ...this.#identity(),
      generationIdOrMemberEpoch: this.#generation,
      topics: [{ name: topic, partitions }],
    })
    const errorCode = topics[0]?.partitions[0]?.errorCode
    if (errorCode !== 0) throw new Error(`A commit was answered with error ${errorCode}`)
  }

  async #settle(): Promise<void> {
    const joined = await this.#conversation.ask(JoinGroup, joinVersion, {
      ...timeouts,
      groupId: this.#groupId,
      memberId: this.#memberId,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: subscription }],
    })
    if (joined.errorCode !== 0)
      throw new Error(`Joining was answered with error ${joined.errorCode}`)
    this.#memberId = joined.memberId
    const assignments = joined.members.map(({ memberId }) => ({ memberId, assignment }))
    const { errorCode } = await this.#conversation.ask(SyncGroup, syncVersion, {
      ...this.#identity(),
      generationId: joined.generationId,
      assignments,
    })
    // Somebody else came meanwhile.
    if (errorCode === rebalanceInProgress) return this.#settle()
    if (errorCode !== 0) throw new Error(`A sync was answered with error ${errorCode}`)
    this.#generation = joined.generationId
    this.#settled(joined.generationId)
  }

  async #beat(): Promise<void> {
    while (!this.#isLeaving) {
      await pause(heartbeatEveryMs)
      const request = { ...this.#identity(), generationId: this.#generation }
      const { errorCode } = await this.#conversation.ask(Heartbeat, heartbeatVersion, request)
      if (errorCode === rebalanceInProgress) await this.#settle()
      else if (errorCode !== 0) throw new Error(`A heartbeat was answered with error ${errorCode}`)
    }
  }

  #identity(): { groupId: string; memberId: string } {
    return { groupId: this.#groupId, memberId: this.#memberId }
  }
}
