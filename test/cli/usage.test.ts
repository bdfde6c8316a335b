import t from 'tap'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { runCommand } from './command.ts'

t.test('usage: help and version are no failures', async (t) => {
  const help = await runCommand(['--help'])
  t.equal(help.exitCode, 0)
  t.match(help.stdout, /Exit codes/)
  t.match(await runCommand(['--version']), { exitCode: 0, stdout: /^\d+\.\d+\.\d+\n$/, stderr: '' })
  t.match(await runCommand(['consume', '--help']), {
    exitCode: 0,
    stdout: /millrace consume orders --from @-1h/,
  })
})

for (const args of [
  [],
  ['nonsense'],
  ['topic', 'nonsense'],
  ['produce'],
  ['topic', 'create'],
  ['topic', 'list', '-o', 'xml'],
  ['topic', 'list', '--nonsense'],
  ['topic', 'create', 'a', '-p', '0'],
  ['topic', 'create', 'a', '-p', '3000000000'],
  ['topic', 'create', 'a', '-r', '40000'],
  ['-b', 'foo:bar', 'topic', 'list'],
  ['produce', 'bad name!'],
  ['produce', 'a', '--level', '23'],
  ['produce', 'a', '--batch-bytes', '2000000000'],
  ['consume', 'a', '--group', ''],
  ['consume', 'a', '--from', '@99999999999999999999'],
  ['topic', 'create', 'a', '-c', 'novalue'],
  ['topic', 'alter', 'a'],
  ['produce', 'a', '--acks', '2'],
  ['produce', 'a', '--compression', 'zip'],
  ['produce', 'a', '--json', '--key-separator', ':'],
  ['consume', 'a', '--from', 'middle'],
  ['consume', 'a', '-e', '-F'],
  ['consume', 'a', '-n', '0'],
  ['start', '--set', 'novalue'],
  ['start', '--log-level', 'loud'],
]) {
  t.test(
    `usage: "millrace ${args.join(' ')}" ends with 2 and prints nothing on stdout`,
    async (t) => {
      const { exitCode, stdout, stderr } = await runCommand(args)
      t.equal(exitCode, 2)
      t.equal(stdout, '')
      t.not(stderr, '')
    },
  )
}

t.test('unreachable: nobody listens', async (t) => {
  // A port that was free a moment ago.
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  server.close()
  await once(server, 'close')
  const text = await runCommand(['-b', `127.0.0.1:${port}`, 'topic', 'list'])
  t.match(text, {
    exitCode: 5,
    stdout: '',
    stderr: /^error\[UNREACHABLE\]: 127.0.0.1:\d+ .*ECONNREFUSED\nfix: /,
  })
  const json = await runCommand(['topic', 'list', '-o', 'json'], {
    environment: { KAFKA_BROKERS: `127.0.0.1:${port}` },
  })
  t.match(json, { exitCode: 5, stdout: '' })
  t.match(JSON.parse(json.stderr), { error: { code: 'UNREACHABLE', fix: /--bootstrap/ } })
})

t.test('unreachable: somebody else listens', async (t) => {
  const server = createServer((socket) =>
    socket.on('error', () => undefined).end('SSH-2.0-OpenSSH_9.6\r\n'),
  ).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const outcome = await runCommand(['-b', `127.0.0.1:${port}`, 'topic', 'list'])
  server.close()
  t.match(outcome, {
    exitCode: 5,
    stderr: /^error\[PROTOCOL\]: .*does not speak the Kafka protocol/,
  })
})
