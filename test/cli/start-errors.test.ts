// What `millrace start` says when it can't: a stable code, what is wrong, and what to do about it.
import t from 'tap'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand, startCommand, type Outcome } from './command.ts'

const listener = ['--listener', '127.0.0.1:0', '--log-level', 'error']

/** A data directory that was in use. */
async function usedDirectory(directory: string): Promise<string> {
  const running = startCommand(['start', '--data-dir', directory, ...listener, '--ready-json'])
  await running.firstLine('stdout')
  running.kill('SIGTERM')
  await running.outcome
  return directory
}

function startIn(directory: string, ...more: string[]): Promise<Outcome> {
  return runCommand(['start', '--data-dir', directory, ...listener, ...more])
}

await t.test(
  'start: a directory of another cluster, or of another node, is left alone',
  async (t) => {
    const directory = await usedDirectory(t.testdir())
    const path = join(directory, 'meta.properties')
    const own = readFileSync(path, 'utf8')
    // Without the checksum, as Kafka writes it: a wrong one would tell of damage, which is repaired.
    const foreign = own
      .replace(/^#.*\n/gm, '')
      .replace(/^cluster\.id=.*$/m, 'cluster.id=AAAAAAAAAAAAAAAAAAAAAA')
    t.not(foreign, own)
    writeFileSync(path, foreign)
    const names = readdirSync(directory)
    const outcome = await startIn(directory)
    t.match(outcome, { exitCode: 4, stdout: '', stderr: /AAAAAAAAAAAAAAAAAAAAAA/ })
    t.match(outcome.stderr, /^error\[DIRECTORY_FOREIGN\]/m)
    t.match(outcome.stderr, /choose another log\.dirs/, 'says what to do')
    t.equal(readFileSync(path, 'utf8'), foreign)
    t.same(readdirSync(directory), names)

    writeFileSync(path, own)
    const asOther = await startIn(directory, '--node-id', '77')
    t.not(asOther.exitCode, 0, 'node.id 77')
    t.match(asOther.stderr, /^error\[DIRECTORY_FOREIGN\]: .*not to node 77/m)
  },
)

await t.test('start: a configuration file that can not be read, or says nonsense', async (t) => {
  const directory = t.testdir({
    'folder.properties': {},
    'typo.properties': 'node.id=1\nlog.retention.hour=3\n',
    'value.properties': 'num.partitions=many\n',
  })
  const startWith = (name: string): Promise<Outcome> =>
    startIn(join(directory, 'data'), '--config', join(directory, name))
  t.match(await startWith('folder.properties'), {
    exitCode: 3,
    stdout: '',
    stderr: /^error\[CONFIG_FILE\]: .*folder\.properties.*\n.*EISDIR/m,
  })
  t.match(await startWith('typo.properties'), {
    exitCode: 2,
    stderr: /error\[CONFIG\].*log\.retention\.hour\b.*log\.retention\.hours/s,
  })
  t.match(await startWith('value.properties'), {
    exitCode: 2,
    stderr: /error\[CONFIG\].*num\.partitions.*many.*number/s,
  })
})

await t.test('start: a data directory that is a file', async (t) => {
  const directory = t.testdir({ file: 'x' })
  const outcome = await startIn(join(directory, 'file'))
  t.not(outcome.exitCode, 0)
  t.match(outcome.stderr, /^error\[[A-Z_]+\]: .*file/m)
  t.notMatch(outcome.stderr, /\n\s+at /, 'no stack')
})
