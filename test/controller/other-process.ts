/** A second process on a store, started by the tests: creates the topics that it is told to, until it is killed. */
import { createRealEnv } from '../../base/real/real-env.ts'
import { LmdbStore } from '../../controller/store/lmdb.ts'
import { forReal, newTopic, openController, register } from '../support/controllers.ts'

const env = createRealEnv()
let fenced = false
const controller = await openController({
  env,
  store: LmdbStore.open(process.argv[2] ?? '', env.disk),
  onFenced: () => (fenced = true),
})
await register(controller)
process.on('message', (name: string) => {
  void controller.createTopics([newTopic(name)], forReal).then(([outcome]) => {
    process.send?.({ error: outcome?.ok === false ? outcome.error.name : 'NONE', fenced })
  })
})
process.send?.('ready')
