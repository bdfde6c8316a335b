import { Prng } from '../../base/simulated/prng.ts'
import { schemeKinds, type SchemeKind } from './schemes.ts'

/** What may go wrong in a run; each seed takes some of it. */
export const faultKinds = [
  'kill',
  'succession',
  'power',
  'expansion',
  'blackout',
  'stop',
  'pause',
  'cut',
  'one-way cut',
  'isolation',
  'reset',
  'slow network',
  'slow disk',
  'clock',
  'controller kill',
  'controller pause',
  'controller cut',
  'store',
] as const
export type FaultKind = (typeof faultKinds)[number]

export interface Plan {
  readonly seed: number
  readonly flushPolicy: 'ack' | 'os'
  /**
   * Two stand by for each other on a shared store, as with etcd; one is alone with its own, as with LMDB;
   * none: a broker is the controller too.
   */
  readonly controllerCount: 0 | 1 | 2
  readonly partitionCount: number
  readonly writerCount: number
  readonly inFlightMax: number
  /** Between two batches of one writer, at the most. */
  readonly writePauseMsMax: number
  readonly harmMs: number
  /** Between two faults, on average. */
  readonly harmEveryMs: number
  readonly faults: readonly FaultKind[]
  /** Each once, in the midst of the faults. */
  readonly schemes: readonly SchemeKind[]
  readonly properties: Readonly<Record<string, string>>
}

const shorter = {
  'broker.session.timeout.ms': '3000',
  'broker.heartbeat.interval.ms': '500',
  'replica.lag.time.max.ms': '2000',
  'replica.high.watermark.checkpoint.interval.ms': '1000',
  'replica.socket.timeout.ms': '3000',
  'log.flush.offset.checkpoint.interval.ms': '5000',
  'offsets.topic.num.partitions': '2',
  'log.cleaner.enable': 'false',
  'min.insync.replicas': '2',
  'default.replication.factor': '3',
  // Clocks jump by less than a day, and clients do not follow.
  'log.message.timestamp.after.max.ms': '86400000',
}

/** A swarm: seeds differ in what they do at all, not only in when. */
export function planOf(seed: number): Plan {
  const random = new Prng(`${seed}/plan`)
  const flushPolicy = random.chance(0.7) ? 'ack' : 'os'
  const possible = faultKinds.filter((kind) => flushPolicy === 'ack' || kind !== 'blackout')
  const share = random.between(0.2, 0.9)
  const chosen = possible.filter(() => random.chance(share))
  const pick = (values: readonly number[]): number => values[random.below(values.length)] ?? 0
  const controllerCount = random.chance(0.15) ? 0 : random.chance(0.5) ? 2 : 1
  const isCombined = controllerCount === 0
  const partitionCount = isCombined ? 1 : pick([1, 2, 3])
  const writerCount = isCombined ? 3 : pick([1, 2])
  return {
    seed,
    flushPolicy,
    controllerCount,
    partitionCount,
    writerCount,
    inFlightMax: pick([1, 2, 5]),
    // Many writers find no more than a few do, and take longer.
    writePauseMsMax: pick([150, 400, 1000]) * Math.max(1, (partitionCount * writerCount) / 3),
    harmMs: pick([5000, 10_000, 20_000]),
    harmEveryMs: pick([150, 400, 1500]),
    faults: chosen.length === 0 ? ['kill'] : chosen,
    schemes: random.chance(0.5)
      ? schemeKinds.filter((kind) => random.chance(likelihoodOf(kind, controllerCount)))
      : [],
    properties: {
      ...shorter,
      'flush.policy': flushPolicy,
      'replica.fetch.wait.max.ms': String(pick([100, 500])),
      'replica.fetch.max.bytes': String(pick([200, 1000, 1_048_576])),
      'log.segment.bytes': String(pick([1_048_576, 1_073_741_824])),
    },
  }
}

/** Only a leader that registers with itself is back before another one is elected. */
function likelihoodOf(kind: SchemeKind, controllerCount: number): number {
  return kind === 'lost tail' && controllerCount === 0 ? 0.9 : 0.3
}
