import { NetworkError, StorageError } from '../base/env.ts'
import { StoreError } from '../controller/store/metadata-store.ts'
import { KafkaError } from '../client/errors.ts'
import { exitCodes } from './exit-codes.ts'
import type { OutputFormat } from './output.ts'

/** A failure as a person should read it: what happened, why, and what to do. */
export interface Report {
  /** Stable, in capitals. */
  readonly code: string
  readonly message: string
  readonly why?: string | undefined
  readonly fix?: string | undefined
  readonly exitCode: number
}

/** A command's own failure. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly report: Report
  readonly code: string

  constructor(report: Report) {
    super(report.message)
    this.code = report.code
    this.report = report
  }

  /** A mistake on the command line. */
  static usage(message: string, fix?: string): CliError {
    return new CliError({ code: 'USAGE', message, fix, exitCode: exitCodes.usage })
  }
}

interface Advice {
  readonly exitCode: number
  readonly fix?: string
}

const startBroker = 'start a broker with "millrace start", or name one with --bootstrap HOST:PORT'

/** By the code of a `KafkaError`; anything else is a plain failure. */
const clientAdvice: Readonly<Record<string, Advice>> = {
  UNREACHABLE: { exitCode: exitCodes.unreachable, fix: startBroker },
  ADVERTISED_UNREACHABLE: {
    exitCode: exitCodes.unreachable,
    fix: 'set advertised.listeners of that broker to an address that its clients can reach',
  },
  CONNECTION_LOST: { exitCode: exitCodes.unreachable },
  REQUEST_TIMEOUT: { exitCode: exitCodes.unreachable },
  REQUEST_TIMED_OUT: { exitCode: exitCodes.unreachable },
  NOT_ENOUGH_REPLICAS: { exitCode: exitCodes.unreachable },
  PROTOCOL: {
    exitCode: exitCodes.unreachable,
    fix: 'check that --bootstrap names a Kafka listener, and one without TLS',
  },
  UNKNOWN_TOPIC_OR_PARTITION: {
    exitCode: exitCodes.notFound,
    fix: 'see "millrace topic list", or create it with "millrace topic create NAME"',
  },
  UNKNOWN_TOPIC_ID: { exitCode: exitCodes.notFound, fix: 'see "millrace topic list"' },
  UNKNOWN_PARTITION: { exitCode: exitCodes.notFound, fix: 'see "millrace topic describe NAME"' },
  TOPIC_ALREADY_EXISTS: {
    exitCode: exitCodes.conflict,
    fix: 'choose another name, or pass --if-not-exists',
  },
  OFFSET_OUT_OF_RANGE: {
    exitCode: exitCodes.usage,
    fix: 'use --from start, or an offset that "millrace topic describe NAME" shows',
  },
  MESSAGE_TOO_LARGE: {
    exitCode: exitCodes.failed,
    fix: 'raise max.message.bytes: "millrace topic alter NAME -c max.message.bytes=BYTES"',
  },
  INVALID_TOPIC_EXCEPTION: {
    exitCode: exitCodes.usage,
    fix: 'use up to 249 letters, digits, ".", "_" and "-"',
  },
  NON_EMPTY_GROUP: { exitCode: exitCodes.conflict, fix: 'stop the consumers of that group first' },
  GROUP_ID_NOT_FOUND: { exitCode: exitCodes.notFound, fix: 'see "millrace group list"' },
  INVALID_CONFIG: { exitCode: exitCodes.usage },
  INVALID_REQUEST: { exitCode: exitCodes.usage },
  INVALID_PARTITIONS: { exitCode: exitCodes.usage },
  INVALID_REPLICATION_FACTOR: { exitCode: exitCodes.usage },
}

/** By the system's code of a `NetworkError` or `StorageError`. */
const systemAdvice: Readonly<Record<string, Advice & { readonly code: string }>> = {
  EADDRINUSE: {
    code: 'PORT_IN_USE',
    exitCode: exitCodes.conflict,
    fix: 'stop what listens there, or choose another --listener HOST:PORT; port 0 picks a free one',
  },
  EADDRNOTAVAIL: {
    code: 'ADDRESS_NOT_HERE',
    exitCode: exitCodes.usage,
    fix: 'give --listener an address of this machine, or 0.0.0.0 for all of them',
  },
  ENOTFOUND: {
    code: 'HOST_UNKNOWN',
    exitCode: exitCodes.usage,
    fix: 'check the name of the host in --listener',
  },
  EACCES: {
    code: 'NOT_PERMITTED',
    exitCode: exitCodes.denied,
    fix: 'give this user the right to it; ports below 1024 need privileges, data directories must be writable',
  },
  EROFS: {
    code: 'READ_ONLY',
    exitCode: exitCodes.denied,
    fix: 'choose a --data-dir on a file system that can be written',
  },
  ENOSPC: {
    code: 'DISK_FULL',
    exitCode: exitCodes.failed,
    fix: 'free space on that disk, or choose another --data-dir',
  },
  EMFILE: {
    code: 'TOO_MANY_FILES',
    exitCode: exitCodes.failed,
    fix: 'raise the limit of open files ("ulimit -n 100000", or LimitNOFILE= of the service)',
  },
  ENFILE: {
    code: 'TOO_MANY_FILES',
    exitCode: exitCodes.failed,
    fix: 'raise fs.file-max of this machine',
  },
}

/** By the code of a `StorageError` that is not the system's: its message tells what to do. */
const storageExitCodes: Readonly<Record<string, number>> = {
  DIRECTORY_LOCKED: exitCodes.conflict,
  DIRECTORY_FOREIGN: exitCodes.conflict,
  PARTITION_TWICE: exitCodes.conflict,
}

/** By the code of an error of the broker's start. */
const brokerAdvice: Readonly<Record<string, Advice>> = {
  CONFIG: { exitCode: exitCodes.usage },
  DATA_DIRECTORY_LOCKED: { exitCode: exitCodes.conflict },
  NOT_REGISTERED: { exitCode: exitCodes.conflict },
  FENCED: { exitCode: exitCodes.conflict },
  NO_CONTROLLER: { exitCode: exitCodes.unreachable },
  OTHER_CLUSTER: { exitCode: exitCodes.conflict },
  METADATA_RESTORED: { exitCode: exitCodes.conflict },
}

export function reportOf(error: unknown): Report {
  if (error instanceof CliError) return error.report
  if (error instanceof KafkaError) {
    const advice = clientAdvice[error.code]
    const exitCode = advice?.exitCode ?? exitCodeOf(error)
    return { code: error.code, message: error.message, fix: advice?.fix, exitCode }
  }
  if (error instanceof NetworkError || error instanceof StorageError) {
    const advice = systemAdvice[error.code]
    return {
      code: advice?.code ?? error.code,
      message: error.message,
      fix: advice?.fix,
      exitCode: advice?.exitCode ?? storageExitCodes[error.code] ?? exitCodes.failed,
    }
  }
  if (error instanceof StoreError) {
    return { code: error.code, message: error.message, exitCode: exitCodes.unreachable }
  }
  const code =
    error instanceof Error && 'code' in error && typeof error.code === 'string'
      ? error.code
      : undefined
  const advice = code === undefined ? undefined : brokerAdvice[code]
  if (error instanceof Error && code !== undefined && advice !== undefined) {
    return { code, message: error.message, ...advice }
  }
  const message = error instanceof Error ? error.message : String(error)
  const why = error instanceof Error ? error.stack : undefined
  return { code: 'UNEXPECTED', message, why, exitCode: exitCodes.failed }
}

function exitCodeOf({ code, kind, retriable }: KafkaError): number {
  if (code.endsWith('AUTHORIZATION_FAILED')) return exitCodes.denied
  // It was tried for as long as was allowed.
  const isLate = retriable || kind === 'timeout' || kind === 'network'
  return isLate ? exitCodes.unreachable : exitCodes.failed
}

/** The shape of `ux.md` §2; one line of JSON when the output is JSON. */
export function formatReport(report: Report, format: OutputFormat): string {
  const { code, message, why, fix } = report
  if (format === 'json') return `${JSON.stringify({ error: { code, message, why, fix } })}\n`
  const lines = [`error[${code}]: ${message}`]
  if (why !== undefined) lines.push(`why: ${why}`)
  if (fix !== undefined) lines.push(`fix: ${fix}`)
  return `${lines.join('\n')}\n`
}
