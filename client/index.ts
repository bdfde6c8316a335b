export { connect, Client, type ConnectOptions } from './client.ts'
export {
  Admin,
  specialTimestamp,
  type ConfigEntry,
  type ConfigSource,
  type FoundOffset,
  type NewTopic,
} from './admin.ts'
export type { BrokerAddress, ClusterMetadata, PartitionMetadata, TopicMetadata } from './cluster.ts'
export { KafkaError, type KafkaErrorCode } from './errors.ts'
export type { FetchedPartition, FetchOptions, FetchPosition } from './fetcher.ts'
export { murmur2, partitionOfKey, StickyPartitioner } from './partitioner.ts'
export type { Acks, BatchToProduce, ProducedBatch } from './producer.ts'
export {
  BatchBuilder,
  type BatchBuilderOptions,
  type RecordHeaderInput,
} from '../protocol/records/builder.ts'
export type { RecordHeader, RecordView } from '../protocol/records/record.ts'
export type { CompressionCodec } from '../protocol/records/compression.ts'
