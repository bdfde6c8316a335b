// Single messages to and from brokers of other kinds: what a generator is asked, and who does it.
import type { Leader } from './topics.ts'

export interface MessageJob extends Leader {
  readonly kind: 'messages'
  readonly protocol: 'nats' | 'redis'
  readonly action: 'publish' | 'consume'
  /** Publishing makes it. */
  readonly stream: string
  /** Published, or expected. */
  readonly count: number
  /** Sent in turn. */
  readonly payloads: readonly Uint8Array[]
  /** Messages without an acknowledgement at most; when consuming, asked for at a time. */
  readonly window: number
}

export interface MessageResult {
  readonly elapsedMs: number
  /** Of all payloads that came, by load/checksum.ts; nothing when publishing. */
  readonly checksum: string
}

export async function prepareMessages(job: MessageJob): Promise<() => Promise<MessageResult>> {
  if (job.protocol === 'nats') {
    const { prepareNats } = await import('./nats-messages.ts')
    return prepareNats(job)
  }
  const { prepareRedis } = await import('./redis-messages.ts')
  return prepareRedis(job)
}

/** Takes bytes as they come; cuts off what it understood. */
export interface Parser {
  /** Gives where the next byte is that was not understood yet. */
  take(bytes: Buffer): number
}

/** Feeds a parser; keeps what it leaves. */
export class Unparsed {
  #rest: Buffer = Buffer.alloc(0)
  readonly #parser: Parser

  constructor(parser: Parser) {
    this.#parser = parser
  }

  received(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const at = this.#parser.take(bytes)
    this.#rest = at === bytes.length ? Buffer.alloc(0) : Buffer.from(bytes.subarray(at))
  }
}
