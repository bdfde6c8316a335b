// A broker behind a wire that can be cut, frozen and made to talk nonsense, for tests of what may go wrong.
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { startBroker, type TestBroker, type TestBrokerOptions } from '../../broker/testing.ts'
import type { Consumer } from '../../client/consumer/consumer.ts'
import type { StatusEvent } from '../../client/consumer/status.ts'
import { Kafka, type KafkaOptions } from '../../client/kafka.ts'
import { string } from '../../client/serdes.ts'
import { topic } from '../../client/topic.ts'

export const orders = topic('orders', { value: string() })

/** Every rejection that nobody handled. */
export const unhandled: unknown[] = []
process.on('unhandledRejection', (reason) => unhandled.push(reason))

/** Stands between clients and the broker, whose advertised address it is. */
export class Wire {
  /** What answers are replaced with, as often as `garbageCount` says. */
  garbage = Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')
  garbageCount = 0
  /** Answers that are cut off in their midst, with the connection. */
  cutCount = 0
  port = 0
  /** Where the broker is. */
  target = 0
  #server: Server | undefined
  #frozen = false
  readonly #sockets = new Set<Socket>()

  static async open(): Promise<Wire> {
    const wire = new Wire()
    await wire.up()
    return wire
  }

  /** Takes connections (again). */
  async up(): Promise<void> {
    const server = createServer((client) => this.#join(client))
    this.#server = server
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve))
    this.port = (server.address() as AddressInfo).port
  }

  /** Nobody is there any more. */
  async down(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    const closed = new Promise<void>((resolve) => server?.close(() => resolve()) ?? resolve())
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  /** Nothing arrives on either side until `thaw`. */
  freeze(): void {
    this.#frozen = true
    for (const socket of this.#sockets) socket.pause()
  }

  thaw(): void {
    this.#frozen = false
    for (const socket of this.#sockets) socket.resume()
  }

  #join(client: Socket): void {
    const broker = connect(this.target, '127.0.0.1')
    for (const [socket, other] of [
      [client, broker],
      [broker, client],
    ] as const) {
      this.#sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => socket.destroy())
      socket.on('close', () => {
        this.#sockets.delete(socket)
        other.destroy()
      })
      if (this.#frozen) socket.pause()
    }
    client.on('data', (chunk) => broker.write(chunk))
    broker.on('data', (chunk) => this.#answer(client, chunk))
  }

  #answer(client: Socket, chunk: Buffer): void {
    if (this.garbageCount > 0) {
      this.garbageCount -= 1
      client.write(this.garbage)
    } else if (this.cutCount > 0) {
      this.cutCount -= 1
      client.end(chunk.subarray(0, Math.ceil(chunk.length / 2)))
    } else client.write(chunk)
  }
}

/** Options of a broker whose groups of KIP-848 give members up soon. */
export const shortSessions = {
  isolation: 'worker',
  properties: { 'group.consumer.session.timeout.ms': '600' },
} as const

export interface BadWorld {
  readonly broker: TestBroker
  readonly kafka: Kafka
  readonly wire: Wire
}

/** Everything is closed when the test ends. */
export async function badWorld(
  t: Test,
  options: TestBrokerOptions = {},
  kafkaOptions: Partial<KafkaOptions> = {},
): Promise<BadWorld> {
  const wire = await Wire.open()
  const broker = await startBroker({
    ...options,
    properties: {
      'advertised.listeners': `PLAINTEXT://127.0.0.1:${wire.port}`,
      'group.consumer.heartbeat.interval.ms': '100',
      'auto.create.topics.enable': 'false',
      ...options.properties,
    },
    // Its own client is to find the broker before the wire knows where that is.
    topics: {},
  }).then(async (started) => {
    wire.target = Number(started.address.split(':')[1])
    for (const [name, shape] of Object.entries(options.topics ?? { orders: 1 }))
      await started.createTopic(name, shape)
    return started
  })
  const kafka = new Kafka({ brokers: [`127.0.0.1:${wire.port}`], ...kafkaOptions })
  t.teardown(async () => {
    wire.thaw()
    await kafka.close()
    await broker.stop()
    await wire.down()
  })
  return { broker, kafka, wire }
}

/** All that a consumer tells from now on. */
export function eventsOf(consumer: Consumer): StatusEvent[] {
  const events: StatusEvent[] = []
  void (async () => {
    for await (const event of consumer.status()) events.push(event)
  })()
  return events
}

export function ofType<T extends StatusEvent['type']>(
  events: readonly StatusEvent[],
  type: T,
): Extract<StatusEvent, { type: T }>[] {
  return events.filter((event): event is Extract<StatusEvent, { type: T }> => event.type === type)
}

/** Waits for something that has no event of its own. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  limitMs = 15_000,
): Promise<void> {
  const endMs = performance.now() + limitMs
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`${what}: not within ${limitMs} ms`)
    await sleep(10)
  }
}

/** What a group has committed of one partition; -1: nothing. */
export async function committedOf(kafka: Kafka, group: string, partition = 0): Promise<number> {
  const all = await kafka.admin().groups.offsets(group)
  return all.find((each) => each.partition === partition)?.offset ?? -1
}
