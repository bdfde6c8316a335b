import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { runCommand, startCommand } from './command.ts'

async function startBroker(data: string) {
  const flags = ['--listener', '127.0.0.1:0', '--ready-json', '--log-level', 'error']
  const broker = startCommand(['start', '--data-dir', data, ...flags])
  const ready = JSON.parse(await broker.firstLine('stdout')) as { listeners: string[] }
  return { ...broker, address: ready.listeners[0] ?? '' }
}

t.test('metadata: a deleted topic comes back with its records, if the files do', async (t) => {
  const folder = t.testdir()
  const [data, backup] = [join(folder, 'data'), join(folder, 'backup')]
  const broker = await startBroker(data)
  const at = ['--bootstrap', broker.address]
  t.match(await runCommand([...at, 'topic', 'create', 'kept', '-p', '3']), { exitCode: 0 })
  t.match(await runCommand(['metadata', 'backup', backup, '--data-dir', data]), {
    exitCode: 0,
    stderr: /bytes of metadata are in/,
  })
  t.match(await runCommand([...at, 'topic', 'create', 'later']), { exitCode: 0 })
  t.match(await runCommand(['metadata', 'restore', backup, '--data-dir', data, '--yes']), {
    exitCode: 4,
    stderr: /in use by another process/,
  })
  broker.kill('SIGTERM')
  await broker.outcome
  t.match(await runCommand(['metadata', 'restore', backup, '--data-dir', data, '--yes']), {
    exitCode: 0,
    stderr: /is restored with 1 topics, controller epoch 1001/,
  })
  const again = await startBroker(data)
  const there = ['--bootstrap', again.address]
  t.match(await runCommand([...there, 'topic', 'list']), { exitCode: 0, stdout: /kept/ })
  const produced = await runCommand([...there, 'produce', 'kept'], { input: 'hello\n' })
  t.match(produced, { exitCode: 0 })
  t.match(await runCommand([...there, 'consume', 'kept', '--exit']), { stdout: /hello/ })
  again.kill('SIGTERM')
  t.match(await again.outcome, { exitCode: 0 })
})

t.test('metadata: a store or a file that is none is refused', async (t) => {
  const folder = t.testdir({ none: {} })
  const file = join(folder, 'file')
  const missing = ['metadata', 'restore', file, '--data-dir', join(folder, 'none'), '--yes']
  t.match(await runCommand(missing), { exitCode: 3, stderr: /can't be read/ })
  writeFileSync(file, 'text')
  t.match(await runCommand(missing), { exitCode: 1, stderr: /no backup|damaged/ })
  const target = join(folder, 'backup')
  const empty = await runCommand(['metadata', 'backup', target, '--data-dir', join(folder, 'none')])
  t.match(empty, { exitCode: 1, stderr: /empty/ })
  t.notOk(existsSync(target))
})
