import { boolean, int, long } from '../base/property.ts'

/** What the controller does on its own. */
export const controllerProperties = {
  autoLeaderRebalanceEnable: boolean({
    name: 'auto.leader.rebalance.enable',
    default: true,
    doc: 'Whether leadership goes back to preferred replicas without being asked.',
  }),
  leaderImbalanceCheckIntervalSeconds: long({
    name: 'leader.imbalance.check.interval.seconds',
    default: 300,
    min: 1,
    doc: 'How often the controller looks for brokers that lead too few partitions.',
  }),
  leaderImbalancePerBrokerPercentage: int({
    name: 'leader.imbalance.per.broker.percentage',
    default: 10,
    min: 0,
    doc: 'Of the partitions that a broker should lead, how many may have another leader before that is changed.',
  }),
  uncleanLeaderElectionIntervalMs: long({
    name: 'unclean.leader.election.interval.ms',
    default: 300_000,
    min: 1,
    doc: 'How often the controller looks for partitions without leader that may elect one uncleanly.',
  }),
} as const
