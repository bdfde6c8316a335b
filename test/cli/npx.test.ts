// What npm links as `millrace`: in a fresh clone it has to set everything up first.
import t, { type Test } from 'tap'
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { repositoryPath } from '../support/repository.ts'

const setUp = `
import { mkdirSync, writeFileSync } from 'node:fs'
mkdirSync('dist/bin', { recursive: true })
writeFileSync('dist/bin/millrace.js', 'console.log(process.argv.slice(2).join())')
console.log('set up')
`

function clone(test: Test, setUpText: string): string {
  const folder = test.testdir()
  mkdirSync(join(folder, 'cli'))
  copyFileSync(repositoryPath('cli/npx.cjs'), join(folder, 'cli', 'npx.cjs'))
  writeFileSync(join(folder, 'cli', 'setup.mjs'), setUpText)
  return folder
}

const run = (cwd: string) =>
  spawnSync(process.execPath, ['cli/npx.cjs', 'a', 'b'], { cwd, encoding: 'utf8' })

t.test('npx millrace: sets a fresh clone up, once', async (t) => {
  const folder = clone(t, setUp)
  t.match(run(folder), { status: 0, stdout: 'a,b\n', stderr: 'set up\n' })
  t.match(run(folder), { status: 0, stdout: 'a,b\n', stderr: '' })
})

t.test('npx millrace: a set-up that fails is the end', async (t) => {
  const folder = clone(t, 'process.exit(3)')
  t.match(run(folder), { status: 1, stdout: '', stderr: '' })
})

t.test('npx millrace: is what the package names', async (t) => {
  const { bin } = JSON.parse(readFileSync(repositoryPath('package.json'), 'utf8')) as {
    bin: Record<string, string>
  }
  t.same(bin, { millrace: 'cli/npx.cjs' })
  t.ok(existsSync(repositoryPath('cli/setup.mjs')))
})
