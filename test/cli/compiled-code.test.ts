// The command runs with code that the build has compiled, where Node keeps none itself (before 22).
import t, { type Test } from 'tap'
import { spawnSync } from 'node:child_process'
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import module from 'node:module'
import { join } from 'node:path'
import { repositoryPath } from '../support/repository.ts'

const built = repositoryPath('dist/bin')
const nodeKeepsCode = 'enableCompileCache' in module
const compiledFile = `main.${process.platform}-${process.arch}.compiled`

function copyOf(test: Test): string {
  const folder = test.testdir()
  for (const name of readdirSync(built))
    if (!name.endsWith('.map')) copyFileSync(join(built, name), join(folder, name))
  return folder
}

/** Runs `millrace --version`; the last line says whether V8 refused the compiled code, undefined where there was none. */
function run(folder: string): Record<'version' | 'refused', string | undefined> {
  const script = `
    process.argv = [process.execPath, 'millrace', '--version']
    const { script } = require(${JSON.stringify(join(folder, 'millrace.js'))})
    process.on('exit', () => console.log(String(script?.cachedDataRejected)))`
  const { stdout } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' })
  const [version, refused] = stdout.split('\n')
  return { version, refused }
}

const { version } = JSON.parse(readFileSync(repositoryPath('package.json'), 'utf8')) as {
  version: string
}

t.test('compiled code: what the build left is taken', async (t) => {
  t.same(run(copyOf(t)), { version, refused: nodeKeepsCode ? 'undefined' : 'false' })
})

t.test('compiled code: one that does not fit is refused, and the command works', async (t) => {
  const folder = copyOf(t)
  writeFileSync(join(folder, compiledFile), Buffer.alloc(1000, 7))
  t.same(run(folder), { version, refused: nodeKeepsCode ? 'undefined' : 'true' })
})

t.test('compiled code: the command works without', async (t) => {
  const folder = t.testdir()
  for (const name of ['millrace.js', 'main.cjs', 'package.json'])
    copyFileSync(join(built, name), join(folder, name))
  t.same(run(folder), { version, refused: 'undefined' })
})
