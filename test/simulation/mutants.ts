/** Defects that were made in replicated logs before (reliability.md §4), as changes of the compiled code. */

interface Patch {
  /** In the build. */
  readonly file: string
  /** Must be there exactly once; any white space matches any other. */
  readonly find: string
  readonly replace: string
}

export interface Mutant {
  readonly name: string
  readonly patches: readonly Patch[]
}

const partition = 'broker/replica/partition.js'
const truncation = 'broker/replica/truncation.js'
const leadership = 'broker/replica/leadership.js'
const fetchRead = 'broker/handlers/fetch-read.js'
const fetcher = 'broker/replica/fetcher/leader-fetcher.js'
const producerCheck = 'const { producers } = this.#log.derived; if (!isControl'

export const mutants: readonly Mutant[] = [
  {
    name: 'followers truncate to their high watermark',
    patches: [
      {
        file: partition,
        find: 'if (isNewEpoch && this.#isReplicated) {',
        replace:
          'if (isNewEpoch && this.#isReplicated) { this.log.truncateTo(this.log.highWatermark);',
      },
    ],
  },
  {
    name: 'KIP-101 only: the epoch of the answer does not count (KIP-279)',
    patches: [
      {
        file: fetchRead,
        find: 'const agrees = end.epoch === lastFetchedEpoch && end.endOffset >= fetchOffset;',
        replace: 'const agrees = end.endOffset >= fetchOffset;',
      },
      {
        file: truncation,
        find: 'if (own.epoch !== epoch) return Math.min(own.endOffset, log.nextOffset);',
        replace: 'if (own.epoch !== epoch) return Math.min(endOffset, log.nextOffset);',
      },
    ],
  },
  {
    name: 'no divergence is looked for at all',
    patches: [
      { file: fetchRead, find: 'return agrees ? undefined : end;', replace: 'return undefined;' },
    ],
  },
  {
    name: 'no leader epoch in fetch (Kip320FirstTry)',
    patches: [
      {
        file: fetchRead,
        find: 'const { currentLeaderEpoch } = wanted;',
        replace: 'const currentLeaderEpoch = -1;',
      },
      {
        file: partition,
        find: 'return this.checkLeaderEpoch(leaderEpoch);',
        replace: 'return undefined;',
      },
      {
        file: fetcher,
        find: 'asked.leaderEpoch === partition.leaderEpoch',
        replace: 'true',
      },
    ],
  },
  {
    name: 'the high watermark waits for the committed ISR, not for the maximal one',
    patches: [
      {
        file: leadership,
        find: 'if (this.#inMaximalIsr(follower.brokerId) || this.#isAboutToJoin(follower, leaderEnd))',
        replace: 'if (this.isr.includes(follower.brokerId))',
      },
    ],
  },
  {
    name: 'the high watermark waits for the proposed ISR alone',
    patches: [
      {
        file: leadership,
        find: 'if (this.#inMaximalIsr(follower.brokerId) || this.#isAboutToJoin(follower, leaderEnd))',
        replace: 'if ((this.#proposed ?? this.isr).includes(follower.brokerId))',
      },
    ],
  },
  {
    name: 'followers join the ISR at the local high watermark',
    patches: [
      {
        file: leadership,
        find: 'const from = Math.max(highWatermark, this.epochStart);',
        replace: 'const from = highWatermark;',
      },
    ],
  },
  {
    name: 'the broker epoch is not checked (KIP-903)',
    patches: [
      {
        file: leadership,
        find: 'return brokerEpoch === anyBrokerEpoch || brokerEpoch === epoch;',
        replace: 'return true;',
      },
      {
        file: 'broker/replica/follower-state.js',
        find: 'if (brokerEpoch !== anyBrokerEpoch && brokerEpoch < (this.brokerEpoch ?? -1))',
        replace: 'if (false)',
      },
      {
        file: 'controller/alter-partitions.js',
        find: 'if (brokerEpoch === anyBrokerEpoch || brokerEpoch === broker.epoch)',
        replace: 'if (true)',
      },
    ],
  },
  {
    name: 'a replica that may have lost records stays in the ISR',
    patches: [
      {
        file: 'controller/brokers.js',
        find: '...(isLossy ? { lossy: broker } : {}),',
        replace: '',
      },
    ],
  },
  {
    name: 'the leader counts itself before fdatasync',
    patches: [
      {
        file: partition,
        find: 'const durable = this.log.whenDurable(this.log.nextOffset); if (durable === undefined) {',
        replace: 'const durable = undefined; if (durable === undefined) {',
      },
    ],
  },
  {
    name: 'followers fetch on before fdatasync',
    patches: [
      {
        file: partition,
        find: 'return { ok: true, durable: log.whenDurable(log.nextOffset) };',
        replace: 'return { ok: true, durable: undefined };',
      },
      {
        file: fetcher,
        find: '#ready(follow, durable = whenDurable(follow)) {',
        replace: '#ready(follow, durable = undefined) {',
      },
    ],
  },
  {
    name: 'producers are not known after a failover',
    patches: [
      {
        file: 'broker/log/log-writer.js',
        find: producerCheck,
        replace: `if (this.#log.derived.copied) this.#log.derived.forget(); ${producerCheck}`,
      },
      {
        file: 'broker/log/log-writer.js',
        find: 'this.#write(bytes, headers); if (isRestart)',
        replace: 'this.#write(bytes, headers); this.#log.derived.copied = true; if (isRestart)',
      },
      {
        file: 'broker/log/derived-state.js',
        find: 'captureProducers() {',
        replace:
          'copied = false; forget() { this.copied = false; this.#producers = new ProducerState(this.#log.nextOffset); } captureProducers() {',
      },
    ],
  },
  {
    name: 'the controller compares nothing when it writes',
    patches: [
      {
        file: 'controller/metadata-log.js',
        find: 'const holds = [{ key: keys.epoch, revision: reign.fence }, ...comparisons];',
        replace: 'const holds = [];',
      },
    ],
  },
  {
    name: 'acknowledged when the leader has it',
    patches: [
      {
        file: leadership,
        find: 'let offset = this.ownEnd; for',
        replace: 'let offset = this.ownEnd; if (offset >= 0) return offset; for',
      },
    ],
  },
  {
    name: 'a leader that lost the end of its log goes on in the same epoch',
    patches: [
      {
        file: 'controller/brokers.js',
        find: '...(isLossy || !stoppedCleanly ? { lostTail: broker } : {}),',
        replace: '',
      },
    ],
  },
  {
    name: 'an epoch file that lacks the last epochs is trusted',
    patches: [
      {
        file: 'broker/log/leader-epochs.js',
        find: '(endOffset <= startOffset || says(endOffset - 1, epoch))',
        replace: '(index === this.#entries.length - 1 || says(endOffset - 1, epoch))',
      },
    ],
  },
  {
    name: 'a new leader tells its high watermark before it knows what was committed',
    patches: [
      {
        file: partition,
        find: 'return this.#leadership === undefined || this.log.highWatermark >= this.#leadership.epochStart;',
        replace: 'return true;',
      },
    ],
  },
]
