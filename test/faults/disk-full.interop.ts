/** A broker whose disk is full, and one that has no file descriptors left. Needs root for the first. */
import { rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { once } from 'node:events'

import t, { type Test } from 'tap'

import { CreateTopics } from '../../protocol/messages/create-topics.ts'
import { Fetch } from '../../protocol/messages/fetch.ts'
import { Produce } from '../../protocol/messages/produce.ts'
import { BatchBuilder } from '../../protocol/records/builder.ts'
import { recordsOf } from '../../protocol/records/record.ts'
import { startMillrace } from '../clients/millrace.ts'
import { temporaryDirectory } from '../clients/places.ts'
import { eventually, run } from '../clients/processes.ts'
import type { Server } from '../clients/server.ts'
import { WireClient } from '../support/wire-client.ts'

const storageError = 56
const topic = 'full'
const diskBytes = 32 * 1024 * 1024
const ballastBytes = 3 * 1024 * 1024
const valueBytes = 60_000

interface Mount {
  readonly name: string
  readonly mount: (path: string, folder: string) => Promise<void>
}

const tmpfs: Mount = {
  name: 'tmpfs',
  mount: async (path) => {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${diskBytes}`, 'tmpfs', path])
  },
}

const ext4: Mount = {
  name: 'ext4',
  mount: async (path, folder) => {
    const image = join(folder, 'disk.img')
    await run('truncate', ['-s', String(diskBytes + 8 * 1024 * 1024), image])
    await run('mkfs.ext4', ['-qF', '-m', '0', image])
    await run('mount', ['-o', 'loop', image, path])
  },
}

/** Knows what was acknowledged. */
class Writer {
  readonly acknowledged: string[]
  readonly #client: WireClient

  constructor(client: WireClient, acknowledged: readonly string[] = []) {
    this.#client = client
    this.acknowledged = [...acknowledged]
  }

  with(client: WireClient): Writer {
    return new Writer(client, this.acknowledged)
  }

  /** The error code. */
  async write(bytes = valueBytes): Promise<number> {
    const value = `${this.acknowledged.length}:`.padEnd(bytes, 'x')
    const builder = new BatchBuilder()
    builder.append(null, value, [], Date.now())
    const { responses } = await this.#client.send(Produce, 9, {
      acks: -1,
      timeoutMs: 20_000,
      topicData: [{ name: topic, partitionData: [{ index: 0, records: builder.finish() }] }],
    })
    const answer = responses[0]!.partitionResponses[0]!
    if (answer.errorCode !== 0) return answer.errorCode
    if (answer.baseOffset !== this.acknowledged.length) throw new Error('an offset was left out')
    this.acknowledged.push(value)
    return 0
  }

  async writeUntilRefused(): Promise<number> {
    for (let count = 0; count < 10_000; count++) {
      const code = await this.write()
      if (code !== 0) return code
    }
    throw new Error('the disk does not become full')
  }
}

async function readAll(client: WireClient): Promise<string[]> {
  const values: string[] = []
  for (;;) {
    const { responses } = await client.send(Fetch, 12, {
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: 4_000_000,
      topics: [
        {
          topic,
          partitions: [{ partition: 0, fetchOffset: values.length, partitionMaxBytes: 4_000_000 }],
        },
      ],
    })
    const partition = responses[0]!.partitions[0]!
    if (partition.errorCode !== 0) throw new Error(`Fetch failed with ${partition.errorCode}`)
    const records = partition.records ?? Buffer.alloc(0)
    if (records.length === 0) {
      if (partition.highWatermark !== values.length) throw new Error('the high watermark is off')
      return values
    }
    for (let at = 0; at < records.length;) {
      const end = at + 12 + records.readInt32BE(at + 8)
      for (const { value } of recordsOf(records.subarray(at, end)))
        values.push(value?.toString() ?? '')
      at = end
    }
  }
}

async function createTopic(client: WireClient): Promise<void> {
  await client.send(CreateTopics, 5, {
    topics: [{ name: topic, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
    timeoutMs: 10_000,
  })
}

async function start(t: Test, dataDirectory: string): Promise<Server> {
  const properties = { 'flush.policy': 'ack', 'log.segment.bytes': '1048576' }
  const server = await startMillrace({ dataDirectory, properties })
  t.teardown(async () => {
    if (server.exitCode() === undefined) await server.kill()
  })
  return server
}

for (const { name, mount } of [tmpfs, ext4]) {
  await t.test(`a full disk, ${name}: refused, nothing lost, and it goes on`, async (t) => {
    const folder = temporaryDirectory('disk-full')
    const disk = join(folder.path, 'disk')
    await run('mkdir', [disk])
    await mount(disk, folder.path)
    t.teardown(async () => {
      await run('umount', [disk])
      folder.remove()
    })
    const ballast = [1, 2, 3].map((number) => join(disk, `ballast-${number}`))
    for (const path of ballast) writeFileSync(path, Buffer.alloc(ballastBytes))
    const free = (): void => rmSync(ballast.shift() ?? '')
    const data = join(disk, 'data')
    let server = await start(t, data)
    let client = await WireClient.connect(server)
    await createTopic(client)
    let writer = new Writer(client)

    t.equal(await writer.writeUntilRefused(), storageError, 'the error is answered')
    for (let again = 0; again < 5; again++) t.equal(await writer.write(), storageError, 'again')
    t.same(await readAll(client), writer.acknowledged, 'reads go on, nothing partial is there')
    t.match(server.errorOutput(), /ENOSPC/, 'the log names the reason')

    free()
    t.equal(await writer.write(), 0, 'with space it takes appends again')
    t.equal(await writer.writeUntilRefused(), storageError, 'full once more')
    await server.kill()
    client.close()

    // It may refuse to start without space, but must not make it worse.
    const early = await start(t, data).catch((error: unknown) => t.comment(String(error)))
    await early?.kill()
    free()
    server = await start(t, data)
    client = await WireClient.connect(server)
    t.same(await readAll(client), writer.acknowledged, 'all is there after kill -9 on a full disk')

    writer = writer.with(client)
    t.equal(await writer.writeUntilRefused(), storageError, 'full for the third time')
    await server.stop().catch((error: unknown) => t.comment(String(error)))
    client.close()
    free()
    server = await start(t, data)
    client = await WireClient.connect(server)
    t.same(await readAll(client), writer.acknowledged, 'and after a stop on a full disk')
    t.equal(await writer.with(client).write(), 0)
    client.close()
  })
}

await t.test('no descriptors left: who is connected is served, others later', async (t) => {
  const folder = temporaryDirectory('descriptors')
  t.teardown(() => folder.remove())
  process.env['MILLRACE_NODE'] = 'prlimit'
  const server = await startMillrace({
    dataDirectory: join(folder.path, 'data'),
    runtimeArguments: ['--nofile=128', process.execPath],
    properties: { 'log.segment.bytes': '1048576' },
  }).finally(() => delete process.env['MILLRACE_NODE'])
  t.teardown(() => server.kill())
  const client = await WireClient.connect(server)
  t.teardown(() => client.close())
  await createTopic(client)
  const writer = new Writer(client)
  t.equal(await writer.write(), 0)

  const sockets = await crowd(server, 300)
  t.teardown(() => sockets.forEach((socket) => socket.destroy()))
  // Rolls segments: new files are needed.
  for (let count = 0; count < 40; count++) t.equal(await writer.write(), 0)
  t.same(await readAll(client), writer.acknowledged)
  t.match(server.errorOutput(), /"level":40.*file descriptors are in use \(ulimit -n\)/)
  t.notMatch(server.errorOutput(), /"level":50/, 'no error beside that')

  for (const socket of sockets) socket.destroy()
  const late = await eventually(() => served(server), {
    timeoutMs: 10_000,
    describe: () => 'a new client is served when the others have left',
  })
  t.same(await readAll(late), writer.acknowledged)
  late.close()
  t.equal(server.exitCode(), undefined, 'it lives')
})

/** Connections that are there, or were closed by the broker at once. */
async function crowd(server: Server, count: number): Promise<Socket[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const socket = connect(server.port, server.host)
      socket.on('error', () => undefined)
      await Promise.race([once(socket, 'connect'), once(socket, 'close')])
      return socket
    }),
  )
}

async function served(server: Server): Promise<WireClient | undefined> {
  const client = await WireClient.connect(server)
  try {
    await readAll(client)
    return client
  } catch {
    return undefined
  }
}
