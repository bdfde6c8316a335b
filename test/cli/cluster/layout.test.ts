import t from 'tap'
import { layoutText, parseLayout, planLayout } from '../../../cli/cluster/layout.ts'

const none = { brokerCount: undefined, basePort: undefined, properties: {}, forgotten: [] }

t.test('layout: three brokers from 9092 on, the controller behind them', async (t) => {
  const layout = planLayout(undefined, none)
  t.same(layout, {
    basePort: 9092,
    controllerPort: 9095,
    brokers: [1, 2, 3].map((id) => ({ id, port: 9091 + id })),
    properties: {},
  })
  t.same(parseLayout(layoutText(layout)), layout, 'comes back from its file')
})

t.test('layout: a later start keeps who is where, and adds', async (t) => {
  const first = planLayout(undefined, { ...none, brokerCount: 3, basePort: 5000 })
  t.same(planLayout(first, none), first)
  const more = planLayout(first, { ...none, brokerCount: 4 })
  t.same(more.brokers[3], { id: 4, port: 5004 }, 'the controller has 5003')
  t.equal(more.controllerPort, 5003)
  const gone = { ...more, brokers: more.brokers.filter(({ id }) => id !== 2) }
  t.same(planLayout(gone, none), gone)
  t.same(
    planLayout(gone, { ...none, brokerCount: 4 }).brokers.map(({ id }) => id),
    [1, 3, 4, 5],
  )
  t.throws(() => planLayout(first, { ...none, brokerCount: 2 }), {
    code: 'FEWER_BROKERS',
  })
  t.equal(
    planLayout(first, { ...none, brokerCount: 3, basePort: 7000 }).controllerPort,
    7003,
    'moves',
  )
})

t.test('layout: free ports stay what they became', async (t) => {
  const first = planLayout(undefined, { ...none, brokerCount: 2, basePort: 0 })
  t.same(
    first.brokers.map(({ port }) => port),
    [0, 0],
  )
  const known = {
    basePort: 0,
    controllerPort: 40_000,
    brokers: [
      { id: 1, port: 40_001 },
      { id: 2, port: 39_000 },
    ],
    properties: {},
  }
  t.same(planLayout(known, none), known)
  t.same(planLayout(known, { ...none, brokerCount: 3 }).brokers[2], { id: 3, port: 0 })
})

t.test('layout: bad numbers and bad files', async (t) => {
  t.throws(() => planLayout(undefined, { ...none, brokerCount: 100 }), {
    code: 'USAGE',
  })
  t.throws(() => planLayout(undefined, { ...none, brokerCount: 3, basePort: 65_534 }), {
    code: 'USAGE',
  })
  for (const text of [
    '',
    'x',
    'null',
    '{}',
    '{"version":2}',
    '{"version":1,"basePort":1,"controllerPort":2,"brokers":[]}',
    '{"version":1,"basePort":1,"controllerPort":0,"brokers":[{"id":1,"port":3}]}',
    '{"version":1,"basePort":1,"controllerPort":2,"brokers":[{"id":"1","port":3}]}',
    '{"version":1,"basePort":1,"controllerPort":2,"brokers":[1]}',
  ])
    t.equal(parseLayout(text), undefined, text)
})

t.test('layout: properties hold at later starts, until they are changed or unset', async (t) => {
  const first = planLayout(undefined, { ...none, properties: { a: '1', b: '2' } })
  t.same(parseLayout(layoutText(first)), first)
  t.same(planLayout(first, none).properties, { a: '1', b: '2' })
  t.same(planLayout(first, { ...none, properties: { b: '3' } }).properties, { a: '1', b: '3' })
  t.same(planLayout(first, { ...none, forgotten: ['a'] }).properties, { b: '2' })
  t.throws(() => planLayout(first, { ...none, forgotten: ['c'] }), { code: 'USAGE' })
  const { properties: _properties, ...without } = JSON.parse(layoutText(first)) as typeof first
  t.same(parseLayout(JSON.stringify(without))?.properties, {}, 'of a version that kept none')
  const broken = { ...without, properties: { a: 1 } }
  t.equal(parseLayout(JSON.stringify(broken)), undefined)
})
