import { assert, AssertionError } from '../../base/assert.ts'
import { deferred } from '../../base/deferred.ts'
import type { Env, Timer } from '../../base/env.ts'
import type { Logger } from '../../base/logger.ts'
import type { Uuid } from '../../base/uuid.ts'
import type { BrokerRegistration } from '../../controller/brokers.ts'
import type { ConfigChange, ConfigReplacement } from '../../controller/configs.ts'
import type {
  AlteredPartition,
  AlterPartitionsRequest,
  AlterReassignmentsRequest,
  BrokerHeartbeat,
  ControllerLink,
  ElectedLeaders,
  ElectLeadersRequest,
  HeartbeatAnswer,
  MetadataListener,
  ProducerIdBlock,
  QuorumDescription,
  UpdateFeaturesRequest,
  Validation,
} from '../../controller/controller-link.ts'
import { refuse, type Outcome } from '../../controller/outcome.ts'
import { operations, type Operation } from '../../controller/rpc/operations.ts'
import type { CreatedTopic, NewPartitions, NewTopic } from '../../controller/topics.ts'
import { errors } from '../../protocol/errors.ts'
import type { ConfigRecord, MetadataRecord } from '../../protocol/metadata-records/records.ts'
import { parseHostAndPort, type HostAndPort } from '../cluster-properties.ts'
import { ClusterImage } from '../metadata/image.ts'
import { ControllerConnection, type ConnectionEnd, type SentAway } from './controller-connection.ts'

export interface RemoteLinkOptions {
  readonly env: Env
  readonly logger: Logger
  readonly controllers: readonly HostAndPort[]
  readonly nodeId: number
  readonly incarnation: Uuid
  /** Of the data directory; null: it is new. */
  readonly clusterId: string | null
  /** This broker must not go on. */
  readonly failed: (error: ControllerLinkError) => void
}

/** The controllers are not those of this broker, or none was there in time. The message tells what to do. */
export class ControllerLinkError extends Error {
  override readonly name = 'ControllerLinkError'
  readonly code: 'NO_CONTROLLER' | 'OTHER_CLUSTER' | 'METADATA_RESTORED' | 'FENCED'
  constructor(code: ControllerLinkError['code'], message: string) {
    super(message)
    this.code = code
  }
}

const redialMsMin = 50
/** Several controllers are tried one after another, so a second each would be too long. */
const redialMsMax = 300
const warnEveryMs = 10_000
/** Somewhat longer than another controller needs to take over. */
const suspendedMsMax = 6_000

/**
 * The controller in another process. It dials all controllers in turn until one reigns, follows its metadata log, and dials
 * again when the connection ends.
 *
 * I1: the image only grows: never a controller of a lower epoch, never a batch that does not follow.
 * I2: nothing of metadata that were restored meanwhile is applied: this broker would delete what is newer than the backup,
 *     where a start sets it aside.
 */
export class RemoteControllerLink implements ControllerLink {
  /** Undefined until the first controller tells which cluster it has. */
  #image: ClusterImage | undefined
  readonly #options: RemoteLinkOptions
  readonly #listeners = new Set<MetadataListener>()
  readonly #reloadListeners = new Set<() => void>()
  #connection: ControllerConnection | undefined
  /** The controller that reigns, said one who does not. */
  #hint: HostAndPort | undefined
  #nextController = 0
  /** The one that was dialled last. */
  #asked: HostAndPort | undefined
  #redialMs = redialMsMin
  #redialTimer: Timer | undefined
  /** Since when the controller says that it can't write; undefined: it can. */
  #suspendedMs: number | undefined
  /** Those that were left for that, HOST:PORT, until one can write: who stands by may send back to them. */
  readonly #left = new Set<string>()
  /** Of the metadata that the image is made of; undefined: no controller has told yet. */
  #generation: number | undefined
  #warnedMs = -Infinity
  #epochMax = -1
  #closed = false
  /** The first snapshot is here; rejects when there will be none. */
  readonly #loaded = deferred<void>()

  private constructor(options: RemoteLinkOptions) {
    this.#options = options
    this.#nextController = Math.floor(options.env.random.fraction() * options.controllers.length)
  }

  /** Resolves when the image is there. Rejects with `ControllerLinkError`. */
  static async open(options: RemoteLinkOptions, timeoutMs: number): Promise<RemoteControllerLink> {
    const link = new RemoteControllerLink(options)
    const timer = options.env.timers.after(timeoutMs, () => {
      const places = options.controllers.map(placeOf).join(', ')
      link.#loaded.reject(
        new ControllerLinkError(
          'NO_CONTROLLER',
          `No controller of ${places} served this broker within ${timeoutMs} ms: start one, or change controller.quorum.bootstrap.servers`,
        ),
      )
    })
    link.#dialSoon(0)
    try {
      await link.#loaded.promise
      return link
    } catch (error) {
      await link.close()
      throw error
    } finally {
      timer.cancel()
    }
  }

  get image(): ClusterImage {
    assert(this.#image !== undefined, 'a link that is open has an image')
    return this.#image
  }

  subscribe(applied: MetadataListener, reloaded?: () => void): () => void {
    this.#listeners.add(applied)
    if (reloaded !== undefined) this.#reloadListeners.add(reloaded)
    return () => {
      this.#listeners.delete(applied)
      if (reloaded !== undefined) this.#reloadListeners.delete(reloaded)
    }
  }

  async registerBroker(
    registration: BrokerRegistration,
  ): Promise<Outcome<{ readonly epoch: number }>> {
    const connection = this.#connection
    const outcome = await this.#call(operations.registerBroker, [registration])
    this.#noteSuspension(connection, !outcome.ok && outcome.error === errors.notController)
    return outcome
  }

  async heartbeat(heartbeat: BrokerHeartbeat): Promise<Outcome<HeartbeatAnswer>> {
    const connection = this.#connection
    const outcome = await this.#call(operations.heartbeat, [heartbeat])
    this.#noteSuspension(connection, outcome.ok && outcome.suspended)
    return outcome
  }

  alterPartitions(
    request: AlterPartitionsRequest,
  ): Promise<Outcome<{ readonly results: readonly Outcome<AlteredPartition>[] }>> {
    return this.#call(operations.alterPartitions, [request])
  }

  allocateProducerIds(brokerId: number): Promise<Outcome<ProducerIdBlock>> {
    return this.#call(operations.allocateProducerIds, [brokerId])
  }

  createTopics(
    topics: readonly NewTopic[],
    options: Validation,
  ): Promise<readonly Outcome<CreatedTopic>[]> {
    return this.#call(operations.createTopics, [topics, options])
  }

  deleteTopics(ids: readonly Uuid[]): Promise<readonly Outcome<object>[]> {
    return this.#call(operations.deleteTopics, [ids])
  }

  createPartitions(
    requests: readonly NewPartitions[],
    options: Validation,
  ): Promise<readonly Outcome<object>[]> {
    return this.#call(operations.createPartitions, [requests, options])
  }

  alterConfigs(
    replacements: readonly ConfigReplacement[],
    options: Validation,
  ): Promise<readonly Outcome<object>[]> {
    return this.#call(operations.alterConfigs, [replacements, options])
  }

  incrementalAlterConfigs(
    changes: readonly ConfigChange[],
    options: Validation,
  ): Promise<readonly Outcome<object>[]> {
    return this.#call(operations.incrementalAlterConfigs, [changes, options])
  }

  electLeaders(request: ElectLeadersRequest): Promise<Outcome<ElectedLeaders>> {
    return this.#call(operations.electLeaders, [request])
  }

  alterReassignments(
    request: AlterReassignmentsRequest,
  ): Promise<Outcome<{ readonly results: readonly Outcome<object>[] }>> {
    return this.#call(operations.alterReassignments, [request])
  }

  unregisterBroker(brokerId: number): Promise<Outcome<object>> {
    return this.#call(operations.unregisterBroker, [brokerId])
  }

  updateFeatures(request: UpdateFeaturesRequest): Promise<Outcome<object>> {
    return this.#call(operations.updateFeatures, [request])
  }

  describeQuorum(): Promise<Outcome<QuorumDescription>> {
    return this.#call(operations.describeQuorum, [])
  }

  close(): Promise<void> {
    this.#closed = true
    this.#redialTimer?.cancel()
    this.#connection?.close('this broker stops')
    return Promise.resolve()
  }

  /** One that is cut off from its store does not hear of its successor: after a while others are asked. */
  #noteSuspension(answering: ControllerConnection | undefined, isSuspended: boolean): void {
    // Without a connection nobody has answered.
    if (answering?.isAccepted !== true || answering !== this.#connection) return
    if (!isSuspended) {
      this.#suspendedMs = undefined
      this.#left.clear()
      return
    }
    const nowMs = this.#options.env.clock.monotonicMs()
    this.#suspendedMs ??= nowMs
    const { controllers } = this.#options
    if (controllers.length < 2 || nowMs - this.#suspendedMs < suspendedMsMax) return
    const left = this.#asked === undefined ? '' : placeOf(this.#asked)
    this.#left.add(left)
    this.#nextController = 1 + controllers.map(placeOf).indexOf(left)
    answering.close('it can not write, and another one may reign by now')
  }

  #call<Arguments extends readonly unknown[], Answer>(
    operation: Operation<Arguments, Answer>,
    given: Arguments,
  ): Promise<Answer> {
    const connection = this.#connection
    if (connection?.isAccepted === true) return connection.request(operation, given)
    const refusal = refuse(errors.notController, 'No controller can be reached now; try again')
    return Promise.resolve(operation.refused(refusal, given))
  }

  #dialSoon(delayMs: number): void {
    if (this.#closed) return
    this.#redialTimer = this.#options.env.timers.after(delayMs, () => void this.#dial())
  }

  async #dial(): Promise<void> {
    const { env, controllers, nodeId, incarnation, clusterId } = this.#options
    const address = this.#hint ?? controllers[this.#nextController++ % controllers.length]
    this.#hint = undefined
    if (address === undefined) return
    this.#asked = address
    const image = this.#image
    try {
      const connection = await ControllerConnection.open({
        env,
        ...address,
        subscription: {
          clusterId: image?.clusterId ?? clusterId,
          nodeId,
          incarnation,
          epoch: image?.controllerEpoch ?? -1,
          offset: image?.offset ?? -1,
        },
        receiver: {
          appliedOffset: () => this.image.offset,
          accepted: (id, epoch, generation) => this.#accepted(id, epoch, generation),
          delta: (at, records) => this.#delta(at, records),
          snapshot: (at, records) => this.#snapshot(at, records),
          ended: (end) => this.#ended(address, end),
        },
      })
      this.#connection = connection
      if (this.#closed) connection.close('this broker stops') // re-check: awaited
    } catch (error) {
      if (error instanceof AssertionError) throw error
      this.#ended(address, { lost: error instanceof Error ? error : new Error(String(error)) })
    }
  }

  #accepted(clusterId: string, epoch: number, generation: number | undefined): void {
    this.#image ??= new ClusterImage(clusterId)
    if (epoch < this.#epochMax) {
      this.#connection?.close(`it has epoch ${epoch}, after ${this.#epochMax}`)
      return
    }
    if (this.image.offset < 0) this.#generation = undefined
    this.#generation ??= generation
    if (generation !== undefined && generation !== this.#generation) {
      const text =
        'The metadata of the cluster were restored from a backup while this broker ran: ' +
        'restart the broker to take what the controller has'
      this.#fail('METADATA_RESTORED', text)
      this.#connection?.close('its metadata were restored')
      return
    }
    this.#epochMax = epoch
    this.#redialMs = redialMsMin
    this.#warnedMs = -Infinity
    this.#options.logger.info({ epoch }, 'Connected to the controller')
  }

  #delta(offset: number, records: readonly MetadataRecord[]): void {
    if (offset !== this.image.offset + 1) {
      this.#connection?.close(`batch ${offset} does not follow ${this.image.offset}`)
      return
    }
    this.image.apply(offset, records)
    this.#epochMax = Math.max(this.#epochMax, this.image.controllerEpoch)
    for (const listener of this.#listeners) listener(records, this.image)
  }

  /** Listeners are told of it as if it had come in one batch, and what is not there any more was removed. */
  #snapshot(offset: number, records: readonly MetadataRecord[]): void {
    const before = this.image.offset < 0 ? [] : [...this.image.toRecords()]
    this.image.reset()
    this.image.apply(offset, records)
    this.#loaded.resolve()
    const changes = [...removals(before, this.image), ...records]
    for (const listener of this.#listeners) listener(changes, this.image)
    for (const listener of this.#reloadListeners) listener()
  }

  #ended(address: HostAndPort, end: ConnectionEnd): void {
    this.#connection = undefined
    this.#suspendedMs = undefined
    if (this.#closed) return
    if ('refused' in end) this.#refused(end.refused)
    const reason = 'refused' in end ? end.refused.message : end.lost.message
    const nowMs = this.#options.env.clock.monotonicMs()
    if (nowMs - this.#warnedMs >= warnEveryMs) {
      this.#warnedMs = nowMs
      this.#options.logger.warn(
        { ...address, reason },
        'No connection to the controller; trying on',
      )
    }
    // With jitter, so that a new controller is not asked by all brokers in the same moment.
    const jitter = 0.5 + this.#options.env.random.fraction()
    this.#dialSoon(this.#redialMs * jitter)
    this.#redialMs = Math.min(this.#redialMs * 2, redialMsMax)
  }

  #refused({ error, message, hint }: SentAway): void {
    const place = hint === null ? undefined : parseHostAndPort(hint)
    if (place !== undefined && !this.#left.has(placeOf(place))) this.#hint = place
    if (error === errors.inconsistentClusterId) this.#fail('OTHER_CLUSTER', message)
    if (error === errors.offsetOutOfRange) this.#fail('METADATA_RESTORED', message)
    if (error === errors.duplicateBrokerRegistration) this.#fail('FENCED', message)
  }

  #fail(code: ControllerLinkError['code'], message: string): void {
    const error = new ControllerLinkError(code, message)
    const isOpening = this.#image === undefined || this.#image.offset < 0
    this.#loaded.reject(error)
    if (!isOpening) this.#options.failed(error)
  }
}

function placeOf({ host, port }: HostAndPort): string {
  return `${host}:${port}`
}

/** What the records had set up and the image lacks. */
function* removals(
  before: readonly MetadataRecord[],
  image: ClusterImage,
): Generator<MetadataRecord> {
  for (const record of before) {
    if (record.type === 'topic' && !image.topicsById.has(record.id)) {
      yield { type: 'removeTopic', id: record.id }
    } else if (record.type === 'config' && !overridesOf(image, record).has(record.name)) {
      yield { ...record, value: null }
    }
  }
}

function overridesOf(
  image: ClusterImage,
  { resourceType, resource }: ConfigRecord,
): ReadonlyMap<string, string> {
  switch (resourceType) {
    case 'topic':
      return image.topicOverrides(resource)
    case 'broker':
      return image.brokerOverrides(resource === '' ? '' : Number(resource))
    case 'group':
      return image.groupOverrides(resource)
  }
}
