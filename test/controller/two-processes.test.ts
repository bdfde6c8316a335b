// Two processes on one LMDB store: whoever came last reigns, and the other one can write nothing any more.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createRealEnv } from '../../base/real/real-env.ts'
import type { Controller } from '../../controller/controller.ts'
import { LmdbStore } from '../../controller/store/lmdb.ts'
import { forReal, newTopic, openController } from '../support/controllers.ts'

const env = createRealEnv()

function openOn(path: string): Promise<Controller> {
  return openController({ env, store: LmdbStore.open(path, env.disk) })
}

async function otherOn(path: string): Promise<ChildProcess> {
  const child = fork(new URL('other-process.js', import.meta.url), [path])
  await once(child, 'message')
  return child
}

async function askOther(child: ChildProcess, name: string): Promise<unknown> {
  child.send(name)
  const [answer] = await once(child, 'message')
  return answer
}

t.test('two processes: the older controller is fenced by the younger', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-two-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'metadata.mdb')
  const older = await otherOn(path)
  t.same(await askOther(older, 'first'), { error: 'NONE', fenced: false })
  const younger = await openOn(path)
  t.ok(younger.image.topicsByName.has('first'))
  t.same(await askOther(older, 'lost'), { error: 'NOT_CONTROLLER', fenced: true })
  t.match(await younger.createTopics([newTopic('second')], forReal), [{ ok: true }])
  older.kill('SIGKILL')
  await once(older, 'exit')
  await younger.close()
  const last = await openOn(path)
  t.same([...last.image.topicsByName.keys()], ['first', 'second'])
  await last.close()
})

t.test('two processes: what the killed one acknowledged is there', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-killed-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'metadata.mdb')
  const names = Array.from({ length: 5 }, (_, index) => `topic${index}`)
  for (const name of names) {
    const other = await otherOn(path)
    t.match(await askOther(other, name), { error: 'NONE' })
    other.kill('SIGKILL')
    await once(other, 'exit')
  }
  const last = await openOn(path)
  t.same([...last.image.topicsByName.keys()], names)
  t.equal(last.image.partition('topic0', 0)?.leaderEpoch, 4, 'one for each stop that was not clean')
  await last.close()
})
