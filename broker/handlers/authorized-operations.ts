/** Kafka's numbers of operations; an answer has bit N set for operation N. */
const operation = {
  read: 3,
  write: 4,
  create: 5,
  delete: 6,
  alter: 7,
  describe: 8,
  clusterAction: 9,
  describeConfigs: 10,
  alterConfigs: 11,
  idempotentWrite: 12,
} as const

function bits(operations: readonly number[]): number {
  return operations.reduce((sum, bit) => sum | (1 << bit), 0)
}

/** Nobody asked, so nothing is said. */
export const operationsUnasked = -2_147_483_648

/** While there is no authorizer everybody may do everything. */
export const allTopicOperations = bits([
  operation.read,
  operation.write,
  operation.create,
  operation.delete,
  operation.alter,
  operation.describe,
  operation.describeConfigs,
  operation.alterConfigs,
])

export const allGroupOperations = bits([
  operation.read,
  operation.delete,
  operation.describe,
  operation.describeConfigs,
  operation.alterConfigs,
])

export const allClusterOperations = bits([
  operation.create,
  operation.alter,
  operation.describe,
  operation.clusterAction,
  operation.describeConfigs,
  operation.alterConfigs,
  operation.idempotentWrite,
])
