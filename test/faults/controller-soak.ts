/**
 * A controller under topics that come and go: does its store, or its memory, grow?
 *
 * `node --expose-gc controller-soak.js [TOPICS] [lmdb|etcd]` (default 60,000 on LMDB, ten of 20 partitions in each request; 864,000 are those of a
 * day with ten a second). Exit code 1 when the store or the heap is larger at the end than at half time, beyond what
 * comes and goes between two snapshots, or when a topic is left.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger } from '../../base/logger.ts'
import { createRealEnv } from '../../base/real/real-env.ts'
import { configSchema, loadBrokerConfig } from '../../broker/config.ts'
import { Controller } from '../../controller/controller.ts'
import { EtcdStore } from '../../controller/store/etcd.ts'
import { LmdbStore } from '../../controller/store/lmdb.ts'
import type { MetadataStore } from '../../controller/store/metadata-store.ts'
import { eventually } from '../clients/processes.ts'
import { startEtcd } from '../support/etcd.ts'

const brokerIds = [1, 2, 3]
const topicsAtOnce = 10
const partitionsPerTopic = 20
const day = 86_400_000
/** Of the size at half time: the log between two snapshots comes and goes. */
const growthMax = 1.5
const heapGrowthBytesMax = 8 * 2 ** 20
/** controlplane.md, row 19. */
const storeBytesMax = 200e6

const topicCount = Number(process.argv[2] ?? 60_000)
const place = process.argv[3] ?? 'lmdb'
const env = createRealEnv()

interface Seat {
  readonly store: MetadataStore
  storeBytes(): number
  close(): Promise<void>
}

interface Size {
  readonly storeBytes: number
  readonly heapBytes: number
}

const folder = mkdtempSync(join(tmpdir(), 'millrace-controller-soak-'))
const seat = place === 'etcd' ? await onEtcd() : onLmdb()
const violations: string[] = []
try {
  const controller = await Controller.open({
    env,
    store: seat.store,
    nodeId: 100,
    config: loadBrokerConfig({ sets: { 'log.dirs': folder } }),
    schema: configSchema,
    logger: silentLogger,
    sessions: { timeoutMs: day, heartbeatIntervalMs: day / 10 },
  })
  await register(controller)
  const beganMs = performance.now()
  const half = await churn(controller, topicCount / 2)
  const end = await churn(controller, topicCount / 2)
  const seconds = (performance.now() - beganMs) / 1000
  await controller.close()
  console.log(`half time: ${text(half)}`)
  console.log(`end: ${text(end)}, after ${seconds.toFixed(0)} s`)
  if (end.storeBytes > Math.min(half.storeBytes * growthMax, storeBytesMax))
    violations.push('the store grows')
  if (end.heapBytes > half.heapBytes + heapGrowthBytesMax) violations.push('the heap grows')
  if (controller.image.topicsById.size > 0) violations.push('topics are left')
} finally {
  await seat.close()
  rmSync(folder, { recursive: true, force: true })
}
for (const violation of violations) console.log(`VIOLATION: ${violation}`)
console.log(`${topicCount} topics came and went, ${violations.length} violations`)
process.exit(violations.length === 0 ? 0 : 1)

function onLmdb(): Seat {
  const path = join(folder, 'metadata.mdb')
  const store = LmdbStore.open(path, env.disk)
  return { store, storeBytes: () => bytesOf(path), close: () => Promise.resolve() }
}

async function onEtcd(): Promise<Seat> {
  const etcd = await startEtcd()
  const store = new EtcdStore({ env, endpoints: [...etcd.endpoints] })
  const path = join(etcd.members[0]?.dataDirectory ?? '', 'member', 'snap', 'db')
  return { store, storeBytes: () => bytesOf(path), close: () => etcd.stop() }
}

function bytesOf(path: string): number {
  return env.disk.stat(path)?.bytes ?? Infinity
}

async function register(controller: Controller): Promise<void> {
  for (const brokerId of brokerIds) {
    const registered = await controller.registerBroker({
      brokerId,
      incarnation: `${brokerId}`.padStart(32, '0'),
      listeners: [
        { name: 'PLAINTEXT', host: 'localhost', port: brokerId, securityProtocol: 'PLAINTEXT' },
      ],
      rack: null,
      host: `machine-${brokerId}`,
    })
    if (!registered.ok) throw new Error(registered.message)
    const isServing = (): true | undefined =>
      controller.image.brokers.get(brokerId)?.fenced === false || undefined
    const heartbeat = {
      brokerId,
      brokerEpoch: registered.epoch,
      appliedOffset: controller.image.offset,
      wantFence: false,
      wantShutdown: false,
    }
    await controller.heartbeat(heartbeat)
    await eventually(isServing, { timeoutMs: 10_000, describe: () => `broker ${brokerId} serves` })
  }
}

async function churn(controller: Controller, count: number): Promise<Size> {
  for (let from = 0; from < count; from += topicsAtOnce) {
    const topics = Array.from({ length: topicsAtOnce }, (_, index) => ({
      name: `topic-${from + index}`,
      partitionCount: partitionsPerTopic,
      replicationFactor: brokerIds.length,
      assignments: [],
      configs: [{ name: 'retention.ms', value: '60000' }],
    }))
    for (const created of await controller.createTopics(topics, { validateOnly: false }))
      if (!created.ok) throw new Error(created.message)
    const ids = [...controller.image.topicsById.keys()]
    for (const deleted of await controller.deleteTopics(ids))
      if (!deleted.ok) throw new Error(deleted.message)
  }
  globalThis.gc?.()
  return { storeBytes: seat.storeBytes(), heapBytes: process.memoryUsage().heapUsed }
}

function text({ storeBytes, heapBytes }: Size): string {
  return `store ${(storeBytes / 1e6).toFixed(1)} MB, heap ${(heapBytes / 1e6).toFixed(1)} MB`
}
