/** Consumers that read all partitions from the beginning while faults strike; their own offsets, no group. */
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

import { clientsDirectory, compiledRoot } from '../clients/places.ts'
import { exitOf } from '../clients/processes.ts'
import { drained } from './drained.ts'
import type { History } from './history.ts'

const programs = {
  librdkafka: ['python3', join(clientsDirectory, 'python', 'watch.py')],
  sdk: [process.execPath, join(compiledRoot, 'test', 'clients', 'sdk-watch.js')],
}

export interface ReaderTarget {
  readonly brokers: string
  readonly topic: string
  readonly partitionCount: number
}

export class ClusterReaders {
  readonly #readers: readonly ClusterReader[]

  constructor(target: ReaderTarget) {
    this.#readers = Object.entries(programs).map(
      ([name, program]) => new ClusterReader(name, program, target),
    )
  }

  /** Waits until each has read what the logs hold, and compares. */
  async judge(history: History): Promise<void> {
    for (const reader of this.#readers) await reader.judge(history)
  }

  counts(): Record<string, number> {
    return Object.fromEntries(this.#readers.map(({ name, count }) => [name, count]))
  }

  async kill(): Promise<void> {
    await Promise.all(this.#readers.map((reader) => reader.kill()))
  }
}

class ClusterReader {
  readonly name: string
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #exited: Promise<number>
  /** Of each partition, in the order of arrival. */
  readonly #offsets: number[][]
  readonly #values: string[][]
  #output = ''

  constructor(name: string, program: readonly string[], target: ReaderTarget) {
    const { brokers, topic, partitionCount } = target
    const [command = '', ...args] = program
    this.name = name
    this.#offsets = Array.from({ length: partitionCount }, () => [])
    this.#values = Array.from({ length: partitionCount }, () => [])
    this.#child = spawn(command, [...args, brokers, topic, `${partitionCount}`], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.#exited = exitOf(this.#child)
    this.#exited.catch(() => undefined)
    this.#child.stdin.on('error', () => undefined)
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#output = (this.#output + text).slice(-4000)
    })
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      // What a kill cuts off in the middle says nothing.
      if (this.#child.killed) return
      const [word, partition, offset, value = ''] = line.split(' ')
      if (word !== 'record') {
        this.#output += `${line}\n`
        return
      }
      this.#offsets[Number(partition)]!.push(Number(offset))
      this.#values[Number(partition)]!.push(value)
    })
  }

  get count(): number {
    return this.#offsets.reduce((sum, { length }) => sum + length, 0)
  }

  async judge(history: History): Promise<void> {
    const unread = (offsets: readonly number[], partition: number) =>
      Math.max(0, history.nextOffset(partition) - (offsets.at(-1) ?? -1) - 1)
    const unreadCount = () => this.#offsets.map(unread).reduce((sum, count) => sum + count, 0)
    if (!(await drained(unreadCount))) {
      const ends = this.#offsets.map((offsets) => offsets.at(-1))
      throw new Error(`${this.name} has not read everything: ${ends.join()}\n${this.#output}`)
    }
    for (const [partition, offsets] of this.#offsets.entries()) {
      for (const [index, offset] of offsets.entries()) {
        const before = offsets[index - 1] ?? -1
        if (offset !== before + 1) history.noteSkip(this.name, partition, before, offset)
        history.compareRead(this.name, partition, offset, this.#values[partition]![index]!)
      }
    }
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }
}
