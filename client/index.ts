export { specialTimestamp } from './special-timestamp.ts'
export {
  Admin,
  type ConfigEntry,
  type ConfigSource,
  type FoundOffset,
  type NewTopic,
} from './admin.ts'
export type { BrokerAddress, ClusterMetadata, PartitionMetadata, TopicMetadata } from './cluster.ts'
export { Consumer, type AssignedPartition, type PartitionLag } from './consumer/consumer.ts'
export type { FetchedBatch } from './consumer/fetched-batch.ts'
export type { ConsumerOptions, Isolation, OffsetReset } from './consumer/options.ts'
export type { ConsumerRecord } from './consumer/record.ts'
export type { Handler, HandlerContext } from './consumer/run.ts'
export type { RetryPolicy, RunOptions } from './consumer/run-options.ts'
export type { StatusEvent } from './consumer/status.ts'
export {
  GroupAdmin,
  type CommittedPartition,
  type GroupDescription,
  type GroupListing,
  type GroupMember,
  type ResetOptions,
  type ResetTarget,
} from './group-admin.ts'
export { KafkaError, type KafkaErrorCode, type KafkaErrorKind } from './errors.ts'
export { Kafka, type KafkaHealth, type KafkaOptions } from './kafka.ts'
export type { BaseSerde, OptionalSerde, Serde } from './serde.ts'
export {
  bytes,
  int32,
  int64,
  json,
  msgpack,
  string,
  uuid,
  type SchemaIssue,
  type SchemaResult,
  type StandardSchema,
} from './serdes.ts'
export { openTelemetry, type OpenTelemetryApi, type Telemetry } from './telemetry.ts'
export {
  topic,
  type HeaderSerdes,
  type HeadersOf,
  type PlainHeaders,
  type Topic,
  type TopicOptions,
  type TopicPartition,
} from './topic.ts'
export {
  BatchError,
  type FailedMessage,
  type RecordMetadata,
  type SentRange,
} from './producer/delivery.ts'
export type { HeadersInput, PlainHeader } from './producer/headers.ts'
export type { Partitioner, ProducerOptions, RecordToPlace } from './producer/options.ts'
export { Producer, type Message } from './producer/producer.ts'
export { murmur2, partitionOfKey } from './partitioner.ts'
export {
  BatchBuilder,
  type BatchBuilderOptions,
  type RecordHeaderInput,
} from '../protocol/records/builder.ts'
export type { RecordHeader, RecordView } from '../protocol/records/record.ts'
export type { CompressionCodec } from '../protocol/records/compression.ts'
