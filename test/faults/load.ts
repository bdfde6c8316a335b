/** Load clients: real idempotent producers in their own processes, reporting every acknowledgement. */
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

import { toolFlags } from '../clients/kafka.ts'
import { clientsDirectory, compiledRoot, jarsClasspath } from '../clients/places.ts'
import { exitOf } from '../clients/processes.ts'

export const loadClients = {
  java: ['java', ...toolFlags, '-cp', jarsClasspath, 'Client', 'load'],
  librdkafka: ['python3', join(clientsDirectory, 'python', 'load.py')],
  sdk: [process.execPath, join(compiledRoot, 'test', 'clients', 'sdk-load.js')],
} as const satisfies Record<string, readonly string[]>

export type LoadClientName = keyof typeof loadClients

/** Who is told; a History is one. */
export interface LoadListener {
  readonly partitionCount: number
  /** `offset` is undefined when the client was not told. */
  acknowledge(partition: number, offset: number | undefined, value: string): void
  refuse(text: string): void
}

export interface LoadTarget {
  readonly brokers: string
  readonly topic: string
  readonly history: LoadListener
}

export class LoadClient {
  readonly name: LoadClientName
  /** Acknowledgements so far. */
  acknowledgedCount = 0
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #exited: Promise<number>
  #done = false
  #errorOutput = ''

  /** After each 20 records the client rests for `pauseMs`. */
  constructor(name: LoadClientName, target: LoadTarget, { pauseMs = 5 } = {}) {
    const [command, ...args] = loadClients[name]
    const { history } = target
    this.name = name
    this.#child = spawn(
      command,
      [...args, target.brokers, target.topic, `${history.partitionCount}`, name, `${pauseMs}`],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    )
    this.#exited = exitOf(this.#child)
    this.#child.stdin.on('error', () => {})
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errorOutput = (this.#errorOutput + text).slice(-4000)
    })
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      // What a kill cuts off in the middle says nothing.
      if (this.#child.killed) return
      const [word, partition, offset, value = ''] = line.split(' ')
      if (word === 'ack') {
        this.acknowledgedCount++
        history.acknowledge(Number(partition), offsetOf(offset), value)
      } else if (word === 'done') {
        this.#done = true
      } else {
        history.refuse(`${name}: ${line}`)
      }
    })
  }

  /** Sends no more, and waits until everything sent is acknowledged. */
  async finish(): Promise<void> {
    this.#child.stdin.end()
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 150_000)
    const code = await this.#exited.finally(() => clearTimeout(timer))
    if (!this.#done) throw new Error(`${this.name} did not finish (${code})\n${this.#errorOutput}`)
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }
}

/** Java says -1, librdkafka's Python None when the broker has not told. */
function offsetOf(text: string | undefined): number | undefined {
  if (text === '-1' || text === 'None') return undefined
  const offset = Number(text)
  if (!Number.isSafeInteger(offset) || offset < 0) throw new Error(`${text} is no offset`)
  return offset
}
