import t from 'tap'
import { createSimulatedEnv, type SimulatedEnv } from '../../../base/simulated/simulated-env.ts'
import { claimOf, writeLastRun, type Claim } from '../../../broker/log/last-run.ts'
import { append, machine, open, topicId } from './log-support.ts'

const bootIdPath = '/proc/sys/kernel/random/boot_id'
const lost: Claim = { previousEpoch: -1, stoppedCleanly: false }

function boot(env: SimulatedEnv, id: string): void {
  env.disk.makeDirectory('/proc/sys/kernel/random')
  const file = env.disk.open(bootIdPath, 'write')
  file.write([Buffer.from(`${id}\n`)], 0)
  file.close()
}

async function prepared(flushPolicy: string): Promise<SimulatedEnv> {
  const env = createSimulatedEnv(1)
  boot(env, '11111111-2222-3333-4444-555555555555')
  for (const directory of ['/a', '/b']) {
    env.disk.makeDirectory(directory)
    const run = { brokerEpoch: 7, flushPolicy, directoryCount: 2 }
    await env.simulation.until(writeLastRun(env.disk, directory, run))
  }
  return env
}

const claim = (env: SimulatedEnv, epoch: number, cleanEpoch = -1): Claim =>
  claimOf({ disk: env.disk, directories: ['/a', '/b'], cleanEpoch }, epoch)

t.test('last run: a clean stop needs no other proof', async (t) => {
  const env = createSimulatedEnv(1)
  t.same(claim(env, 7, 7), { previousEpoch: 7, stoppedCleanly: true })
  t.same(claim(env, 7, 6), lost)
  t.same(claim(env, -1, -1), lost)
})

t.test('last run: a process that was killed lost nothing while the kernel runs on', async (t) => {
  const env = await prepared('os')
  t.same(claim(env, 7), { previousEpoch: 7, stoppedCleanly: true })
  boot(env, '99999999-2222-3333-4444-555555555555')
  t.same(claim(env, 7), lost)
})

t.test('last run: after a power cut it counts whether appends were synced', async (t) => {
  const env = await prepared('ack')
  boot(env, '99999999-2222-3333-4444-555555555555')
  t.same(claim(env, 7), { previousEpoch: 7, stoppedCleanly: false })
})

t.test(
  'last run: another registration, a new directory or a damaged file prove nothing',
  async (t) => {
    const env = await prepared('ack')
    t.same(claim(env, 8), lost)
    const file = env.disk.open('/b/.millrace_last_run', 'write')
    file.truncate(10)
    file.close()
    t.same(claim(env, 7), lost)
    env.disk.remove('/b/.millrace_last_run')
    t.same(claim(env, 7), lost)
  },
)

t.test(
  'last run: a directory that was taken out of the configuration has taken its logs along',
  async (t) => {
    const env = await prepared('ack')
    const claimWith = (directories: readonly string[], cleanEpoch: number): Claim =>
      claimOf({ disk: env.disk, directories, cleanEpoch }, 7)
    t.same(claimWith(['/a'], -1), lost, 'after a kill')
    t.same(claimWith(['/a'], 7), lost, 'after a clean stop')
    t.same(claimWith(['/a', '/b'], 7), { previousEpoch: 7, stoppedCleanly: true })
    const file = env.disk.open('/a/.millrace_last_run', 'write')
    file.truncate(0)
    const older = '{"version":0,"brokerEpoch":7,"bootId":"","flushPolicy":"ack"}'
    file.write([Buffer.from(older)], 0)
    file.close()
    t.same(claimWith(['/a'], -1), { previousEpoch: 7, stoppedCleanly: false }, 'of an older broker')
  },
)

t.test('clean stop: a directory that can not be opened leaves nothing proved', async (t) => {
  const m = machine()
  const directories = ['/one', '/two']
  const logs = await open(m, { directories })
  logs.brokerEpoch = 7
  append(logs.create('topic', topicId, 0), ['a'])
  await m.simulation.until(logs.close())
  m.env.disk.fail({ operation: 'list', path: '/two', code: 'EIO', times: 1 })
  const again = await open(m, { directories })
  t.equal(again.previousBrokerEpoch, -1)
  await m.simulation.until(again.close())
})

/** Logs in two directories, written under registration 7. */
async function running() {
  const m = machine()
  boot(m.env, '11111111-2222-3333-4444-555555555555')
  const directories = ['/a', '/b']
  const logs = await open(m, { directories })
  for (const directory of directories) {
    const run = { brokerEpoch: 7, flushPolicy: 'interval', directoryCount: 2 }
    await m.simulation.until(writeLastRun(m.env.disk, directory, run))
  }
  return { m, logs }
}

t.test('last run: after a failed sync the same boot proves nothing', async (t) => {
  const { m, logs } = await running()
  t.same(claim(m.env, 7), { previousEpoch: 7, stoppedCleanly: true })
  const log = logs.create('topic', topicId, 0)
  append(log, ['x'])
  m.env.disk.fail({ operation: 'sync', path: '.log', code: 'EIO', times: 1 })
  await t.rejects(m.simulation.until(log.flush()), { code: 'EIO' })
  t.same(claim(m.env, 7), lost)
  await m.simulation.until(logs.close())
  t.same(claim(m.env, 7), lost)
})

t.test('last run: a clean stop that a full disk spoils has lost nothing', async (t) => {
  const { m, logs } = await running()
  append(logs.create('topic', topicId, 0), ['x'])
  const path = 'recovery-point-offset-checkpoint'
  m.env.disk.fail({ operation: 'write', path, code: 'ENOSPC', times: 9 })
  await m.simulation.until(logs.close())
  t.same(claim(m.env, 7), { previousEpoch: 7, stoppedCleanly: true })
})
