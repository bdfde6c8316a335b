import { assert } from '../base/assert.ts'

/** What a response says instead of an answer. */
export interface ErrorInfo {
  readonly code: number
  /** Kafka's name. */
  readonly name: string
  /** Whether the same request may succeed later, perhaps after the client refreshed its metadata. */
  readonly retriable: boolean
  /** For people; responses that carry a text may say more. */
  readonly message: string
}

const retriable = true
const final = false

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] }

/** The name is set below. */
function error(code: number, isRetriable: boolean, message: string): Mutable<ErrorInfo> {
  return { code, name: '', retriable: isRetriable, message }
}

/** Kafka's error codes as of 4.3. */
const all = {
  unknownServerError: error(
    -1,
    final,
    'The server failed unexpectedly while it processed the request',
  ),
  none: error(0, final, 'No error'),
  offsetOutOfRange: error(
    1,
    final,
    'The offset is not within the range of offsets that the partition has',
  ),
  corruptMessage: error(
    2,
    retriable,
    'The batch is corrupt: its checksum, its size or its structure is wrong',
  ),
  unknownTopicOrPartition: error(3, retriable, 'This broker has no such topic or partition'),
  invalidFetchSize: error(4, final, 'The fetch size is invalid'),
  leaderNotAvailable: error(5, retriable, 'The partition has no leader at the moment'),
  notLeaderOrFollower: error(
    6,
    retriable,
    'This broker is not the leader of the partition, or not a replica of it',
  ),
  requestTimedOut: error(7, retriable, 'The request timed out'),
  brokerNotAvailable: error(8, final, 'The broker is not available'),
  replicaNotAvailable: error(9, retriable, 'The replica is not available'),
  messageTooLarge: error(10, final, "The batch is larger than the topic's max.message.bytes"),
  staleControllerEpoch: error(11, final, 'The controller has moved to another broker'),
  offsetMetadataTooLarge: error(12, final, 'The metadata that accompanies the offset is too large'),
  networkException: error(13, retriable, 'The connection broke before there was a response'),
  coordinatorLoadInProgress: error(14, retriable, 'The coordinator is still loading its state'),
  coordinatorNotAvailable: error(15, retriable, 'The coordinator is not available'),
  notCoordinator: error(16, retriable, 'This broker is not the coordinator'),
  invalidTopicException: error(
    17,
    final,
    'The topic name is invalid, or the operation is not allowed on this topic',
  ),
  recordListTooLarge: error(18, final, "The batch is larger than the topic's segment.bytes"),
  notEnoughReplicas: error(
    19,
    retriable,
    'Fewer replicas are in sync than min.insync.replicas demands; nothing was written',
  ),
  notEnoughReplicasAfterAppend: error(
    20,
    retriable,
    'The batch was written, but to fewer in-sync replicas than min.insync.replicas demands',
  ),
  invalidRequiredAcks: error(21, final, 'acks must be -1, 0 or 1'),
  illegalGeneration: error(22, final, "The generation is not the group's current one"),
  inconsistentGroupProtocol: error(
    23,
    final,
    "The member's protocols do not fit those of the group",
  ),
  invalidGroupId: error(24, final, 'The group id is invalid'),
  unknownMemberId: error(25, final, 'The group does not know this member'),
  invalidSessionTimeout: error(
    26,
    final,
    'The session timeout is outside the range that the broker allows',
  ),
  rebalanceInProgress: error(27, final, 'The group is rebalancing: rejoin it'),
  invalidCommitOffsetSize: error(28, final, 'The offset commit is too large'),
  topicAuthorizationFailed: error(29, final, 'Not authorized for the topic'),
  groupAuthorizationFailed: error(30, final, 'Not authorized for the group'),
  clusterAuthorizationFailed: error(31, final, 'Not authorized for the cluster'),
  invalidTimestamp: error(
    32,
    final,
    'The timestamp of a record is outside the range that the topic allows',
  ),
  unsupportedSaslMechanism: error(33, final, 'The SASL mechanism is not supported'),
  illegalSaslState: error(
    34,
    final,
    'The request is not valid in the current state of SASL authentication',
  ),
  unsupportedVersion: error(35, final, 'This version of the API is not supported'),
  topicAlreadyExists: error(36, final, 'A topic with this name exists already'),
  invalidPartitions: error(37, final, 'The number of partitions is invalid'),
  invalidReplicationFactor: error(
    38,
    final,
    'The replication factor is below 1 or above the number of brokers',
  ),
  invalidReplicaAssignment: error(39, final, 'The assignment of replicas is invalid'),
  invalidConfig: error(40, final, 'A configuration key or value is invalid'),
  notController: error(41, retriable, 'This is not the active controller'),
  invalidRequest: error(42, final, 'The request is malformed or contradicts itself'),
  unsupportedForMessageFormat: error(
    43,
    final,
    'The message format of the partition does not support the request',
  ),
  policyViolation: error(44, final, 'The request violates a policy of the broker'),
  outOfOrderSequenceNumber: error(
    45,
    final,
    "The sequence number is not the one that follows the producer's last",
  ),
  duplicateSequenceNumber: error(46, final, 'The sequence number was used before'),
  invalidProducerEpoch: error(47, final, "The producer's epoch is old"),
  invalidTxnState: error(
    48,
    final,
    "The operation is not valid in the transaction's current state",
  ),
  invalidProducerIdMapping: error(
    49,
    final,
    'The producer id is not the one assigned to the transactional id',
  ),
  invalidTransactionTimeout: error(
    50,
    final,
    'The transaction timeout is larger than transaction.max.timeout.ms',
  ),
  concurrentTransactions: error(
    51,
    retriable,
    'Another operation on the same transaction is in progress',
  ),
  transactionCoordinatorFenced: error(
    52,
    final,
    'The transaction coordinator that sent the marker was replaced',
  ),
  transactionalIdAuthorizationFailed: error(53, final, 'Not authorized for the transactional id'),
  securityDisabled: error(54, final, 'Security is not enabled'),
  operationNotAttempted: error(
    55,
    final,
    'The operation was not tried, because another one of the same request failed',
  ),
  kafkaStorageError: error(56, retriable, 'The disk that holds the partition failed'),
  logDirNotFound: error(57, final, 'The log directory does not exist'),
  saslAuthenticationFailed: error(58, final, 'Authentication failed'),
  unknownProducerId: error(59, final, 'The partition knows nothing of this producer id'),
  reassignmentInProgress: error(60, final, 'The partition is being reassigned'),
  delegationTokenAuthDisabled: error(61, final, 'Delegation tokens are not enabled'),
  delegationTokenNotFound: error(62, final, 'The delegation token does not exist'),
  delegationTokenOwnerMismatch: error(
    63,
    final,
    'The principal is neither owner nor renewer of the delegation token',
  ),
  delegationTokenRequestNotAllowed: error(
    64,
    final,
    "Delegation tokens can't be requested over this connection",
  ),
  delegationTokenAuthorizationFailed: error(65, final, 'Not authorized for the delegation token'),
  delegationTokenExpired: error(66, final, 'The delegation token has expired'),
  invalidPrincipalType: error(67, final, 'The principal type is not supported'),
  nonEmptyGroup: error(68, final, 'The group is not empty'),
  groupIdNotFound: error(69, final, 'The group does not exist'),
  fetchSessionIdNotFound: error(70, retriable, 'The fetch session does not exist'),
  invalidFetchSessionEpoch: error(71, retriable, 'The fetch session is at another epoch'),
  listenerNotFound: error(
    72,
    retriable,
    'The leader has no listener of the name on which the request came',
  ),
  topicDeletionDisabled: error(73, final, 'Deleting topics is disabled'),
  fencedLeaderEpoch: error(
    74,
    retriable,
    "The leader epoch of the request is older than the partition's",
  ),
  unknownLeaderEpoch: error(
    75,
    retriable,
    'The leader epoch of the request is newer than this broker knows',
  ),
  unsupportedCompressionType: error(
    76,
    final,
    'The compression is not supported in this version of the API',
  ),
  staleBrokerEpoch: error(77, final, 'The broker has registered anew since'),
  offsetNotAvailable: error(
    78,
    retriable,
    'The new leader does not know yet which offsets are committed',
  ),
  memberIdRequired: error(79, final, 'Join again with the member id of this response'),
  preferredLeaderNotAvailable: error(80, retriable, 'The preferred leader is not available'),
  groupMaxSizeReached: error(81, final, 'The group has as many members as it may have'),
  fencedInstanceId: error(82, final, 'Another member has taken over this group instance id'),
  eligibleLeadersNotAvailable: error(
    83,
    retriable,
    'No eligible replica is available to lead the partition',
  ),
  electionNotNeeded: error(84, retriable, 'The partition has the leader it should have'),
  noReassignmentInProgress: error(85, final, 'No reassignment of the partition is in progress'),
  groupSubscribedToTopic: error(86, final, 'The group is subscribed to the topic'),
  invalidRecord: error(87, final, 'A record failed validation'),
  unstableOffsetCommit: error(88, retriable, 'Offsets of open transactions are not decided yet'),
  throttlingQuotaExceeded: error(89, retriable, 'The quota is used up'),
  producerFenced: error(
    90,
    final,
    'A newer producer with the same transactional id has taken over',
  ),
  resourceNotFound: error(91, final, 'The resource does not exist'),
  duplicateResource: error(92, final, 'The resource occurs twice in the request'),
  unacceptableCredential: error(93, final, 'The credential is not acceptable'),
  inconsistentVoterSet: error(
    94,
    final,
    'The sender or the receiver is not one of the expected voters',
  ),
  invalidUpdateVersion: error(95, final, 'The update version is invalid'),
  featureUpdateFailed: error(96, final, 'The features could not be updated'),
  principalDeserializationFailure: error(97, final, 'The forwarded principal could not be read'),
  snapshotNotFound: error(98, final, 'The snapshot does not exist'),
  positionOutOfRange: error(99, final, 'The position is outside the snapshot'),
  unknownTopicId: error(100, retriable, 'This broker has no topic of this id'),
  duplicateBrokerRegistration: error(101, final, 'Another broker is registered under this id'),
  brokerIdNotRegistered: error(102, final, 'No broker is registered under this id'),
  inconsistentTopicId: error(103, retriable, "The topic id is not that of the partition's log"),
  inconsistentClusterId: error(104, final, 'The cluster id is not that of this cluster'),
  transactionalIdNotFound: error(105, final, 'The transactional id does not exist'),
  fetchSessionTopicIdError: error(
    106,
    retriable,
    'The fetch session mixes requests with and without topic ids',
  ),
  ineligibleReplica: error(107, final, "A replica can't become in sync as things are"),
  newLeaderElected: error(108, final, 'The partition was changed, but has another leader now'),
  offsetMovedToTieredStorage: error(109, final, 'The offset has moved to tiered storage'),
  fencedMemberEpoch: error(
    110,
    final,
    "The member's epoch is fenced: give up all partitions and rejoin",
  ),
  unreleasedInstanceId: error(111, final, 'Another member still uses this group instance id'),
  unsupportedAssignor: error(112, final, 'The group does not support the assignor'),
  staleMemberEpoch: error(113, final, "The member's epoch is stale: heartbeat, then try again"),
  mismatchedEndpointType: error(114, final, 'The request belongs to another kind of endpoint'),
  unsupportedEndpointType: error(115, final, 'This kind of endpoint is not supported'),
  unknownControllerId: error(116, final, 'The controller id is not known'),
  unknownSubscriptionId: error(117, final, 'The telemetry subscription is not known'),
  telemetryTooLarge: error(118, final, 'The telemetry is too large'),
  invalidRegistration: error(119, final, 'The registration of the broker is invalid'),
  transactionAbortable: error(120, final, "The transaction can't go on: abort it"),
  invalidRecordState: error(
    121,
    final,
    'The record is not in a state that allows its acknowledgement',
  ),
  shareSessionNotFound: error(122, retriable, 'The share session does not exist'),
  invalidShareSessionEpoch: error(123, retriable, 'The share session is at another epoch'),
  fencedStateEpoch: error(124, final, 'The state epoch of the share group does not match'),
  invalidVoterKey: error(125, final, "The voter's key is not that of this replica"),
  duplicateVoter: error(126, final, 'The voter is one already'),
  voterNotFound: error(127, final, 'There is no such voter'),
  invalidRegularExpression: error(128, final, 'The regular expression is invalid'),
  rebootstrapRequired: error(
    129,
    final,
    "The client's metadata is too old: start again from the bootstrap servers",
  ),
  streamsInvalidTopology: error(130, final, 'The topology is invalid'),
  streamsInvalidTopologyEpoch: error(131, final, 'The epoch of the topology is invalid'),
  streamsTopologyFenced: error(132, final, 'The epoch of the topology is out of date'),
  shareSessionLimitReached: error(
    133,
    retriable,
    'There are as many share sessions as there may be',
  ),
}

const byCode = new Map<number, ErrorInfo>()
// The keys are Kafka's names in camel case: written twice, they would be a tenth of a client's bundle.
for (const [key, info] of Object.entries(all)) {
  info.name = key.replaceAll(/[A-Z]/g, '_$&').toUpperCase()
  byCode.set(info.code, Object.freeze(info))
}
assert(byCode.size === Object.keys(all).length, 'every error has its own code')

export const errors: Readonly<Record<keyof typeof all, ErrorInfo>> = all

/** A code from the future reads as an unknown server error, as in Kafka's own client. */
export function errorByCode(code: number): ErrorInfo {
  return byCode.get(code) ?? errors.unknownServerError
}
