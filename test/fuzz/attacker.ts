/** Sends inputs over many connections at once, several per connection while the broker keeps it open. */
import { encodeRequest } from '../../protocol/headers.ts'
import { ApiVersions } from '../../protocol/messages/api-versions.ts'
import { Fetch } from '../../protocol/messages/fetch.ts'
import { Random } from '../clients/random.ts'
import type { Input, InputGenerator } from './inputs.ts'
import { answerFault, Wire } from './wire.ts'

export interface AttackOptions {
  readonly host: string
  readonly port: number
  readonly generator: InputGenerator
  readonly seed: number
  readonly firstIndex: number
  readonly inputCount: number
  readonly connections: number
  /** Keeps going while this says so. */
  readonly alive: () => boolean
}

export interface AttackReport {
  /** Inputs that the broker answered, or closed the connection for, or that were cut on purpose. */
  sent: number
  answered: number
  closed: number
  /** Neither an answer nor a close within the time: a wait that was asked for, or a hang. */
  silent: number
  connections: number
  readonly faults: string[]
}

/** A Fetch may ask for a long wait: after this long the attacker leaves. */
const answerTimeoutMs = 300
/** A step of a fetch session asks for no wait. */
const sessionTimeoutMs = 5000
const silenceMsMax = 50
const perConnectionMax = 16
const faultsMax = 50

/** Correlation id of the request behind a group of inputs that shows that the connection lives. */
const sentinelId = -7
const sentinel = encodeRequest(ApiVersions, 0, sentinelId, 'fuzz', {}).finish()

export class Attacker {
  readonly report: AttackReport = {
    sent: 0,
    answered: 0,
    closed: 0,
    silent: 0,
    connections: 0,
    faults: [],
  }
  /** The newest inputs, for the diagnosis of a crash. */
  readonly recent: Input[] = []
  readonly #options: AttackOptions
  readonly #waiting: Input[] = []
  #nextIndex: number

  constructor(options: AttackOptions) {
    this.#options = options
    this.#nextIndex = options.firstIndex
  }

  async run(): Promise<void> {
    const workers = Array.from({ length: this.#options.connections }, (_, worker) =>
      this.#work(new Random(this.#options.seed + worker)),
    )
    await Promise.all(workers)
  }

  async #work(random: Random): Promise<void> {
    const { host, port, alive } = this.#options
    for (;;) {
      const group = this.#take(1 + random.below(perConnectionMax))
      if (group.length === 0 || !alive()) return
      this.report.connections++
      const wire = new Wire(host, port, `127.0.${1 + random.below(4)}.${1 + random.below(250)}`)
      const done = await this.#converse(wire, group, random)
      // What the broker never got to see goes to another connection. At least one was seen.
      this.#waiting.push(...group.slice(Math.max(1, done)))
      this.report.sent += Math.max(1, done)
    }
  }

  /** A group that shares a connection: an input with its own end is always the last one. */
  #take(count: number): Input[] {
    const group: Input[] = []
    const end = this.#options.firstIndex + this.#options.inputCount
    while (group.length < count) {
      let input = this.#waiting.pop()
      if (input === undefined && this.#nextIndex < end) {
        input = this.#options.generator.input(this.#nextIndex++)
      }
      if (input === undefined) break
      // A spoiled header can bear a neighbour's correlation id: answers would be taken for each other's.
      if (group.some((other) => correlationId(other) === correlationId(input))) {
        this.#waiting.push(input)
        break
      }
      group.push(input)
      this.recent.push(input)
      if (input.after !== 'answer' || input.conversation !== undefined) break
    }
    if (this.recent.length > 2000) this.recent.splice(0, 1000)
    return group
  }

  /** How many inputs of the group the broker dealt with. */
  async #converse(wire: Wire, group: readonly Input[], random: Random): Promise<number> {
    const last = group.at(-1)!
    if (last.conversation === 'fetch-session') {
      for (const { bytes } of group) wire.send(bytes)
      wire.send(sentinel)
      const done = await this.#answers(wire, group)
      if (wire.end === 'open') await this.#fetchSession(wire, last, random)
      wire.destroy()
      return done
    }
    wire.send(Buffer.concat(group.map(({ bytes }) => bytes)))
    if (last.after === 'answer') wire.send(sentinel)
    const done = await this.#answers(wire, group)
    if (random.chance(0.2)) wire.finish()
    else wire.destroy()
    return done
  }

  async #answers(wire: Wire, group: readonly Input[]): Promise<number> {
    const endsSilent = group.at(-1)!.after !== 'answer'
    const timeoutMs = endsSilent ? silenceMsMax : answerTimeoutMs
    for (let done = 0; ;) {
      if (endsSilent && done >= group.length - 1) {
        if (group.at(-1)!.after === 'silence') await wire.receive(timeoutMs)
        return group.length
      }
      const frame = await wire.receive(timeoutMs)
      if (frame === undefined) {
        if (wire.end === 'closed') this.report.closed++
        else this.report.silent++
        return done + 1
      }
      if (frame.readInt32BE(0) === sentinelId) return group.length
      // A request without an answer (acks=0) makes the answers fewer: match by correlation id.
      while (done < group.length && correlationId(group[done]!) !== frame.readInt32BE(0)) done++
      const input = group[done]
      if (input === undefined) {
        this.#fault(
          group[0]!,
          `an answer to nothing that was asked: ${frame.toString('hex', 0, 40)}`,
        )
        return group.length
      }
      this.report.answered++
      const fault = answerFault(input.bytes, frame)
      if (fault !== undefined) this.#fault(input, fault)
      done++
    }
  }

  /** Opens a session, goes on with right and wrong epochs and ids, forgets topics, closes it or not. */
  async #fetchSession(wire: Wire, input: Input, random: Random): Promise<void> {
    const version = 7 + random.below(5) // By topic name.
    let sessionId = 0
    let sessionEpoch = 0
    for (let step = 0; step < 2 + random.below(6); step++) {
      const topics = Array.from({ length: random.below(3) }, () => fetchTopic(random))
      const forgotten = random.chance(0.3)
        ? [{ topic: 'fuzz-0', partitions: [random.below(4)] }]
        : []
      const request = {
        replicaId: -1,
        maxWaitMs: 0,
        minBytes: 0,
        maxBytes: 65_536,
        isolationLevel: 0,
        sessionId: random.chance(0.9) ? sessionId : random.bits() | 0,
        sessionEpoch: random.chance(0.85)
          ? sessionEpoch
          : random.pick([-1, 0, 5, 2147483647, -2147483648]),
        topics,
        forgottenTopicsData: forgotten,
        rackId: '',
      }
      const frame = encodeRequest(Fetch, version, step, 'fuzz', request).finish()
      wire.send(frame)
      const answer = await wire.receive(sessionTimeoutMs)
      if (answer === undefined) {
        this.#fault(input, `no answer in step ${step} of a fetch session (${wire.end})`)
        return
      }
      const fault = answerFault(frame, answer)
      if (fault !== undefined) this.#fault(input, fault)
      // Correlation id, throttle time, error code, session id.
      if (answer.readInt16BE(8) === 0) sessionId = answer.readInt32BE(10)
      sessionEpoch = sessionEpoch === 2147483647 ? 1 : sessionEpoch + 1
    }
  }

  #fault(input: Input, what: string): void {
    if (this.report.faults.length >= faultsMax) return
    const bytes = input.bytes.toString('hex', 0, 400)
    this.report.faults.push(`input ${input.index} (${input.description}): ${what}\n  ${bytes}`)
  }
}

function correlationId({ bytes }: Input): number {
  return bytes.length < 12 ? NaN : bytes.readInt32BE(8)
}

function fetchTopic(random: Random) {
  return {
    topic: `fuzz-${random.below(5)}`,
    partitions: [
      {
        partition: random.below(4),
        currentLeaderEpoch: -1,
        fetchOffset: random.below(10),
        logStartOffset: -1,
        partitionMaxBytes: 10_000,
      },
    ],
  }
}
