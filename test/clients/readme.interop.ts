/** The README's example does what it says, against Millrace and against Apache Kafka, with no change but the address. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { transformSync } from 'esbuild'
import t from 'tap'

import { startKafka } from './kafka.ts'
import { startMillrace } from './millrace.ts'
import { repositoryRoot, temporaryDirectory } from './places.ts'
import { run } from './processes.ts'

t.setTimeout(180_000)
const readme = readFileSync(join(repositoryRoot, 'README.md'), 'utf8')
const example = /```ts\n(import \{ json.*?)```/s.exec(readme)?.[1] ?? ''
const expected = ['0: anna ordered 1 tea', '1: anna ordered 2 tea', '2: anna ordered 3 tea', '']

t.test('README: the example has 20 lines at most', async (t) => {
  t.ok(example.includes("from 'millrace'"))
  const lines = example.split('\n').filter((line) => line.trim() !== '')
  t.ok(lines.length <= 20, `${lines.length} lines`)
})

for (const [name, start] of [
  ['Millrace', startMillrace],
  ['Apache Kafka', startKafka],
] as const) {
  t.test(`README: the example runs against ${name}`, async (t) => {
    const folder = temporaryDirectory('readme')
    const server = await start({
      dataDirectory: join(folder.path, 'data'),
      properties: { 'group.initial.rebalance.delay.ms': '0' },
    })
    t.teardown(async () => {
      await server.stop()
      folder.remove()
    })
    const source = example
      .replace('127.0.0.1:9092', server.address)
      .replace("'millrace'", `'${join(repositoryRoot, 'dist', 'sdk', 'index.js')}'`)
    const { code } = transformSync(source, { loader: 'ts', target: 'node20', format: 'esm' })
    const program = join(folder.path, 'example.mjs')
    writeFileSync(program, code)
    const { stdout, stderr } = await run(process.execPath, [program], { timeoutMs: 60_000 })
    t.same(stdout.split('\n'), expected)
    t.equal(stderr, '')
  })
}
