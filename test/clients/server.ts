/**
 * The broker under test, whichever it is. TARGET=kafka in the environment runs every test against
 * Apache Kafka itself: that is how the tests themselves are tested.
 */
import { startKafka } from './kafka.ts'
import { startMillrace } from './millrace.ts'

export interface ServerOptions {
  /** Kept over restarts; whoever made it removes it. */
  readonly dataDirectory: string
  /** Broker configuration with Kafka's names. */
  readonly properties?: Readonly<Record<string, string>>
  /** Fixed port, for tests whose clients must find the broker again; otherwise an ephemeral one. */
  readonly port?: number
  /** Extra arguments for the runtime (node), before the program. Ignored by Apache Kafka. */
  readonly runtimeArguments?: readonly string[]
}

export interface Server {
  readonly host: string
  readonly port: number
  /** `host:port`, as clients want it. */
  readonly address: string
  readonly dataDirectory: string
  readonly processId: number
  /** Everything that the process wrote to standard error so far. */
  errorOutput(): string
  /** The exit code, or undefined while it runs. Killed by a signal is -1. */
  exitCode(): number | undefined
  /** Clean stop; resolves when the process is gone. */
  stop(): Promise<void>
  /** SIGSTOP; resolves when no thread of the process runs any more. `kill` still works. */
  suspend(): Promise<void>
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>
}

export type TargetName = 'millrace' | 'kafka'

export const targetName: TargetName = process.env['TARGET'] === 'kafka' ? 'kafka' : 'millrace'

export function startServer(options: ServerOptions): Promise<Server> {
  return targetName === 'kafka' ? startKafka(options) : startMillrace(options)
}
