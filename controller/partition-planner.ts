import type { ClusterImage } from '../broker/metadata/image.ts'
import type { MetadataRecord } from '../protocol/metadata-records/records.ts'
import type { ConfigSchema } from './configs.ts'
import type { FencingPlanner } from './fencing.ts'
import type { ElectionRules } from './leader-election.ts'
import { isActive } from './placement.ts'

/** What plans for partitions look at. A replica that is not in sync may lead only where the topic allows it: records get lost. */
export type PartitionPlanner = FencingPlanner

const property = 'unclean.leader.election.enable'

/** The topic's own setting, else that of all brokers, else what this process was started with. */
export function partitionPlanner(
  image: ClusterImage,
  schema: ConfigSchema,
  options: { readonly uncleanLeaderElectionEnable: boolean },
): PartitionPlanner {
  return {
    image,
    allowsUnclean: (topic) => {
      const text =
        image.topicOverrides(topic).get(property) ?? image.brokerOverrides('').get(property)
      const parsed = text === undefined ? undefined : schema.topic(property)?.parse(text)
      return parsed?.ok === true ? parsed.value === true : options.uncleanLeaderElectionEnable
    },
  }
}

/** Whether a topic that waited for its leader may elect another one after this. */
export function mayAllowUnclean(record: MetadataRecord): boolean {
  return record.type === 'config' && record.name === property && record.value !== 'false'
}

/** A clean election, or an unclean one where the topic has it. */
export function electionRules(planner: PartitionPlanner, topic: string): ElectionRules {
  const { brokers } = planner.image
  return {
    mode: planner.allowsUnclean(topic) ? 'unclean' : 'online',
    isActive: (brokerId) => isActive(brokers.get(brokerId)),
  }
}
