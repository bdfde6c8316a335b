// What a reader must know to believe the figures: for both reports, in the same words.
import type { RunResult } from '../result.ts'

export const method: readonly string[] = [
  'A round samples every peer once, in the order A B, B A, A B, ... (with more peers turned further from round to round), so that a drift of the machine hits all alike. The first rounds of a cell warm up (compilers on both sides; more of them in the first cells) and do not count.',
  'A ratio is taken within a round: Millrace over the other. What is given is the median of the rounds with a 95 % interval: by Student t of the logarithms for fewer than seven rounds, else by bootstrap (2,000 resamples, seeded). A ~ says that the interval holds 1, or that not every round says the same: no claim then. Whether a demand is reached is told by the ratio of the medians.',
  'Before every sample the file system is flushed, and the machine must be idle for half a second (until the gate gives up, which the log says). Work of others during a sample, beyond 0.2 cores, makes it noisy; noisy rounds are left out where three quiet ones remain, and made up for by more rounds; otherwise all count and the cell is marked.',
  'CPU is that of all processes of the peer with all their threads and children, user and system, from /proc; memory is their resident memory (RSS) at the end of the sample. The work of a sample is fixed, not its time.',
  'Load comes from a raw generator in a process of its own, which sends prebuilt requests and looks at headers only. "client-bound" says that it had more than 0.9 of a core: the rate is the generator\'s then, and only figures per core of the server compare.',
  'Latency is taken from the moment that a request was due, not from when it was sent (open loop), in an HDR histogram with three digits.',
  'Everything that was acknowledged is read back at a consumer after each sample, outside of the timed part: offsets without gaps, CRCs, counts and sums, and nothing behind them. A sample that does not fit is refused.',
]

export const equalTerms: readonly string[] = [
  'Same machine, same run, loopback, plaintext; same acks, partitions, batches (built alike), compression, connections and requests under way; a new topic or a new folder for every sample.',
  "Same durability: `os`, where an acknowledgement says that the kernel has the bytes (Kafka's default; Millrace with flush.policy=os), or, in cells marked fsync, on the disk before it (Kafka with log.flush.interval.messages=1; Millrace with flush.policy=ack).",
  'Other settings of each peer as it comes, and those that a cell sets are set for all. The commands are below.',
  'All peers of a cell run side by side; those that are not sampled are idle.',
]

export function machineLines({ machine, commit, scope, flags }: RunResult): string[] {
  const gigabytes = (machine.memoryBytes / 2 ** 30).toFixed(0)
  return [
    `${machine.cores} × ${machine.cpu}, ${gigabytes} GiB of memory, ${machine.kernel}, Node ${machine.node.slice(1)}`,
    `data on ${machine.fileSystem}; vm.dirty_background_ratio ${machine.dirtyBackgroundRatio}`,
    `harness at ${commit}, ${scope} run, flags: ${flags.join(' ') || 'none'}`,
  ]
}
