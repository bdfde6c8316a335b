import type { UpdateFeaturesRequest } from '../../controller/controller-link.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { UpdateFeatures } from '../../protocol/messages/update-features.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import type { Handler } from './handler.ts'

type FeatureUpdate = UpdateFeaturesRequest['updates'][number]
type RequestedUpdate = RequestOf<typeof UpdateFeatures>['featureUpdates'][number]
type Response = ResponseInputOf<typeof UpdateFeatures>

/** From here the kind of a change has a number; before, whether it may be a downgrade. */
const firstVersionWithTypes = 1

/** KIP-584, KIP-778, KIP-1022: all updates or none. */
export const handler: Handler<typeof UpdateFeatures> = {
  api: UpdateFeatures,
  async handle({ featureUpdates, validateOnly }, { broker, version }) {
    const updates: FeatureUpdate[] = []
    for (const update of featureUpdates) {
      const type = typeOf(update, version)
      const { feature: name, maxVersionLevel: level } = update
      if (type !== undefined) {
        updates.push({ name, level, type })
        continue
      }
      const problem = 'The controller does not support the given upgrade type.'
      const text = `Invalid update version ${level} for feature ${name}. ${problem}`
      return failed(errors.invalidUpdateVersion, text)
    }
    const outcome = await broker.controller.updateFeatures({ validateOnly, updates })
    if (!outcome.ok) return failed(outcome.error, outcome.message)
    const errorCode = errors.none.code
    return {
      errorCode,
      errorMessage: null,
      results: updates.map(({ name }) => ({ feature: name, errorCode, errorMessage: null })),
    }
  },
}

function typeOf(update: RequestedUpdate, version: number): FeatureUpdate['type'] | undefined {
  if (version < firstVersionWithTypes) return update.allowDowngrade ? 'safeDowngrade' : 'upgrade'
  switch (update.upgradeType) {
    case 1:
      return 'upgrade'
    case 2:
      return 'safeDowngrade'
    case 3:
      return 'unsafeDowngrade'
    default:
      return undefined
  }
}

function failed({ code }: ErrorInfo, reason: string): Response {
  const prefix = 'The update failed for all features since the following feature had an error: '
  const isOfFeature = code === errors.invalidUpdateVersion.code
  return { errorCode: code, errorMessage: isOfFeature ? `${prefix}${reason}` : reason, results: [] }
}
