import { Packr } from 'msgpackr'
import type { Uuid } from '../../base/uuid.ts'
import type {
  ConfigResourceType,
  ListenerAddress,
  MetadataRecord,
  PartitionState,
} from './records.ts'

/**
 * Metadata records as msgpack arrays `[type, version, ...fields]`. Ids are 16 bytes, numbers are safe integers.
 *
 *    1  registerBroker   brokerId, brokerEpoch, incarnation, flags (1 fenced, 2 shutting down),
 *                        [[name, host, port, securityProtocol]...], rack, host
 *    2  brokerChange     brokerId, brokerEpoch, flags
 *    3  unregisterBroker brokerId, brokerEpoch
 *    4  topic            id, name
 *    5  removeTopic      id
 *    6  partition        topicId, PARTITION
 *    7  partitionChange  topicId, [PARTITION...]
 *    8  config           resource type (2 topic, 4 broker, 32 group), resource, name, value
 *   12  producerIds      brokerId, brokerEpoch, nextProducerId
 *   13  feature          name, level
 *   14  epochStart       epoch, controllerId
 *   15  noOp
 *
 * PARTITION is [index, replicas, isr, leader, leaderEpoch, partitionEpoch] and, only where one of them is not empty,
 * adding, removing, recovering (0 or 1) and eligible leader replicas (kept for KIP-966, always empty).
 * Numbers 9 to 11 are kept for scramCredential, acl and clientQuota.
 * Fields behind the known ones are ignored, so a newer writer may add some; an unknown type or version is refused,
 * since leaving a record out would give another cluster.
 */
const packr = new Packr({ useRecords: false })

/** A stored record that this version of the program can't read, or bytes that hold none. */
export class MetadataFormatError extends Error {
  override readonly name = 'MetadataFormatError'
  readonly code = 'METADATA_FORMAT'
}

/** Any value of arrays, numbers, strings, buffers, booleans and null. The result belongs to the caller. */
export function packValue(value: unknown): Buffer {
  return packr.pack(value)
}

/** Throws `MetadataFormatError` when the bytes are not one whole value. */
export function unpackValue(bytes: Uint8Array): unknown {
  try {
    return packr.unpack(bytes)
  } catch (cause) {
    throw new MetadataFormatError(`${bytes.length} bytes of metadata are damaged`, { cause })
  }
}

const resourceTypeNumbers = { topic: 2, broker: 4, group: 32 } as const

/** The array form, to be packed by the caller together with others. */
export function encodeRecord(record: MetadataRecord): unknown[] {
  switch (record.type) {
    case 'registerBroker':
      return [
        1,
        0,
        record.brokerId,
        record.brokerEpoch,
        idBytes(record.incarnation),
        flagsOf(record),
        record.listeners.map((at) => [at.name, at.host, at.port, at.securityProtocol]),
        record.rack,
        record.host,
      ]
    case 'brokerChange':
      return [2, 0, record.brokerId, record.brokerEpoch, flagsOf(record)]
    case 'unregisterBroker':
      return [3, 0, record.brokerId, record.brokerEpoch]
    case 'topic':
      return [4, 0, idBytes(record.id), record.name]
    case 'removeTopic':
      return [5, 0, idBytes(record.id)]
    case 'partition':
      return [6, 0, idBytes(record.topicId), encodePartition(record)]
    case 'partitionChange':
      return [7, 0, idBytes(record.topicId), record.changes.map(encodePartition)]
    case 'config':
      return [
        8,
        0,
        resourceTypeNumbers[record.resourceType],
        record.resource,
        record.name,
        record.value,
      ]
    case 'producerIds':
      return [12, 0, record.brokerId, record.brokerEpoch, record.nextProducerId]
    case 'feature':
      return [13, 0, record.name, record.level]
    case 'epochStart':
      return [14, 0, record.epoch, record.controllerId]
    case 'noOp':
      return [15, 0]
  }
}

/** Throws `MetadataFormatError` on anything that `encodeRecord` of this or an older version did not write. */
export function decodeRecord(value: unknown): MetadataRecord {
  const fields = new Fields(array(value))
  const type = fields.integer()
  const version = fields.integer()
  if (version !== 0) {
    throw new MetadataFormatError(
      `The metadata log has a record of type ${type} in version ${version}, this program knows version 0. ` +
        'It was written by a newer Millrace: start that one',
    )
  }
  switch (type) {
    case 1:
      return {
        type: 'registerBroker',
        brokerId: fields.integer(),
        brokerEpoch: fields.integer(),
        incarnation: fields.id(),
        ...flagsFrom(fields.integer()),
        listeners: fields.array().map(decodeListener),
        rack: fields.stringOrNull(),
        host: fields.string(),
      }
    case 2: {
      const brokerId = fields.integer()
      const brokerEpoch = fields.integer()
      return { type: 'brokerChange', brokerId, brokerEpoch, ...flagsFrom(fields.integer()) }
    }
    case 3:
      return {
        type: 'unregisterBroker',
        brokerId: fields.integer(),
        brokerEpoch: fields.integer(),
      }
    case 4:
      return { type: 'topic', id: fields.id(), name: fields.string() }
    case 5:
      return { type: 'removeTopic', id: fields.id() }
    case 6:
      return { type: 'partition', topicId: fields.id(), ...decodePartition(fields.next()) }
    case 7:
      return {
        type: 'partitionChange',
        topicId: fields.id(),
        changes: fields.array().map(decodePartition),
      }
    case 8:
      return {
        type: 'config',
        resourceType: resourceTypeFrom(fields.integer()),
        resource: fields.string(),
        name: fields.string(),
        value: fields.stringOrNull(),
      }
    case 12: {
      const brokerId = fields.integer()
      const brokerEpoch = fields.integer()
      return { type: 'producerIds', brokerId, brokerEpoch, nextProducerId: fields.integer() }
    }
    case 13:
      return { type: 'feature', name: fields.string(), level: fields.integer() }
    case 14:
      return { type: 'epochStart', epoch: fields.integer(), controllerId: fields.integer() }
    case 15:
      return { type: 'noOp' }
    default:
      throw new MetadataFormatError(
        `The metadata log has a record of unknown type ${type}. It was written by a newer Millrace: start that one`,
      )
  }
}

function encodePartition(state: PartitionState): unknown[] {
  const { index, replicas, isr, leader, leaderEpoch, partitionEpoch } = state
  const { adding = [], removing = [], recovering = false } = state
  const settled = [index, replicas, isr, leader, leaderEpoch, partitionEpoch]
  if (adding.length === 0 && removing.length === 0 && !recovering) return settled
  return [...settled, adding, removing, recovering ? 1 : 0, []]
}

function decodePartition(value: unknown): PartitionState {
  const encoded = array(value)
  const fields = new Fields(encoded)
  const settled = {
    index: fields.integer(),
    replicas: fields.integers(),
    isr: fields.integers(),
    leader: fields.integer(),
    leaderEpoch: fields.integer(),
    partitionEpoch: fields.integer(),
  }
  if (encoded.length < partitionFieldsMax) return settled
  const [adding, removing, recovering] = [fields.integers(), fields.integers(), fields.integer()]
  return {
    ...settled,
    ...(adding.length === 0 ? {} : { adding }),
    ...(removing.length === 0 ? {} : { removing }),
    ...(recovering === 0 ? {} : { recovering: true as const }),
  }
}

/** Of a partition that is being reassigned or recovered. */
const partitionFieldsMax = 10

const securityProtocols = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'] as const

function decodeListener(value: unknown): ListenerAddress {
  const fields = new Fields(array(value))
  const [name, host, port] = [fields.string(), fields.string(), fields.integer()]
  const text = fields.string()
  const securityProtocol = securityProtocols.find((known) => known === text)
  if (securityProtocol === undefined)
    throw new MetadataFormatError(`Unknown security protocol ${text}`)
  return { name, host, port, securityProtocol }
}

interface BrokerFlags {
  readonly fenced: boolean
  readonly inControlledShutdown: boolean
}

function flagsOf(flags: BrokerFlags): number {
  return (flags.fenced ? 1 : 0) | (flags.inControlledShutdown ? 2 : 0)
}

function flagsFrom(bits: number): BrokerFlags {
  return { fenced: (bits & 1) !== 0, inControlledShutdown: (bits & 2) !== 0 }
}

function resourceTypeFrom(number: number): ConfigResourceType {
  if (number === resourceTypeNumbers.topic) return 'topic'
  if (number === resourceTypeNumbers.broker) return 'broker'
  if (number === resourceTypeNumbers.group) return 'group'
  throw new MetadataFormatError(`The metadata log configures a resource of unknown type ${number}`)
}

function idBytes(id: Uuid): Buffer {
  return Buffer.from(id, 'hex')
}

function hexOf(id: Uint8Array): Uuid {
  // The packer gives buffers; a copy of each id would cost a tenth of loading.
  return (Buffer.isBuffer(id) ? id : Buffer.from(id)).toString('hex')
}

function array(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value
  throw new MetadataFormatError('A metadata record is not an array')
}

/** Takes the fields of an array one by one, each with its type checked. */
class Fields {
  readonly #values: readonly unknown[]
  #index = 0

  constructor(values: readonly unknown[]) {
    this.#values = values
  }

  next(): unknown {
    return this.#values[this.#index++]
  }

  integer(): number {
    const value = this.next()
    if (typeof value === 'number' && Number.isSafeInteger(value)) return value
    throw this.#unexpected('an integer', value)
  }

  string(): string {
    const value = this.next()
    if (typeof value === 'string') return value
    throw this.#unexpected('a string', value)
  }

  stringOrNull(): string | null {
    const value = this.next()
    if (value === null || typeof value === 'string') return value
    throw this.#unexpected('a string or null', value)
  }

  id(): Uuid {
    const value = this.next()
    if (value instanceof Uint8Array && value.length === 16) return hexOf(value)
    throw this.#unexpected('an id of 16 bytes', value)
  }

  array(): readonly unknown[] {
    return array(this.next())
  }

  integers(): number[] {
    return this.array().map((value) => {
      if (typeof value === 'number' && Number.isSafeInteger(value)) return value
      throw this.#unexpected('an integer', value)
    })
  }

  #unexpected(wanted: string, value: unknown): MetadataFormatError {
    return new MetadataFormatError(
      `Field ${this.#index - 1} of a metadata record must be ${wanted}, it is a ${typeof value}`,
    )
  }
}
