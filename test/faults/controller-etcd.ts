/**
 * Three candidates for the controller's seat on three members of etcd, under faults of every kind: controllers killed,
 * stopped and asked to leave, members killed and frozen, connections cut, delayed and deaf in one direction.
 *
 * `node controller-etcd.js [FAULTS]` (default 24); SEED=n repeats the choices. Exit code 1 unless what was acknowledged is in
 * the log exactly once, the log has no gap, epochs never go back, and every fault was overcome in its time.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { createRealEnv } from '../../base/real/real-env.ts'
import { EtcdStore } from '../../controller/store/etcd.ts'
import { cutProxy, type CutProxy } from '../support/cut-proxy.ts'
import { startEtcd, type EtcdCluster } from '../support/etcd.ts'
import { SeededRandom, testSeed } from '../support/seeded-random.ts'
import { judge } from './controller-judge.ts'

interface Candidate {
  readonly nodeId: number
  readonly proxies: readonly CutProxy[]
  child: ChildProcess
  state: string
}

const size = 3
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

class Stage {
  readonly acknowledged: string[] = []
  readonly candidates: Candidate[] = []
  readonly violations: string[] = []
  readonly etcd: EtcdCluster
  lastAnswerMs = 0
  longestGapMs = 0

  constructor(etcd: EtcdCluster) {
    this.etcd = etcd
  }

  async addCandidate(nodeId: number): Promise<void> {
    const proxies = await Promise.all(this.etcd.endpoints.map(cutProxy))
    const candidate: Candidate = {
      nodeId,
      proxies,
      state: 'starting',
      child: this.#launch(nodeId, proxies),
    }
    this.candidates.push(candidate)
    this.#listen(candidate)
  }

  relaunch(candidate: Candidate): void {
    candidate.child = this.#launch(candidate.nodeId, candidate.proxies)
    candidate.state = 'starting'
    this.#listen(candidate)
  }

  get reigning(): Candidate | undefined {
    return this.candidates.find(({ state }) => state === 'reigning')
  }

  /** Milliseconds from `sinceMs` until something sent later was acknowledged. */
  async resumed(sinceMs: number): Promise<number> {
    while (this.lastAnswerMs <= sinceMs) {
      if (performance.now() - sinceMs > 60_000) {
        this.violations.push('nothing was acknowledged for a minute')
        break
      }
      await pause(10)
    }
    return performance.now() - sinceMs
  }

  #launch(nodeId: number, proxies: readonly CutProxy[]): ChildProcess {
    const endpoints = proxies.map(({ endpoint }) => endpoint).join(',')
    return fork(new URL('controller-candidate.js', import.meta.url), [String(nodeId), endpoints])
  }

  #listen(candidate: Candidate): void {
    const { child } = candidate
    child.on('message', (message: { acknowledged?: string; state?: string; fatal?: string }) => {
      if (message.acknowledged !== undefined) {
        this.acknowledged.push(message.acknowledged)
        const nowMs = performance.now()
        this.longestGapMs = Math.max(this.longestGapMs, nowMs - this.lastAnswerMs)
        this.lastAnswerMs = nowMs
      }
      if (message.state !== undefined) candidate.state = message.state
      if (message.fatal !== undefined) this.violations.push(message.fatal)
    })
    child.on('exit', (code) => {
      if (!child.killed) this.violations.push(`a controller ended by itself, with ${code}`)
      if (candidate.child === child) candidate.state = 'dead'
    })
  }
}

interface Fault {
  /** What the design allows from its end until the next commit. */
  readonly limitMs: number
  readonly run: (stage: Stage, victim: Candidate, random: SeededRandom) => Promise<number>
}

const exited = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => child.once('exit', () => resolve()))

async function killed(stage: Stage, victim: Candidate, signal: NodeJS.Signals): Promise<number> {
  const gone = exited(victim.child)
  victim.child.kill(signal)
  await gone
  // What it sent before it died may still be on its way here.
  await pause(20)
  const resumedMs = await stage.resumed(performance.now())
  stage.relaunch(victim)
  return resumedMs
}

async function frozenMembers(
  stage: Stage,
  indexes: readonly number[],
  ms: number,
): Promise<number> {
  for (const index of indexes) stage.etcd.members[index]!.process.kill('SIGSTOP')
  await pause(ms)
  for (const index of indexes) stage.etcd.members[index]!.process.kill('SIGCONT')
  return stage.resumed(performance.now())
}

const faults: Readonly<Record<string, Fault>> = {
  'controller killed': { limitMs: 5000, run: (stage, victim) => killed(stage, victim, 'SIGKILL') },
  'controller leaves': { limitMs: 800, run: (stage, victim) => killed(stage, victim, 'SIGTERM') },
  'controller frozen': {
    limitMs: 5000,
    run: async (stage, victim, random) => {
      victim.child.kill('SIGSTOP')
      await pause(1000 + random.below(9000))
      victim.child.kill('SIGCONT')
      return stage.resumed(performance.now())
    },
  },
  'etcd leader killed': {
    limitMs: 5000,
    run: async (stage) => {
      const leader = await leaderOf(stage.etcd)
      await stage.etcd.kill(leader)
      const resumedMs = await stage.resumed(performance.now())
      await stage.etcd.restart(leader)
      return resumedMs
    },
  },
  'etcd follower killed': {
    limitMs: 1500,
    run: async (stage) => {
      const follower = ((await leaderOf(stage.etcd)) + 1) % size
      await stage.etcd.kill(follower)
      const resumedMs = await stage.resumed(performance.now())
      await stage.etcd.restart(follower)
      return resumedMs
    },
  },
  'etcd leader frozen': {
    limitMs: 3000,
    run: async (stage) => frozenMembers(stage, [await leaderOf(stage.etcd)], 5000),
  },
  'all of etcd frozen': {
    limitMs: 6000,
    run: (stage) => frozenMembers(stage, [0, 1, 2], 7000),
  },
  'controller and etcd leader killed': {
    limitMs: 8000,
    run: async (stage, victim) => {
      const leader = await leaderOf(stage.etcd)
      await stage.etcd.kill(leader)
      const resumedMs = await killed(stage, victim, 'SIGKILL')
      await stage.etcd.restart(leader)
      return resumedMs
    },
  },
  'connections cut': {
    limitMs: 1500,
    run: async (stage, victim) => {
      for (const proxy of victim.proxies) proxy.cut()
      return stage.resumed(performance.now())
    },
  },
  'answers lost': {
    limitMs: 5000,
    run: async (stage, victim, random) => {
      for (const proxy of victim.proxies) proxy.mode = 'swallow'
      await pause(200 + random.below(6000))
      for (const proxy of victim.proxies) {
        proxy.mode = 'pass'
        // A stream with a hole in it is of no use any more.
        proxy.cut()
      }
      return stage.resumed(performance.now())
    },
  },
  'answers late': {
    limitMs: 5000,
    run: async (stage, victim, random) => {
      for (const proxy of victim.proxies) proxy.delayMs = random.below(1000)
      await pause(4000)
      for (const proxy of victim.proxies) proxy.delayMs = 0
      return stage.resumed(performance.now())
    },
  },
}

async function leaderOf(etcd: EtcdCluster): Promise<number> {
  for (;;) {
    for (const [index, { endpoint }] of etcd.members.entries()) {
      const answer = await fetch(`http://${endpoint}/v3/maintenance/status`, {
        method: 'POST',
        body: '{}',
        signal: AbortSignal.timeout(1000),
      }).catch(() => undefined)
      if (answer === undefined) continue
      const status = (await answer.json()) as { leader?: string; header?: { member_id?: string } }
      if (status.leader !== undefined && status.leader === status.header?.member_id) return index
    }
    await pause(100)
  }
}

function report(times: ReadonlyMap<string, readonly number[]>, violations: string[]): void {
  for (const [kind, taken] of times) {
    const sorted = taken.toSorted((one, other) => one - other)
    const [median = 0, max = 0] = [sorted[sorted.length >> 1], sorted.at(-1)]
    const limitMs = faults[kind]?.limitMs ?? 0
    console.log(
      `${kind}: ${sorted.length}, next commit after ${Math.round(median)} ms, at most ${Math.round(max)} ms of ${limitMs}; ` +
        `longest time without a commit ${Math.round(gaps.get(kind) ?? 0)} ms`,
    )
    if (max > limitMs) violations.push(`${kind} took ${Math.round(max)} ms`)
  }
}

const count = Number(process.argv[2] ?? 24)
const seed = testSeed(Math.floor(Math.random() * 1e9))
console.log(`seed ${seed}`)
const random = new SeededRandom(seed)
const stage = new Stage(await startEtcd({ size }))
const times = new Map<string, number[]>()
const gaps = new Map<string, number>()
try {
  for (let nodeId = 1; nodeId <= size; nodeId++) await stage.addCandidate(nodeId)
  await stage.resumed(performance.now())
  const kinds = Object.keys(faults)
  for (let index = 0; index < count; index++) {
    // Each kind once, then as it comes.
    const kind = index < kinds.length ? kinds[index]! : random.pick(kinds)
    await stage.resumed(performance.now())
    const victim = stage.reigning ?? stage.candidates[0]!
    stage.longestGapMs = 0
    const tookMs = await faults[kind]!.run(stage, victim, random)
    times.set(kind, [...(times.get(kind) ?? []), tookMs])
    gaps.set(kind, Math.max(gaps.get(kind) ?? 0, stage.longestGapMs))
    await pause(500 + random.below(1500))
  }
  await stage.resumed(performance.now())
  for (const { child } of stage.candidates) child.kill('SIGKILL')
  const store = new EtcdStore({ env: createRealEnv(), endpoints: stage.etcd.endpoints })
  stage.violations.push(...(await judge(store, stage.acknowledged)))
  await store.close()
} finally {
  for (const { child, proxies } of stage.candidates) {
    child.kill('SIGKILL')
    for (const proxy of proxies) await proxy.close()
  }
  await stage.etcd.stop()
}
report(times, stage.violations)
for (const violation of stage.violations) console.log(`VIOLATION: ${violation}`)
console.log(`${count} faults, ${stage.violations.length} violations`)
process.exitCode = stage.violations.length === 0 ? 0 : 1
