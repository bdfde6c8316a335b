import type { ChildProcess } from 'node:child_process'

/** What every peer of a cell gets alike: the equal terms. */
export interface Terms {
  /** 3: each a process of its own, with one controller (a process of its own at peers that have such). */
  readonly brokers: 1 | 3
  /**
   * os: an acknowledgement says that the kernel has the bytes (Kafka's default; ours with `flush.policy=os`).
   * ack: they are on the disk before it (Kafka's `log.flush.interval.messages=1`; ours with `flush.policy=ack`).
   */
  readonly durability: 'os' | 'ack'
  /** Settings of brokers by Kafka's names, for peers that speak Kafka's protocol; the same values for all of them. */
  readonly properties?: Readonly<Record<string, string | number>>
}

export interface PeerDescription {
  /** Of the program, its commit or jar, and of what runs it: `4.1.0, OpenJDK 17.0.17`. */
  readonly version: string
  /** What a reader must know to call the terms equal: heap and collector, where the settings come from. */
  readonly remarks: readonly string[]
}

/** A broker that the harness can start, once or as often as cells want, each time on a folder of its own. */
export interface Peer {
  /** As `--peers` takes it: self, self@REF, kafka, nats, redis. */
  readonly name: string
  /** What it speaks; cells for another protocol leave it out. */
  readonly protocol: 'kafka' | 'nats' | 'redis'
  /** What one instance may occupy in memory under load: the memory budget, refused up front. */
  memoryBytes(terms: Terms): number
  /**
   * Called once before anything is measured: looks whether it can run here, installs or builds what it needs in a cache.
   * Throws PeerUnavailable.
   */
  prepare(options: {
    readonly processes: Processes
    log(text: string): void
  }): Promise<PeerDescription>
  /**
   * Resolves when it serves. The folder is empty, or as an earlier instance of this peer with the same terms left it.
   * Throws PeerFailed with the last lines that it wrote.
   */
  start(options: StartOptions): Promise<RunningPeer>
}

export interface StartOptions {
  readonly folder: string
  readonly terms: Terms
  /** Every process is spawned through this: Ctrl-C and the end of the run kill what is left. */
  readonly processes: Processes
}

export interface PeerNode {
  /** The broker's id in Kafka's protocol; elsewhere counted from 1. */
  readonly id: number
  readonly host: string
  readonly port: number
  /** Where its log is; partitions are folders in it, at peers that are brokers of Kafka's kind. */
  readonly dataFolder: string
  readonly processId: number
  /** kill -9 of this node alone; resolves when the process is gone. */
  kill(): Promise<void>
  /** Starts it again on its folder; resolves when it serves. The port stays. */
  restart(): Promise<void>
}

export interface RunningPeer {
  readonly peer: Peer
  readonly terms: Terms
  /** The brokers; at least one. */
  readonly nodes: readonly [PeerNode, ...PeerNode[]]
  /** Commands with all flags and the configuration that was written: goes into the report. */
  readonly commands: readonly string[]
  /** From the spawn of the (first) process to the first request that was served, ms, asked for every few ms. */
  readonly readyMs: number
  /** Roots of everything that works for this peer, controllers too. Their children are counted with them. */
  processIds(): readonly number[]
  /** Why it is no longer there although nobody stopped it; undefined while it is well. */
  failure(): string | undefined
  /** As its operator would: SIGTERM, and the wait. Kills after a minute, and throws then. */
  stop(): Promise<void>
  /** kill -9 of all of it; resolves when the processes are gone. */
  kill(): Promise<void>
}

/** It cannot run on this machine: named and skipped with this reason, the rest goes on. */
export class PeerUnavailable extends Error {
  override readonly name = 'PeerUnavailable'
}

/** It did not start, or died. */
export class PeerFailed extends Error {
  override readonly name = 'PeerFailed'
}

export interface SpawnOptions {
  readonly cwd?: string
  /** Added to ours. */
  readonly env?: Readonly<Record<string, string>>
  /** A channel for messages (`child.send`); only for programs of Node. */
  readonly ipc?: boolean
}

/** A process in a group of its own; its output is kept, the last 64 KiB of it. */
export interface OwnedProcess {
  readonly child: ChildProcess
  readonly processId: number
  /** Standard output and error together, the end of it. */
  output(): string
  /** Resolves when the process is gone; the code, or the signal's name. */
  readonly exited: Promise<number | string>
  hasExited(): boolean
  /** To the process alone. */
  signal(name: NodeJS.Signals): void
  /** kill -9 of the whole group; resolves when the process is gone. */
  kill(): Promise<void>
}

export interface Processes {
  spawn(command: string, args: readonly string[], options?: SpawnOptions): OwnedProcess
  /** A command that ends by itself; throws with the end of its output when it fails. Gives its standard output. */
  run(
    command: string,
    args: readonly string[],
    options?: SpawnOptions & { readonly timeoutMs?: number },
  ): Promise<string>
}
