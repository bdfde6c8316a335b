import type { ClusterImage } from '../broker/metadata/image.ts'
import { errors } from '../protocol/errors.ts'
import type { MetadataRecord } from '../protocol/metadata-records/records.ts'
import type { UpdateFeaturesRequest } from './controller-link.ts'
import { refuse, type Outcome, type Plan } from './outcome.ts'

/** What the levels of a feature mean to this program. Level 0: the feature is off. */
export interface Feature {
  readonly name: string
  readonly levelMin: number
  readonly levelMax: number
  /** Of a cluster that nobody has told otherwise. */
  readonly levelDefault: number
}

/**
 * - metadata.version: Kafka's tools and clients read from it what a cluster can do. This one does what Kafka 4.3 (level 30)
 *   does or refuses the API, whatever its own records look like, so there is nothing to choose.
 * - group.version: consumer groups of KIP-848.
 */
export const supportedFeatures: readonly Feature[] = [
  { name: 'metadata.version', levelMin: 30, levelMax: 30, levelDefault: 30 },
  { name: 'group.version', levelMin: 0, levelMax: 1, levelDefault: 1 },
]

/** The level in force; 0: off, or not known. */
export function featureLevel(image: ClusterImage, name: string): number {
  const feature = supportedFeatures.find((known) => known.name === name)
  return image.features.get(name) ?? feature?.levelDefault ?? 0
}

/** All updates, or none and the reason why. */
export function planFeatureUpdates(
  image: ClusterImage,
  request: UpdateFeaturesRequest,
): Plan<Outcome<object>> {
  const records: MetadataRecord[] = []
  const seen = new Set<string>()
  for (const update of request.updates) {
    const problem = seen.has(update.name)
      ? 'The feature is in the request more than once.'
      : problemOf(image, update)
    if (problem !== undefined) {
      const text = `Invalid update version ${update.level} for feature ${update.name}. ${problem}`
      return { records: [], answer: refuse(errors.invalidUpdateVersion, text) }
    }
    seen.add(update.name)
    if (featureLevel(image, update.name) === update.level) continue
    records.push({ type: 'feature', name: update.name, level: update.level })
  }
  return { records: request.validateOnly ? [] : records, answer: { ok: true } }
}

function problemOf(
  image: ClusterImage,
  { name, level, type }: UpdateFeaturesRequest['updates'][number],
): string | undefined {
  if (level < 0) return 'A feature version cannot be less than 0.'
  const feature = supportedFeatures.find((known) => known.name === name)
  const controller = `Local controller ${image.controllerId}`
  if (feature === undefined) {
    return level === 0 ? undefined : `${controller} does not support this feature.`
  }
  const { levelMin, levelMax } = feature
  if (level < levelMin || level > levelMax) {
    return `${controller} only supports versions ${levelMin}-${levelMax}`
  }
  const current = featureLevel(image, name)
  if (level < current && type === 'upgrade') {
    return (
      "Can't downgrade the version of this feature without setting the " +
      'upgrade type to either safe or unsafe downgrade.'
    )
  }
  if (level > current && type !== 'upgrade') return "Can't downgrade to a newer version."
  return undefined
}
