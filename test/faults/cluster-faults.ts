/** What is done to the processes of a cluster: each fault strikes, lasts, and is over when its promise is. */
import { spawn } from 'node:child_process'

import { controllerId } from '../clients/cluster-process.ts'
import type { ClusterNode, ClusterProcess } from '../clients/cluster-process.ts'
import { exitOf, pause } from '../clients/processes.ts'
import type { Random } from '../clients/random.ts'
import type { ClusterDisks } from './cluster-disks.ts'
import type { ClusterNetwork } from './cluster-network.ts'

/** Where a fault happens. */
export interface Stage {
  readonly cluster: ClusterProcess
  readonly random: Random
  /** When every process has a network of its own. */
  readonly network: ClusterNetwork | undefined
  /** When every process has a disk of its own. */
  readonly disks: ClusterDisks | undefined
}

export interface StruckFault {
  /** What was done, for people. */
  readonly text: string
  /** The controller alone was away: nobody has to notice. */
  readonly isOfController: boolean
}

export type Fault = (stage: Stage) => Promise<StruckFault>

const downMsMax = 3000
const stopMsMin = 1000
const stopMsMax = 20_000

function struck(text: string, node?: ClusterNode): StruckFault {
  return { text, isOfController: node?.isController === true }
}

function durationMs(random: Random): number {
  return stopMsMin + random.below(stopMsMax - stopMsMin)
}

/** kill -9 of one process, which comes back within three seconds. */
async function kill({ cluster, random }: Stage): Promise<StruckFault> {
  const node = random.pick(cluster.nodes)
  await node.kill()
  const awayMs = random.below(downMsMax)
  await pause(awayMs)
  await node.start()
  return struck(`kill ${node.id} for ${awayMs} ms`, node)
}

/** kill -9 of several processes at once, perhaps of all: what they wrote is in the page cache. */
async function killSeveral({ cluster, random }: Stage): Promise<StruckFault> {
  const count = 2 + random.below(cluster.nodes.length - 1)
  const left = [...cluster.nodes]
  const nodes = Array.from({ length: count }, () => {
    return left.splice(random.below(left.length), 1)[0] as ClusterNode
  })
  await Promise.all(nodes.map((node) => node.kill()))
  await pause(random.below(downMsMax))
  await Promise.all(nodes.map((node) => node.start()))
  return struck(`kill ${nodes.map(({ id }) => id).join()} together`)
}

/** kill -9 of a broker that is back at once, and of another one in the moment when the first serves again. */
async function killInTurn({ cluster, random }: Stage): Promise<StruckFault> {
  const first = random.pick(cluster.brokers)
  const second = random.pick(cluster.brokers.filter((node) => node !== first))
  await first.kill()
  await first.start()
  await pause(random.below(100))
  await second.kill()
  await pause(random.below(downMsMax))
  await second.start()
  return struck(`kill ${first.id}, and ${second.id} when it is back`)
}

/** SIGSTOP: its connections stay, and it believes afterwards that no time has passed. */
async function stop({ cluster, random }: Stage): Promise<StruckFault> {
  const node = random.pick(cluster.nodes)
  const awayMs = durationMs(random)
  await node.suspend()
  await pause(awayMs)
  node.resume()
  return struck(`stop ${node.id} for ${awayMs} ms`, node)
}

const cutKinds = [
  'alone',
  'pair',
  'sends nothing',
  'hears nothing',
  'controller',
  'clients',
] as const

/** The network is cut in one of several ways: packets vanish, connections stay. */
async function cut({ cluster, random, network }: Stage): Promise<StruckFault> {
  if (network === undefined) throw new Error('there is no network to cut')
  const kind = random.pick(cutKinds)
  const awayMs = durationMs(random)
  const ids = cluster.nodes.map(({ id }) => id)
  const [node, other] = [random.pick(cluster.brokers), random.pick(cluster.brokers)]
  const others = ids.filter((id) => id !== node.id)
  if (kind === 'alone') await network.isolate(node.id)
  else if (kind === 'pair' && node !== other) await network.cutBetween(node.id, other.id)
  else if (kind === 'sends nothing') for (const id of others) await network.drop(node.id, id)
  else if (kind === 'hears nothing') for (const id of others) await network.drop(id, node.id)
  else if (kind === 'clients') await network.cutClients(node.id)
  else await network.cutBetween(node.id, controllerId)
  await pause(awayMs)
  await network.heal()
  return struck(`cut ${kind} ${node.id} (${other.id}) for ${awayMs} ms`)
}

/** A machine loses its power: what was not synced is gone. */
async function power({ cluster, random, disks }: Stage): Promise<StruckFault> {
  if (disks === undefined) throw new Error('there is no disk whose power could be cut')
  const node = random.pick(cluster.nodes)
  // An fdatasync that runs while ext4 is shut down may return success for what is lost; see power.ts.
  await node.suspend()
  await disks.cutPower(node.id)
  await node.kill()
  await disks.restorePower(node.id)
  const awayMs = random.below(downMsMax)
  await pause(awayMs)
  await node.start()
  return struck(`power cut of ${node.id} for ${awayMs} ms`, node)
}

/** All machines lose their power within the same moment. */
async function powerOfAll({ cluster, disks }: Stage): Promise<StruckFault> {
  if (disks === undefined) throw new Error('there is no disk whose power could be cut')
  await Promise.all(cluster.nodes.map((node) => node.suspend()))
  await Promise.all(cluster.nodes.map((node) => disks.cutPower(node.id)))
  await cluster.kill()
  await Promise.all(cluster.nodes.map((node) => disks.restorePower(node.id)))
  await cluster.startAll()
  return struck('power cut of all')
}

/** A broker's disk is full for a while. */
async function diskFull({ cluster, random, disks }: Stage): Promise<StruckFault> {
  if (disks === undefined) throw new Error('there is no disk that could be full')
  const node = random.pick(cluster.brokers)
  const forMs = stopMsMin + random.below(5000)
  disks.fill(node.id)
  await pause(forMs)
  disks.free(node.id)
  return struck(`disk of ${node.id} full for ${forMs} ms`)
}

/** A broker's disk can't sync any more, until the broker has been started anew: it must not say that it has synced. */
async function syncFails({ cluster, random }: Stage): Promise<StruckFault> {
  const node = random.pick(cluster.brokers)
  const injected = ['-e', 'trace=fdatasync', '-e', 'inject=fdatasync:error=EIO']
  const args = ['-f', '-qq', '-o', '/dev/null', ...injected, '-p', `${node.processId}`]
  const tracer = spawn('strace', args, { stdio: 'ignore' })
  await pause(stopMsMin + random.below(4000))
  await node.kill()
  await exitOf(tracer)
  const count = node.errorOutput().split('EIO').length - 1
  await node.start()
  return struck(`fdatasync of ${node.id} fails with EIO, which it says ${count} times`)
}

/** What `cluster.js` can be asked for. Those of `mixed` are drawn one by one. */
export const faults = {
  kill: [kill],
  crash: [killInTurn, killSeveral],
  stop: [stop],
  cut: [cut],
  power: [power],
  'power-all': [power, powerOfAll],
  full: [diskFull],
  eio: [syncFails],
  mixed: [kill, killInTurn, killSeveral, stop, cut, power, diskFull],
} as const satisfies Record<string, readonly Fault[]>

export type FaultName = keyof typeof faults

export function isFaultName(name: string): name is FaultName {
  return Object.hasOwn(faults, name)
}

export function needsNetwork(name: FaultName): boolean {
  return name === 'cut' || name === 'mixed'
}

export function needsDisks(name: FaultName): boolean {
  return name.startsWith('power') || name === 'full' || name === 'mixed'
}

/** Faults that spare only what was synced, or that nobody notices who does not sync. */
export function needsSync(name: FaultName): boolean {
  return name === 'power-all' || name === 'eio'
}
