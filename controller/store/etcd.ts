import type { Env } from '../../base/env.ts'
import { EtcdCallError, EtcdConnection, type TlsFiles } from './etcd-connection.ts'
import { explain, isLost, isSilence, isStaleToken } from './etcd-errors.ts'
import {
  compareEqual,
  targetModRevision,
  type EtcdMethods,
  type RequestOperation,
  type TxnRequest,
} from './etcd-messages.ts'
import {
  AmbiguousError,
  StoreError,
  type MetadataStore,
  type StoreComparison,
  type StoredRange,
  type StoredValue,
  type StoreOperation,
  type TransactionResult,
} from './metadata-store.ts'

export interface EtcdOptions {
  readonly env: Env
  /** Members of one cluster, HOST:PORT each. */
  readonly endpoints: readonly string[]
  /**
   * Absent: no TLS. Asked again after each failure, so that certificates can be renewed while this runs;
   * throws what is to be reported when files can't be read.
   */
  readonly tls?: () => TlsFiles
  readonly user?: { readonly name: string; readonly password: string }
}

/** A member that does not answer costs no more than this; a new leader takes longer, and the caller repeats. */
const transactionTimeoutMs = 400
/** Each transaction in a row that was not answered in time gives the next one twice as long, up to this. */
const slowTransactionTimeoutMs = 1600
const readTimeoutMs = 1200
const rangeTimeoutMs = 5000
const authenticationTimeoutMs = 2000
const retryDelayMs = 30
const attemptsPerEndpoint = 2
/** Then the connection may be one that the network has forgotten, which the kernel notices after many minutes only. */
const silentCallsMax = 3

interface Member {
  readonly endpoint: string
  connection: EtcdConnection
  tls: TlsFiles | undefined
  /** Calls in a row that were not answered in time. */
  silentCalls: number
}

/**
 * The store for many machines: a cluster of etcd (3.4 or later).
 *
 * A transaction is sent once: whether one without an answer was applied, only its caller can find out. One that is
 * answered late each time would be repeated for ever, so it is waited for longer after each silence.
 * Reads are linearizable, and repeated at other members. No leases and no watches.
 */
export class EtcdStore implements MetadataStore {
  readonly limits = { operationsMax: 120, transactionBytesMax: 1_048_576 }
  readonly #options: EtcdOptions
  readonly #members: Member[]
  #current: number
  #token: string | undefined
  #transactionTimeoutMs = transactionTimeoutMs

  constructor(options: EtcdOptions) {
    this.#options = options
    const tls = options.tls?.()
    this.#members = options.endpoints.map((endpoint) => ({
      endpoint,
      connection: new EtcdConnection(endpoint, tls),
      tls,
      silentCalls: 0,
    }))
    // Controllers spread over the members.
    this.#current = Math.floor(options.env.random.fraction() * this.#members.length)
  }

  async get(key: string): Promise<StoredValue | undefined> {
    const { kvs } = await this.#read('Range', { key: bytesOf(key) }, readTimeoutMs)
    const [found] = kvs
    if (found === undefined) return undefined
    return { value: found.value, revision: found.mod_revision }
  }

  async range(from: string, to: string, limit: number): Promise<StoredRange> {
    // To etcd an end that is no greater would mean something else.
    if (from >= to) return { entries: [], more: false }
    const request = { key: bytesOf(from), range_end: bytesOf(to), limit }
    const { kvs, more } = await this.#read('Range', request, rangeTimeoutMs)
    const entries = kvs.map(({ key, value, mod_revision: revision }) => ({
      key: key.toString(),
      value,
      revision,
    }))
    return { entries, more }
  }

  async transact(
    comparisons: readonly StoreComparison[],
    operations: readonly StoreOperation[],
  ): Promise<TransactionResult> {
    const request: TxnRequest = {
      compare: comparisons.map(({ key, revision }) => ({
        result: compareEqual,
        target: targetModRevision,
        key: bytesOf(key),
        mod_revision: revision,
      })),
      success: etcdOperations(operations),
    }
    try {
      const { succeeded, header } = await this.#call('Txn', request, this.#transactionTimeoutMs)
      this.#transactionTimeoutMs = transactionTimeoutMs
      return { ok: succeeded, revision: succeeded ? header.revision : '0' }
    } catch (error) {
      if (!(error instanceof EtcdCallError)) throw error
      if (isSilence(error)) {
        const doubled = 2 * this.#transactionTimeoutMs
        this.#transactionTimeoutMs = Math.min(doubled, slowTransactionTimeoutMs)
      }
      this.#turnToNext()
      if (!isLost(error)) throw this.#storeError(error)
      throw new AmbiguousError(`etcd did not answer: ${error.message}`, { cause: error })
    }
  }

  async backup(): Promise<void> {
    throw new StoreError('etcd makes its own copies: use etcdctl snapshot save', {
      code: 'ENOTSUP',
    })
  }

  async close(): Promise<void> {
    for (const { connection } of this.#members) connection.close()
  }

  async #read<M extends 'Range'>(
    method: M,
    request: EtcdMethods[M]['request'],
    timeoutMs: number,
  ): Promise<EtcdMethods[M]['response']> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#call(method, request, timeoutMs)
      } catch (error) {
        if (!(error instanceof EtcdCallError)) throw error
        this.#turnToNext()
        if (!isLost(error) || attempt >= attemptsPerEndpoint * this.#members.length) {
          throw this.#storeError(error)
        }
        await this.#pause()
      }
    }
  }

  /** Repeats only what etcd says it refused for an old token. */
  async #call<M extends keyof EtcdMethods>(
    method: M,
    request: EtcdMethods[M]['request'],
    timeoutMs: number,
  ): Promise<EtcdMethods[M]['response']> {
    if (this.#options.user !== undefined && this.#token === undefined) await this.#authenticate()
    const { token } = { token: this.#token }
    try {
      return await this.#send(method, request, { timeoutMs, token })
    } catch (error) {
      if (this.#options.user === undefined || !isStaleToken(error)) throw error
      if (this.#token === token) await this.#authenticate()
      return this.#send(method, request, { timeoutMs, token: this.#token })
    }
  }

  #send<M extends keyof EtcdMethods>(
    method: M,
    request: EtcdMethods[M]['request'],
    options: { readonly timeoutMs: number; readonly token: string | undefined },
  ): Promise<EtcdMethods[M]['response']> {
    const deadlineMs = this.#options.env.clock.wallMs() + options.timeoutMs
    const member = this.#member()
    const answer = member.connection.call(method, request, { deadlineMs, token: options.token })
    return answer.then(
      (response) => {
        member.silentCalls = 0
        return response
      },
      (error: unknown) => {
        if (isSilence(error)) member.silentCalls++
        else member.silentCalls = 0
        throw error
      },
    )
  }

  async #authenticate(): Promise<void> {
    const { user } = this.#options
    if (user === undefined) return
    const request = { name: user.name, password: user.password }
    const options = { timeoutMs: authenticationTimeoutMs, token: undefined }
    this.#token = (await this.#send('Authenticate', request, options)).token
  }

  #member(): Member {
    const member = this.#members[this.#current]
    if (member !== undefined) return member
    throw new StoreError('No endpoint of etcd is configured', { code: 'UNREACHABLE' })
  }

  /** After a failure: the next member, with the certificates as they are now. */
  #turnToNext(): void {
    this.#current = (this.#current + 1) % this.#members.length
    const member = this.#member()
    const tls = this.#options.tls?.()
    if (member.silentCalls < silentCallsMax && equalFiles(tls, member.tls)) return
    member.connection.close()
    member.connection = new EtcdConnection(member.endpoint, tls)
    member.tls = tls
    member.silentCalls = 0
  }

  #storeError(error: EtcdCallError): StoreError {
    return explain(error, this.#options.endpoints)
  }

  #pause(): Promise<void> {
    return new Promise((resolve) =>
      this.#options.env.timers.after(retryDelayMs, resolve, { holdsProcess: true }),
    )
  }
}

/**
 * etcd wants each key put once, and none that another operation of the transaction removes. So the last put of a key holds,
 * and a range that is removed before a put leaves its key out.
 */
export function etcdOperations(operations: readonly StoreOperation[]): RequestOperation[] {
  const puts = new Map<string, Uint8Array>()
  const removed: { from: string; to: string }[] = []
  for (const operation of operations) {
    if (operation.kind === 'put') {
      puts.set(operation.key, operation.value)
      continue
    }
    const range =
      operation.kind === 'removeRange'
        ? { from: operation.from, to: operation.to }
        : { from: operation.key, to: keyAfter(operation.key) }
    for (const key of puts.keys()) if (key >= range.from && key < range.to) puts.delete(key)
    removed.push(range)
  }
  const keys = [...puts.keys()].toSorted()
  return [
    ...removed.flatMap((range) => without(range, keys)).map(removal),
    ...Array.from(puts, ([key, value]) => ({ request_put: { key: bytesOf(key), value } })),
  ]
}

/** What is left of a range without single keys, which ascend. */
function without(
  range: { readonly from: string; readonly to: string },
  keys: readonly string[],
): { from: string; to: string }[] {
  const parts: { from: string; to: string }[] = []
  let { from } = range
  for (const key of keys) {
    if (key < from || key >= range.to) continue
    parts.push({ from, to: key })
    from = keyAfter(key)
  }
  parts.push({ from, to: range.to })
  return parts.filter((part) => part.from < part.to)
}

const removal = ({ from, to }: { from: string; to: string }): RequestOperation => ({
  request_delete_range: { key: bytesOf(from), range_end: bytesOf(to) },
})

/** The least key behind this one. */
function keyAfter(key: string): string {
  return `${key}\0`
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text)
}

function equalFiles(one: TlsFiles | undefined, other: TlsFiles | undefined): boolean {
  const same = (a: Buffer | undefined, b: Buffer | undefined): boolean =>
    a === undefined || b === undefined ? a === b : a.equals(b)
  return (
    same(one?.ca, other?.ca) &&
    same(one?.certificate, other?.certificate) &&
    same(one?.key, other?.key)
  )
}
