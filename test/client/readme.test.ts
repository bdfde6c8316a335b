// The snippets of client/README.md are one program, which has to work.
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { startBroker } from '../../broker/testing.ts'
import { repositoryPath } from '../support/repository.ts'

const execute = promisify(execFile)
const limitMs = 60_000

t.test('readme: the snippets of the guide, one after the other', async (t) => {
  const broker = await startBroker()
  t.teardown(() => broker.stop())
  const guide = readFileSync(repositoryPath('client/README.md'), 'utf8')
  const snippets = [...guide.matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, code]) => code)
  t.ok(snippets.length > 10)
  // The build that this test is part of.
  const program = snippets
    .join('\n')
    .replaceAll(`'127.0.0.1:9092'`, `'${broker.address}'`)
    .replaceAll(
      `'millrace/testing'`,
      `'${new URL('../../broker/testing.js', import.meta.url).href}'`,
    )
    .replaceAll(`'millrace'`, `'${new URL('../../client/index.js', import.meta.url).href}'`)
  const folder = mkdtempSync(join(tmpdir(), 'millrace-guide-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const source = join(folder, 'guide.ts')
  const script = join(folder, 'guide.mjs')
  writeFileSync(source, program)
  await execute(repositoryPath('node_modules/.bin/esbuild'), [source, `--outfile=${script}`])
  const { stdout, stderr } = await execute(process.execPath, [script], { timeout: limitMs })
  t.equal(stderr, '', 'no warning, nothing to be retried')
  t.match(stdout, /^4\norders-\d at \d+\n/, 'partitions, and where the first record is')
  t.match(stdout, /RECORD_TOO_LARGE config false orders/)
})
