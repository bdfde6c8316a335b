import t from 'tap'
import type { UpdateFeaturesRequest } from '../../controller/controller-link.ts'
import { featureLevel, planFeatureUpdates } from '../../controller/features.ts'
import { errors } from '../../protocol/errors.ts'
import { clusterImage } from '../support/cluster-image.ts'

const update = (
  name: string,
  level: number,
  type: UpdateFeaturesRequest['updates'][number]['type'] = 'upgrade',
): UpdateFeaturesRequest => ({ validateOnly: false, updates: [{ name, level, type }] })

t.test('features: levels are as they were set, else as they are in a new cluster', async (t) => {
  const image = clusterImage([])
  t.equal(featureLevel(image, 'group.version'), 1)
  t.equal(featureLevel(image, 'metadata.version'), 30)
  t.equal(featureLevel(image, 'share.version'), 0)
  const { records, answer } = planFeatureUpdates(image, update('group.version', 0, 'safeDowngrade'))
  t.same(answer, { ok: true })
  image.apply(1, records)
  t.equal(featureLevel(image, 'group.version'), 0)
  image.apply(2, planFeatureUpdates(image, update('group.version', 1)).records)
  t.equal(featureLevel(image, 'group.version'), 1)
})

t.test('features: only what is known, upwards unless a downgrade is asked for', async (t) => {
  const image = clusterImage([])
  const cases: [string, UpdateFeaturesRequest, RegExp][] = [
    ['unknown', update('share.version', 1), /Local controller -1 does not support this feature\.$/],
    ['too high', update('group.version', 2), /only supports versions 0-1$/],
    ['too low', update('metadata.version', 29, 'unsafeDowngrade'), /only supports versions 30-30$/],
    ['negative', update('group.version', -1), /A feature version cannot be less than 0\.$/],
    [
      'down',
      update('group.version', 0),
      /^Invalid update version 0 for feature group\.version\. Can't downgrade/,
    ],
  ]
  for (const [name, request, message] of cases) {
    const { records, answer } = planFeatureUpdates(image, request)
    t.match(answer, { ok: false, error: errors.invalidUpdateVersion, message }, name)
    t.same(records, [], name)
  }
  image.apply(1, planFeatureUpdates(image, update('group.version', 0, 'safeDowngrade')).records)
  t.match(planFeatureUpdates(image, update('group.version', 1, 'safeDowngrade')).answer, {
    message: /Can't downgrade to a newer version\.$/,
  })
})

t.test('features: all or none, and nothing where it is only validated', async (t) => {
  const image = clusterImage([])
  const down = { name: 'group.version', level: 0, type: 'safeDowngrade' } as const
  const both = { validateOnly: false, updates: [down, { ...down, name: 'metadata.version' }] }
  t.match(planFeatureUpdates(image, both), { records: { length: 0 }, answer: { ok: false } })
  t.same(planFeatureUpdates(image, { validateOnly: true, updates: [down] }), {
    records: [],
    answer: { ok: true },
  })
  t.match(planFeatureUpdates(image, { validateOnly: false, updates: [down, down] }).answer, {
    message: /more than once/,
  })
  t.same(planFeatureUpdates(image, update('group.version', 1)).records, [], 'it is so already')
})
