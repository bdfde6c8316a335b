/** Every client program behind one interface: produce a text file, consume partitions into files. */
import { createWriteStream, existsSync, mkdirSync } from 'node:fs'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { toolFlags } from './kafka.ts'
import { clientsDirectory, jarsClasspath, node24 } from './places.ts'
import { run } from './processes.ts'

export const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
export type Codec = (typeof codecs)[number]

export interface Client {
  readonly name: string
  /** Sends every "key TAB value" line of `file`, with idempotence where the client has it. */
  produce(options: ProduceOptions): Promise<void>
  /** Writes `folder`/PARTITION with lines "offset TAB key TAB value" from the start to the end. */
  consume(options: ConsumeOptions): Promise<void>
}

export interface ProduceOptions {
  readonly brokers: string
  readonly topic: string
  readonly codec: Codec
  readonly file: string
}

export interface ConsumeOptions {
  readonly brokers: string
  readonly topic: string
  readonly partitionCount: number
  readonly folder: string
}

const kcat: Client = {
  name: 'kcat',
  async produce({ brokers, topic, codec, file }) {
    const target = ['-b', brokers, '-t', topic, '-z', codec]
    const settings = ['-X', 'enable.idempotence=true', '-X', 'linger.ms=5']
    await run('kcat', ['-P', ...target, '-K', '\t', ...settings, '-l', file])
  },
  async consume({ brokers, topic, partitionCount, folder }) {
    mkdirSync(folder, { recursive: true })
    const all = join(folder, 'all')
    const format = '%p\t%o\t%k\t%s\n'
    const args = ['-C', '-b', brokers, '-t', topic, '-o', 'beginning', '-e', '-q', '-f', format]
    await run('kcat', args, { outputFile: all })
    const streams = Array.from({ length: partitionCount }, (_, partition) =>
      createWriteStream(join(folder, `${partition}`)),
    )
    for await (const line of createInterface({ input: createReadStream(all) })) {
      const tab = line.indexOf('\t')
      streams[Number(line.slice(0, tab))]!.write(`${line.slice(tab + 1)}\n`)
    }
    await Promise.all(streams.map((stream) => new Promise<void>((done) => stream.end(done))))
  },
}

/** A client program of ours that takes the common command line. */
function program(name: string, command: readonly string[], produceFlags: string[] = []): Client {
  const [executable = '', ...leading] = command
  return {
    name,
    async produce({ brokers, topic, codec, file }) {
      await run(executable, [...leading, 'produce', brokers, topic, codec, file, ...produceFlags])
    },
    async consume({ brokers, topic, partitionCount, folder }) {
      await run(executable, [...leading, 'consume', brokers, topic, `${partitionCount}`, folder])
    },
  }
}

const javascript = join(clientsDirectory, 'javascript')
const goProgram = join(clientsDirectory, 'go', 'client')

/** kcat first: it is the first client of every comparison. */
export const clients: readonly Client[] = [
  kcat,
  program('kafkajs', [node24, join(javascript, 'kafkajs.mjs')], ['idempotent']),
  program('platformatic', [node24, join(javascript, 'platformatic.mjs')], ['idempotent']),
  program('java', ['java', ...toolFlags, '-cp', jarsClasspath, 'Client']),
  ...(existsSync(goProgram) ? [program('franz-go', [goProgram])] : []),
]
