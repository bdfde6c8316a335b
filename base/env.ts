/**
 * Everything that a broker, controller or client core may know of the world outside its own memory.
 * The cores never touch Date, timers, node:fs, node:net or Math.random: the linter forbids them there.
 * `base/real` binds this to the machine, `base/simulated` to a seed.
 */
export interface Env {
  readonly clock: Clock
  readonly timers: Timers
  readonly disk: Disk
  readonly network: Network
  readonly random: Random
}

/** Enough for clients: they keep nothing, and nobody calls them. */
export type ClientEnv = Omit<Env, 'disk' | 'network'> & { readonly network: Pick<Network, 'dial'> }

export interface Clock {
  /** Milliseconds since 1970. May jump in either direction: for record timestamps and retention only. */
  wallMs(): number
  /** Milliseconds from an arbitrary origin, with fractions. Never goes back: for every timeout. */
  monotonicMs(): number
}

export interface Timer {
  cancel(): void
}

export interface Timers {
  /**
   * Calls `callback` once, `delayMs` from now. A pending timer does not keep the process alive, unless it
   * `holdsProcess`: when something waits for it and nothing else may be open any more.
   */
  after(delayMs: number, callback: () => void, options?: { readonly holdsProcess: boolean }): Timer
  /** Calls `callback` after the I/O events of this turn of the event loop. */
  soon(callback: () => void): void
}

export interface Random {
  /** Cryptographically strong on a real machine. */
  bytes(count: number): Buffer
  /** In [0, 1). */
  fraction(): number
}

/** Names are absolute paths. Every method throws `StorageError` with the path and the system's code. */
export interface Disk {
  /** `write` creates the file when it is absent, and reads as well. */
  open(path: string, mode: 'read' | 'write'): DiskFile
  /** Undefined when there is nothing at `path`. */
  stat(
    path: string,
  ):
    | { readonly bytes: number; readonly directory: boolean; readonly modifiedMs: number }
    | undefined
  /** Names in a directory, sorted. */
  list(path: string): string[]
  makeDirectory(path: string): void
  rename(from: string, to: string): void
  /** Removes a file; one that is absent is no error. */
  remove(path: string): void
  removeTree(path: string): Promise<void>
  /** Undefined when the file is absent. */
  readFile(path: string): Buffer | undefined
  /** Makes created, renamed and removed names in `path` durable. */
  syncDirectory(path: string): Promise<void>
  syncDirectoryNow(path: string): void
  /** How many files may be open for long; the process needs descriptors for its connections too. */
  readonly openFilesMax: number
  /** An exclusive lock that dies with the process. Undefined when somebody else holds it. */
  lock(path: string): DiskLock | undefined
  /** Bytes of the file system that holds `path`. */
  space(path: string): { readonly totalBytes: number; readonly freeBytes: number }
}

export interface DiskLock {
  release(): void
}

export interface DiskFile {
  readonly path: string
  /** Bytes in the file now. */
  size(): number
  /** Reads up to `count` bytes at `position` into `target` at `offset`; returns how many there were. */
  read(target: Uint8Array, offset: number, count: number, position: number): number
  /** Writes all of the buffers one behind the other at `position`, or throws: then the file may hold a part of them. */
  write(buffers: readonly Uint8Array[], position: number): void
  truncate(bytes: number): void
  /** fdatasync: data and size are durable. A failure is final, it must never be retried (reliability I22). */
  sync(): Promise<void>
  syncNow(): void
  /** Maps `bytes` from the start, read only. Undefined where the platform has no maps. */
  map(bytes: number): MappedView | undefined
  /** Brings a range into memory without blocking the event loop. */
  warm(position: number, count: number): Promise<void>
  close(): void
}

/**
 * A file seen as memory. It stays coherent while the file grows by `write`.
 * Never touch bytes at or beyond the file's end (SIGBUS), and never after `release` (crash): count references.
 */
export interface MappedView {
  readonly byteLength: number
  /** The range itself, no copy of it. */
  read(position: number, count: number): Buffer
  /** Whether the range is in the page cache: serving it will not wait for the disk. */
  resident(position: number, count: number): boolean
  release(): void
}

export interface Network {
  /** Port 0 picks one. Rejects with `NetworkError` (code EADDRINUSE, EACCES, ...). */
  listen(
    options: { host: string; port: number; backlog?: number },
    accept: (socket: Socket) => void,
    failed: (error: Error) => void,
  ): Promise<Listener>
  dial(options: DialOptions): Promise<Socket>
}

export interface DialOptions {
  readonly host: string
  readonly port: number
  readonly timeoutMs: number
  /** For a receiver that copies what it keeps: chunks are taken back when `onData` returns. */
  readonly lendChunks?: boolean
}

export interface Listener {
  readonly host: string
  readonly port: number
  /** Stops accepting; sockets already accepted live on. */
  close(): Promise<void>
}

/** A byte stream. Set the three callbacks before returning to the event loop. */
export interface Socket {
  readonly remoteAddress: string
  /**
   * The chunk belongs to the receiver if the socket was dialled, unless that asked for lent chunks. An accepted one lends it until `onData` returns:
   * a server that got a buffer of its own for every read would spend more time on garbage than on requests.
   */
  onData: (chunk: Buffer) => void
  /** The backlog of writes is empty again. */
  onDrain: () => void
  /** Once, last. The error says why, if it was not a normal end. */
  onClose: (error?: Error) => void
  /**
   * Sends the buffers with one system call where possible, and without copying them.
   * `done` is called exactly once, when the buffers are no longer needed: sent, or the socket died.
   */
  write(buffers: readonly Uint8Array[], done?: () => void): void
  /**
   * Sends a range of a file from the kernel, behind all earlier writes. Absent where the platform can't.
   * `done` as for `write`.
   */
  sendFile?(file: DiskFile, position: number, count: number, done: () => void): void
  /** Bytes written and not yet taken by the kernel. */
  readonly backlogBytes: number
  pause(): void
  resume(): void
  /** Sends what is queued, then closes. */
  end(): void
  destroy(error?: Error): void
}

/** The disk refused. `code` is the system's (ENOSPC, EIO, EMFILE, ...). */
export class StorageError extends Error {
  override readonly name = 'StorageError'
  readonly code: string
  readonly path: string
  constructor(message: string, options: { code: string; path: string; cause?: unknown }) {
    super(message, { cause: options.cause })
    this.code = options.code
    this.path = options.path
  }
}

/** Space returns, unlike what a failing disk has lost. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof StorageError && (error.code === 'ENOSPC' || error.code === 'EDQUOT')
}

/** The network refused. `code` is the system's (EADDRINUSE, ECONNREFUSED, ETIMEDOUT, ...). */
export class NetworkError extends Error {
  override readonly name = 'NetworkError'
  readonly code: string
  constructor(message: string, options: { code: string; cause?: unknown }) {
    super(message, { cause: options.cause })
    this.code = options.code
  }
}
