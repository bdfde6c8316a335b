/**
 * A controller on LMDB, killed in the middle of its commits again and again.
 *
 * `node controller-lmdb.js [KILLS]` (default 20); SEED=n repeats the choices. Exit code 1 unless what was acknowledged is in
 * the log exactly once, the log has no gap, and epochs never go back.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRealEnv } from '../../base/real/real-env.ts'
import { LmdbStore } from '../../controller/store/lmdb.ts'
import { SeededRandom, testSeed } from '../support/seeded-random.ts'
import { judge } from './controller-judge.ts'

const kills = Number(process.argv[2] ?? 20)
const seed = testSeed(Math.floor(Math.random() * 1e9))
console.log(`seed ${seed}`)
const random = new SeededRandom(seed)
const folder = mkdtempSync(join(tmpdir(), 'millrace-controller-'))
const path = join(folder, 'metadata.mdb')
const acknowledged: string[] = []
const violations: string[] = []
const startsMs: number[] = []
try {
  for (let kill = 0; kill < kills; kill++) {
    const startedMs = performance.now()
    const child = fork(new URL('controller-candidate.js', import.meta.url), ['1', `lmdb:${path}`])
    let left = 1 + random.below(80)
    child.on('message', (message: { acknowledged?: string; fatal?: string }) => {
      if (message.fatal !== undefined) violations.push(message.fatal)
      if (message.acknowledged === undefined) return
      if (acknowledged.push(message.acknowledged) && startsMs.length === kill) {
        startsMs.push(performance.now() - startedMs)
      }
      if (--left === 0) setTimeout(() => child.kill('SIGKILL'), random.below(5))
    })
    await once(child, 'exit')
    if (child.signalCode !== 'SIGKILL' || left > 0)
      violations.push(`a controller ended by itself, with ${child.exitCode ?? child.signalCode}`)
  }
  const store = LmdbStore.open(path, createRealEnv().disk)
  violations.push(...(await judge(store, acknowledged)))
  await store.close()
} finally {
  rmSync(folder, { recursive: true, force: true })
}
const median = startsMs.toSorted((one, other) => one - other)[startsMs.length >> 1] ?? 0
console.log(`from the start of a process to its first commit: ${Math.round(median)} ms`)
for (const violation of violations) console.log(`VIOLATION: ${violation}`)
console.log(`${kills} kills, ${violations.length} violations`)
process.exitCode = violations.length === 0 ? 0 : 1
