/**
 * Pairs of a producer and a consumer that go on for as long as they are let (README.md, "Steady clients"): what each
 * was told, and the judgement over it.
 */
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

import { hasGo } from './group-member.ts'
import { toolFlags } from './kafka.ts'
import { clientsDirectory, compiledRoot, jarsClasspath, node24 } from './places.ts'
import { eventually, exitOf, pause } from './processes.ts'

interface SteadyProgram {
  /** What runs both ends of a client; kcat is no program of ours, and has its own command line. */
  readonly command: readonly string[]
  /** What a producer needs besides the addresses, so that a retry doubles nothing: those that lack it are idempotent by default. */
  readonly idempotence: readonly string[]
  /**
   * It may read some records again, on Apache Kafka too: where a commit fails because the coordinator moves, its consumer
   * begins anew at the commit before.
   */
  readonly rereads: boolean
}

const javascript = join(clientsDirectory, 'javascript')

const programs = {
  kcat: { command: ['kcat'], idempotence: ['-X', 'enable.idempotence=true'], rereads: false },
  kafkajs: {
    command: [node24, join(javascript, 'kafkajs-steady.mjs')],
    idempotence: ['idempotent'],
    rereads: true,
  },
  java: {
    command: ['java', '-Xmx128m', ...toolFlags, '-cp', jarsClasspath, 'Steady'],
    idempotence: [],
    rereads: false,
  },
  sdk: {
    command: [process.execPath, join(compiledRoot, 'test', 'clients', 'sdk-steady.js')],
    idempotence: [],
    rereads: false,
  },
  platformatic: {
    command: [node24, '--no-warnings', join(javascript, 'platformatic-steady.mjs')],
    idempotence: ['idempotent'],
    rereads: true,
  },
  librdkafka: {
    command: ['python3', join(clientsDirectory, 'python', 'steady.py')],
    idempotence: ['enable.idempotence=true'],
    rereads: false,
  },
  'franz-go': {
    command: [join(clientsDirectory, 'go', 'client'), 'steady'],
    idempotence: [],
    rereads: false,
  },
} as const satisfies Record<string, SteadyProgram>

export type SteadyName = keyof typeof programs

/** Go is optional (setup.sh). */
export const steadyNames = (Object.keys(programs) as SteadyName[]).filter(
  (name) => name !== 'franz-go' || hasGo,
)

export interface LogRecord {
  readonly partition: number
  readonly offset: number
  readonly number: number
}

/** How long a producer rests between two records. */
const intervalMs = 20
/** kcat reads its input in pieces of some KiB, and waits until each is full. */
const filler = '.'.repeat(1000)
/** For the rest of a topic to be read, and for both ends to leave. */
const patienceMs = 60_000

type Child = ChildProcessByStdio<Writable, Readable, Readable>

/** Producer and consumer of one client on a topic of their own, which has its name. */
export class SteadyPair {
  readonly name: SteadyName
  readonly acknowledged: LogRecord[] = []
  readonly consumed: LogRecord[] = []
  /** What the application was told that went wrong, or saw twice or not at all, since `takeFaults`. */
  #faults: string[] = []
  /** The longest time without one, since `takeGaps`. */
  readonly #gapsMs = { acknowledged: 0, consumed: 0 }
  readonly #lastMs = { acknowledged: 0, consumed: 0 }
  readonly #nextOffsets = new Map<number, number>()
  readonly #producer: Child
  readonly #consumer: Child
  readonly #done = new Set<Child>()
  #producedCount = 0
  /** Records that came again, where that is as usual. */
  rereadCount = 0
  #isLeaving = false
  #output = ''

  constructor(name: SteadyName, brokers: string, { isIdempotent = true } = {}) {
    this.name = name
    const { command, idempotence } = programs[name]
    const settings = isIdempotent ? idempotence : []
    const format = 'record %p %o %s\n'
    const isKcat = name === 'kcat'
    const produce = isKcat
      ? ['-P', '-b', brokers, '-t', name, '-K', ':']
      : ['produce', brokers, name]
    const consume = isKcat
      ? ['-b', brokers, '-X', 'auto.offset.reset=earliest', '-u', '-f', format, '-G', name, name]
      : ['consume', brokers, name, name]
    if (!isKcat) produce.push(`${intervalMs}`)
    this.#producer = this.#start([...command, ...produce, ...settings])
    this.#consumer = this.#start([...command, ...consume])
    if (isKcat) void this.#feed()
  }

  get output(): string {
    return this.#output
  }

  /** What there was since the last time. */
  takeFaults(): string[] {
    const faults = this.#faults
    this.#faults = []
    return faults
  }

  takeGaps(): { acknowledged: number; consumed: number } {
    const gaps = { ...this.#gapsMs }
    Object.assign(this.#gapsMs, { acknowledged: 0, consumed: 0 })
    return gaps
  }

  /** Both go on: as many records come. That they do not is among the faults. */
  async advances(count = 20): Promise<void> {
    const consumed = this.consumed.length + count
    // kcat does not tell.
    const acknowledged = this.acknowledged.length + (this.name === 'kcat' ? 0 : count)
    const missing = (): string[] => [
      ...(this.acknowledged.length < acknowledged ? ['no record is acknowledged any more'] : []),
      ...(this.consumed.length < consumed ? ['no record is consumed any more'] : []),
    ]
    const isOver = (): true | undefined => missing().length === 0 || this.#hasEnded() || undefined
    await eventually(isOver, { timeoutMs: patienceMs, describe: () => 'records' }).catch(() =>
      this.#faults.push(...missing(), this.#output),
    )
  }

  /** The producer sends no more and waits for what is on its way. */
  async endProducer(): Promise<void> {
    this.#isLeaving = true
    await this.#end(this.#producer, () => this.#producer.stdin.end())
  }

  /** The consumer leaves when it has read `log` to its end, which is judged. Resolves with what is wrong. */
  async finish(log: readonly LogRecord[]): Promise<string[]> {
    const count = new Set(log.map(placeOf)).size
    await eventually(() => this.#nextSum() >= count || this.#hasEnded() || undefined, {
      timeoutMs: patienceMs,
      describe: () => `${this.name}: ${this.#nextSum()} of ${count} consumed\n${this.#output}`,
    })
    await this.#end(this.#consumer, () => {
      if (this.name === 'kcat') this.#consumer.kill('SIGTERM')
      else this.#consumer.stdin.end()
    })
    return this.#judge(log)
  }

  kill(): void {
    this.#isLeaving = true
    for (const child of [this.#producer, this.#consumer]) child.kill('SIGKILL')
  }

  #judge(log: readonly LogRecord[]): string[] {
    const faults: string[] = []
    const places = new Map<string, number>()
    const numbers = new Set<number>()
    const last = new Map<number, number>()
    for (const record of log) {
      const { partition, number } = record
      places.set(placeOf(record), number)
      if (numbers.has(number)) faults.push(`${number} is there twice`)
      else if (number < (last.get(partition) ?? -1)) faults.push(`${number} came late`)
      numbers.add(number)
      last.set(partition, number)
    }
    const largest = Math.max(...numbers)
    for (let number = 0; number <= largest; number++)
      if (!numbers.has(number)) faults.push(`${number} is not there`)
    if (this.name === 'kcat' && numbers.size !== this.#producedCount)
      faults.push(`${this.#producedCount} were produced, ${numbers.size} are there`)
    const told = { acknowledged: this.acknowledged, consumed: this.consumed }
    for (const [how, records] of Object.entries(told)) {
      for (const record of records) {
        const there = places.get(placeOf(record))
        if (there !== record.number)
          faults.push(`${record.number} was ${how} at ${placeOf(record)}, where ${there} is`)
      }
    }
    return faults
  }

  /** kcat reads lines. */
  async #feed(): Promise<void> {
    while (!this.#isLeaving) {
      const number = this.#producedCount++
      this.#producer.stdin.write(`${number % 7}:${number} ${filler}\n`)
      await pause(intervalMs)
    }
  }

  #start(command: readonly string[]): Child {
    const [executable = '', ...args] = command
    const child = spawn(executable, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, KAFKAJS_NO_PARTITIONER_WARNING: '1' },
    })
    child.stdin.on('error', () => {})
    createInterface({ input: child.stderr }).on('line', (line) => {
      this.#output = `${this.#output}${line}\n`.slice(-20_000)
      if (/Delivery failed|terminating/.test(line)) this.#faults.push(line)
    })
    createInterface({ input: child.stdout }).on('line', (line) => this.#take(child, line))
    child.once('exit', (code) => {
      if (!this.#isLeaving) this.#faults.push(`it has ended with ${code}\n${this.#output}`)
    })
    return child
  }

  #take(child: Child, line: string): void {
    const [word = '', ...rest] = line.split(' ')
    const [partition = NaN, offset = NaN, number = NaN] = rest.map(Number)
    const record = { partition, offset, number }
    if (word === 'ack') {
      this.acknowledged.push(record)
      this.#noteTime('acknowledged')
    } else if (word === 'record') {
      this.consumed.push(record)
      this.#noteTime('consumed')
      const next = this.#nextOffsets.get(partition) ?? 0
      if (offset < next) this.#noteReread(record)
      else if (offset > next) this.#faults.push(`${placeOf(record)} was read behind ${next - 1}`)
      this.#nextOffsets.set(partition, Math.max(next, offset + 1))
    } else if (word === 'done') {
      this.#done.add(child)
    } else {
      this.#faults.push(line)
    }
  }

  #noteReread(record: LogRecord): void {
    if (programs[this.name].rereads) this.rereadCount++
    else this.#faults.push(`${placeOf(record)} was read again`)
  }

  #noteTime(what: 'acknowledged' | 'consumed'): void {
    const nowMs = performance.now()
    if (this.#lastMs[what] > 0)
      this.#gapsMs[what] = Math.max(this.#gapsMs[what], nowMs - this.#lastMs[what])
    this.#lastMs[what] = nowMs
  }

  /** How many different records were consumed: offsets have no gaps here. */
  #nextSum(): number {
    return [...this.#nextOffsets.values()].reduce((sum, next) => sum + next, 0)
  }

  #hasEnded(): boolean {
    return [this.#producer, this.#consumer].some(
      (child) => !this.#isLeaving && (child.exitCode !== null || child.signalCode !== null),
    )
  }

  async #end(child: Child, tell: () => void): Promise<void> {
    const exited = exitOf(child)
    tell()
    const timer = setTimeout(() => child.kill('SIGKILL'), patienceMs)
    const code = await exited.finally(() => clearTimeout(timer))
    const isDone = this.name === 'kcat' ? code === 0 : this.#done.has(child)
    if (!isDone) this.#faults.push(`it ended with ${code} instead of leaving\n${this.#output}`)
  }
}

function placeOf({ partition, offset }: LogRecord): string {
  return `${partition}/${offset}`
}
