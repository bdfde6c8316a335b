import t from 'tap'
import { Buddy } from '../../../base/real/buddy.ts'
import { Prng } from '../../../base/simulated/prng.ts'

t.test('buddy: blocks never overlap, and all of it comes back', async (t) => {
  for (let seed = 0; seed < 20; seed++) {
    const random = new Prng(`buddy ${seed}`)
    const buddy = new Buddy(1024, 4)
    const owners = new Uint8Array(1024)
    const taken = new Map<number, number>()
    for (let round = 0; round < 2_000; round++) {
      if (random.chance(0.5)) {
        const bytes = 1 + random.below(random.chance(0.1) ? 1024 : 64)
        const at = buddy.take(bytes)
        if (at === undefined) continue
        if (owners.subarray(at, at + bytes).some((owner) => owner !== 0) || at + bytes > 1024) {
          t.fail(`seed ${seed}, round ${round}: ${bytes} bytes at ${at} are taken`)
        }
        owners.fill(1, at, at + bytes)
        taken.set(at, bytes)
      } else {
        const [entry] = taken
        if (entry === undefined) continue
        const [at, bytes] = entry
        buddy.give(at)
        owners.fill(0, at, at + bytes)
        taken.delete(at)
      }
    }
    for (const at of taken.keys()) buddy.give(at)
    t.equal(buddy.takenCount, 0)
    t.equal(buddy.take(1024), 0, `seed ${seed}: one piece again`)
  }
})

t.test('buddy: no room is no answer, and a double free is a bug', async (t) => {
  const buddy = new Buddy(64, 4)
  t.equal(buddy.take(65), undefined)
  t.equal(buddy.take(17), 0)
  t.equal(buddy.take(33), undefined)
  t.equal(buddy.take(1), 32)
  buddy.give(32)
  t.throws(() => buddy.give(32), { message: 'what is given back was taken' })
})
