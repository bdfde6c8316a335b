/**
 * Members of a consumer group: real clients in processes of their own, which print what happens to
 * them (README.md, "Group members"). They leave the group when their input ends.
 */
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

import { toolFlags } from './kafka.ts'
import { clientsDirectory, compiledRoot, jarsClasspath, node24 } from './places.ts'
import { eventually, exitOf } from './processes.ts'

const javascript = join(clientsDirectory, 'javascript')
const goProgram = join(clientsDirectory, 'go', 'client')

export const memberPrograms = {
  java: ['java', '-Xmx128m', ...toolFlags, '-cp', jarsClasspath, 'Member'],
  kafkajs: [node24, join(javascript, 'kafkajs-member.mjs')],
  platformatic: [node24, '--no-warnings', join(javascript, 'platformatic-member.mjs')],
  librdkafka: ['python3', join(clientsDirectory, 'python', 'member.py')],
  'franz-go': [goProgram, 'member'],
  sdk: [process.execPath, join(compiledRoot, 'test', 'clients', 'sdk-member.js')],
} as const satisfies Record<string, readonly string[]>

export type MemberProgram = keyof typeof memberPrograms

/** Go is optional (setup.sh). */
export const hasGo = existsSync(goProgram)

export interface MemberSettings {
  readonly protocol?: 'classic' | 'consumer'
  readonly assignor?: string
  /** group.instance.id */
  readonly instance?: string
  /** Session timeout and heartbeat interval in milliseconds; only the classic protocol's. */
  readonly session?: number
  readonly heartbeat?: number
}

export interface MemberTarget {
  readonly brokers: string
  readonly group: string
  readonly topic: string
}

export interface MemberListener {
  /** Times are the member's own wall clock, in milliseconds. */
  record?(member: GroupMember, timeMs: number, record: MemberRecord): void
  assigned?(member: GroupMember, timeMs: number, partitions: readonly number[]): void
  /** Given up: `lost` when the member only heard of it. */
  revoked?(member: GroupMember, timeMs: number, partitions: readonly number[], lost: boolean): void
  /** The broker acknowledged the commit. */
  committed?(member: GroupMember, partition: number, offset: number): void
}

export interface MemberRecord {
  readonly partition: number
  readonly offset: number
  readonly timestampMs: number
}

const logLengthMax = 20_000

export class GroupMember {
  readonly name: string
  readonly program: readonly string[]
  /** What it owns now, as it knows. */
  readonly partitions = new Set<number>()
  readonly records: MemberRecord[] = []
  /** How often it was told of an assignment. */
  assignedCount = 0
  /** Everything it gave up or lost so far, in order. */
  readonly revokedPartitions: number[] = []
  generation = -1
  /** How often its consumer was of no use any more, by a fault of its own, and another took its place. */
  restartedCount = 0
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #exited: Promise<number>
  readonly #listener: MemberListener
  #log = ''
  #left = false

  constructor(
    program: readonly string[],
    target: MemberTarget,
    settings: MemberSettings = {},
    options: { readonly name?: string; readonly listener?: MemberListener } = {},
  ) {
    const [command = '', ...args] = program
    const pairs = Object.entries(settings).map(([name, value]) => `${name}=${value}`)
    this.program = program
    this.name = options.name ?? program.at(-1) ?? ''
    this.#listener = options.listener ?? {}
    const target3 = [target.brokers, target.group, target.topic]
    this.#child = spawn(command, [...args, ...target3, ...pairs], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.#exited = exitOf(this.#child)
    this.#exited.catch(() => {})
    this.#child.stdin.on('error', () => {})
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => this.#keep(text))
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#take(line))
  }

  /** The end of what it printed, without its records. */
  get log(): string {
    return this.#log
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Leaves the group in good order. Rejects when it does not, with what its threads are at, which SIGQUIT makes it tell. */
  async leave(): Promise<void> {
    this.#child.stdin.end()
    const timers = [
      setTimeout(() => this.#child.kill('SIGQUIT'), 30_000),
      setTimeout(() => this.#child.kill('SIGKILL'), 32_000),
    ]
    await this.#exited.finally(() => timers.forEach(clearTimeout))
    if (!this.#left) throw new Error(`${this.name} did not leave\n${this.#log}`)
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal)
  }

  #take(line: string): void {
    const [word, time, ...rest] = line.split(' ')
    const timeMs = Number(time)
    const last = rest.at(-1) ?? ''
    if (word === 'record') {
      const [partition, offset, timestampMs] = rest.map(Number) as [number, number, number]
      const record = { partition, offset, timestampMs }
      this.records.push(record)
      this.#listener.record?.(this, timeMs, record)
      return
    }
    this.#keep(`${line}\n`)
    if (word === 'assigned') {
      const partitions = numbersOf(last)
      this.assignedCount++
      this.generation = Number(rest[0])
      for (const partition of partitions) this.partitions.add(partition)
      this.#listener.assigned?.(this, timeMs, partitions)
    } else if (word === 'revoked' || word === 'lost') {
      const partitions = numbersOf(last)
      for (const partition of partitions) this.partitions.delete(partition)
      this.revokedPartitions.push(...partitions)
      this.#listener.revoked?.(this, timeMs, partitions, word === 'lost')
    } else if (word === 'committed') {
      for (const pair of last.split(',')) {
        const [partition = NaN, offset = NaN] = pair.split(':').map(Number)
        this.#listener.committed?.(this, partition, offset)
      }
    } else if (word === 'restarted') this.restartedCount++
    else if (word === 'left') {
      this.partitions.clear()
      this.#left = true
    }
  }

  #keep(text: string): void {
    this.#log = (this.#log + text).slice(-logLengthMax)
  }
}

function numbersOf(list: string): number[] {
  return list === '' ? [] : list.split(',').map(Number)
}

/** Waits until the members own all partitions, each one once, and evenly. */
export async function shared(
  members: readonly GroupMember[],
  partitionCount: number,
  { even = true, timeoutMs = 30_000 } = {},
): Promise<void> {
  const isShared = (): true | undefined => {
    const dead = members.find(({ running }) => !running)
    if (dead !== undefined) throw new Error(`${dead.name} ended\n${dead.log}`)
    const sizes = members.map(({ partitions }) => partitions.size)
    const owned = new Set(members.flatMap(({ partitions }) => [...partitions]))
    const total = sizes.reduce((sum, size) => sum + size, 0)
    if (total !== partitionCount || owned.size !== partitionCount) return undefined
    return !even || Math.max(...sizes) - Math.min(...sizes) <= 1 || undefined
  }
  await eventually(isShared, {
    timeoutMs,
    describe: () =>
      `${partitionCount} partitions shared by\n` +
      members
        .map(({ name, partitions, log }) => `${name}: ${[...partitions].join()}\n${log}`)
        .join('\n'),
  })
}
