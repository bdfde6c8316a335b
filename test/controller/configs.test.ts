import t from 'tap'
import {
  configOperation,
  configResource,
  type ConfigChange,
  type ConfigOperation,
} from '../../controller/configs.ts'
import type { Controller } from '../../controller/controller.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { forReal, newTopic, openController, register } from '../support/controllers.ts'

const { set, append, subtract } = configOperation

const operation = (name: string, number: number, value: string | null): ConfigOperation => ({
  name,
  operation: number,
  value,
})
const onTopic = (...operations: ConfigOperation[]): ConfigChange => ({
  resourceType: configResource.topic,
  resource: 'topic',
  operations,
})
const onBroker = (resource: string, ...operations: ConfigOperation[]): ConfigChange => ({
  resourceType: configResource.broker,
  resource,
  operations,
})

async function withTopic(): Promise<Controller> {
  const controller = await openController()
  await register(controller)
  await controller.createTopics([newTopic('topic')], forReal)
  return controller
}

const refusals: [title: string, change: ConfigChange, error: ErrorInfo, message: RegExp][] = [
  [
    'an unknown topic',
    { ...onTopic(operation('retention.ms', set, '5')), resource: 'nothing' },
    errors.unknownTopicOrPartition,
    /does not exist/,
  ],
  [
    'a bad name',
    { ...onTopic(operation('retention.ms', set, '5')), resource: 'a b' },
    errors.invalidTopicException,
    /invalid/,
  ],
  [
    'no topic',
    { ...onTopic(operation('retention.ms', set, '5')), resource: '' },
    errors.invalidRequest,
    /Default topic/,
  ],
  ['an unknown key', onTopic(operation('no.such', set, '1')), errors.invalidConfig, /Did you mean/],
  ['a bad value', onTopic(operation('segment.ms', set, '0')), errors.invalidConfig, /at least 1/],
  ['null', onTopic(operation('segment.ms', set, null)), errors.invalidRequest, /Null value/],
  [
    'a key twice',
    onTopic(operation('segment.ms', set, '1'), operation('segment.ms', set, '2')),
    errors.invalidRequest,
    /duplicate/,
  ],
  [
    'append to a number',
    onTopic(operation('segment.ms', append, '1')),
    errors.invalidConfig,
    /Can't APPEND .* not LIST/,
  ],
  [
    'subtract from a word',
    onTopic(operation('compression.type', subtract, 'gzip')),
    errors.invalidConfig,
    /Can't SUBTRACT/,
  ],
  ['operation 9', onTopic(operation('segment.ms', 9, '1')), errors.invalidRequest, /operation/],
  [
    'a read-only key',
    onBroker('1', operation('node.id', set, '2'), operation('log.dirs', set, '/x')),
    errors.invalidRequest,
    /dynamically: \[node\.id, log\.dirs\]/,
  ],
  [
    'a bad value of a broker',
    onBroker('', operation('message.max.bytes', set, 'big')),
    errors.invalidRequest,
    /Not a number of type INT/,
  ],
  [
    'an unknown key of a broker',
    onBroker('', operation('message.max.byte', set, '1')),
    errors.invalidConfig,
    /Did you mean message\.max\.bytes/,
  ],
  ['a broker by letters', onBroker('one'), errors.invalidRequest, /must be an integer/],
  [
    'loggers',
    { resourceType: configResource.brokerLogger, resource: '1', operations: [] },
    errors.invalidRequest,
    /log level/,
  ],
  [
    'groups without a name',
    { resourceType: configResource.group, resource: '', operations: [] },
    errors.invalidRequest,
    /Default group resources/,
  ],
  [
    'an unknown setting of a group',
    {
      resourceType: configResource.group,
      resource: 'g',
      operations: [{ name: 'consumer.session.timeout', operation: 0, value: '1' }],
    },
    errors.invalidConfig,
    /Did you mean consumer.session.timeout.ms/,
  ],
  [
    'client metrics',
    { resourceType: configResource.clientMetrics, resource: 'm', operations: [] },
    errors.invalidRequest,
    /metrics/,
  ],
  [
    'resource type 77',
    { resourceType: 77, resource: 'x', operations: [] },
    errors.invalidRequest,
    /Unknown resource type 77/,
  ],
]

for (const [title, change, error, message] of refusals) {
  t.test(`change: ${title} is refused with ${error.name}`, async (t) => {
    const controller = await withTopic()
    const good = onBroker('1', operation('message.max.bytes', set, '77'))
    t.match(await controller.incrementalAlterConfigs([change], forReal), [
      { ok: false, error, message },
    ])
    const both = await controller.incrementalAlterConfigs(
      change.resourceType === good.resourceType && change.resource === good.resource
        ? [change]
        : [change, good],
      forReal,
    )
    t.match(both[0], { ok: false, error })
    t.equal(controller.image.topicOverrides('topic').size, 0)
  })
}

t.test('change: a resource twice in one request is refused', async (t) => {
  const controller = await withTopic()
  const change = onTopic(operation('segment.ms', set, '1'))
  t.match(await controller.incrementalAlterConfigs([change, change], forReal), [
    { ok: false, error: errors.invalidRequest },
    { ok: false, error: errors.invalidRequest },
  ])
})

t.test('change: one bad key leaves the whole resource as it was', async (t) => {
  const controller = await withTopic()
  const change = onTopic(operation('retention.ms', set, '5'), operation('segment.ms', set, '-5'))
  t.match(await controller.incrementalAlterConfigs([change], forReal), [{ ok: false }])
  t.equal(controller.image.topicOverrides('topic').size, 0)
})

/** Applies operations one after the other and gives the value of cleanup.policy. */
async function policyAfter(...operations: [number, string | null][]): Promise<string | undefined> {
  const controller = await withTopic()
  for (const [number, value] of operations) {
    const change = onTopic(operation('cleanup.policy', number, value))
    const [outcome] = await controller.incrementalAlterConfigs([change], forReal)
    if (outcome?.ok !== true) throw new Error('refused')
  }
  return controller.image.topicOverrides('topic').get('cleanup.policy')
}

t.test('change: append and subtract work on what is set, or on the default', async (t) => {
  t.equal(await policyAfter([append, 'compact']), 'delete,compact')
  t.equal(await policyAfter([append, 'delete']), 'delete')
  t.equal(await policyAfter([set, 'compact'], [append, 'delete,compact']), 'compact,delete')
  t.equal(await policyAfter([append, 'compact'], [subtract, 'delete']), 'compact')
  t.equal(await policyAfter([subtract, 'delete']), '')
  t.equal(await policyAfter([set, 'compact'], [subtract, 'nothing']), 'compact')
  t.equal(await policyAfter([set, 'compact'], [configOperation.delete, null]), undefined)
})

t.test('change: values are stored in one spelling, and only when they differ', async (t) => {
  const controller = await withTopic()
  const { image } = controller
  await controller.incrementalAlterConfigs(
    [
      onTopic(
        operation('preallocate', set, ' TRUE '),
        operation('min.cleanable.dirty.ratio', set, '1'),
        operation('cleanup.policy', set, 'compact, delete'),
      ),
    ],
    forReal,
  )
  t.same(
    [...image.topicOverrides('topic')],
    [
      ['preallocate', 'true'],
      ['min.cleanable.dirty.ratio', '1.0'],
      ['cleanup.policy', 'compact,delete'],
    ],
  )
  const { offset } = image
  await controller.incrementalAlterConfigs(
    [onTopic(operation('preallocate', set, 'true'))],
    forReal,
  )
  t.equal(image.offset, offset, 'nothing was written')
})

t.test('replace: what is not mentioned goes back to its default', async (t) => {
  const controller = await withTopic()
  const { image } = controller
  const replace = (configs: { name: string; value: string }[]): Promise<unknown> =>
    controller.alterConfigs([{ resourceType: 2, resource: 'topic', configs }], forReal)
  await replace([
    { name: 'retention.ms', value: '5' },
    { name: 'segment.ms', value: '6' },
  ])
  await replace([{ name: 'segment.ms', value: '7' }])
  t.same([...image.topicOverrides('topic')], [['segment.ms', '7']])
  await replace([])
  t.equal(image.topicOverrides('topic').size, 0)
})

t.test('broker: what is set for one and for all is kept apart', async (t) => {
  const controller = await withTopic()
  const change = (value: string): ConfigOperation => operation('message.max.bytes', set, value)
  await controller.incrementalAlterConfigs(
    [onBroker('1', change('1000')), onBroker('', change('2000'))],
    forReal,
  )
  t.equal(controller.image.brokerOverrides(1).get('message.max.bytes'), '1000')
  t.equal(controller.image.brokerOverrides('').get('message.max.bytes'), '2000')
  t.equal(controller.image.brokerOverrides(2).size, 0)
})
