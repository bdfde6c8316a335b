import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Peer, PeerDescription, RunningPeer, StartOptions, Terms } from '../harness/peer.ts'
import { Instance, type NodePlan } from './instance.ts'
import { kafkaClasspath, prepareKafka, toolFlags } from './kafka-jars.ts'
import { freePorts } from './ports.ts'
import { accepts, kafkaServes } from './probes.ts'

const host = '127.0.0.1'
/** Any 16 bytes in URL-safe base64. */
const clusterId = 'TWlsbHJhY2VCZW5jaEthZg'
const controllerId = 100
/** The heap, and what a JVM takes beside it. */
const processBytes = 1.6e9

/** What bin/kafka-server-start.sh and bin/kafka-run-class.sh give to java when nothing is set. */
const jvmFlags: readonly string[] = [
  '-Xmx1G',
  '-Xms1G',
  '-server',
  '-XX:+UseG1GC',
  '-XX:MaxGCPauseMillis=20',
  '-XX:InitiatingHeapOccupancyPercent=35',
  '-XX:+ExplicitGCInvokesConcurrent',
  '-XX:MaxInlineLevel=15',
  '-Djava.awt.headless=true',
  '-Dcom.sun.management.jmxremote=true',
  '-Dcom.sun.management.jmxremote.authenticate=false',
  '-Dcom.sun.management.jmxremote.ssl=false',
]

/** A node that takes both roles, or three brokers and a controller of their own. */
interface Member {
  readonly id: number
  readonly roles: string
  readonly brokerPort: number | undefined
  readonly controllerPort: number | undefined
}

export class KafkaPeer implements Peer {
  readonly name = 'kafka'
  readonly protocol = 'kafka'

  memoryBytes({ brokers }: Terms): number {
    return processBytes * (brokers === 1 ? 1 : brokers + 1)
  }

  async prepare(options: Parameters<Peer['prepare']>[0]): Promise<PeerDescription> {
    const { kafka, java } = await prepareKafka(options)
    return {
      version: `${kafka}, ${java}`,
      remarks: [
        `JVM flags of bin/kafka-server-start.sh: ${jvmFlags.slice(0, 8).join(' ')}`,
        'KRaft; settings as Kafka comes with them, but for addresses, folders, replication factors of internal topics',
        'logs errors only (slf4j-simple), which is less than its distribution logs; GC log as in its distribution',
      ],
    }
  }

  async start({ folder, terms, processes }: StartOptions): Promise<RunningPeer> {
    const members = await membersOf(terms)
    const voters = members
      .filter(({ controllerPort }) => controllerPort !== undefined)
      .map(({ id, controllerPort }) => `${id}@${host}:${controllerPort}`)
      .join(',')
    const plans = members.map((member) => planOf(member, { folder, terms, voters }))
    const formats = plans.flatMap(({ format }) => (format === undefined ? [] : [format]))
    await Promise.all(formats.map((args) => processes.run('java', args)))
    const controllers = plans.filter(({ member }) => member.brokerPort === undefined)
    const brokers = plans.filter(({ member }) => member.brokerPort !== undefined)
    return Instance.start({ peer: this, terms, processes, controllers, brokers })
  }
}

async function membersOf({ brokers }: Terms): Promise<Member[]> {
  const [controllerPort, ...ports] = await freePorts(1 + brokers)
  if (brokers === 1)
    return [{ id: 1, roles: 'broker,controller', brokerPort: ports[0], controllerPort }]
  return [
    { id: controllerId, roles: 'controller', brokerPort: undefined, controllerPort },
    ...ports.map((brokerPort, index) => ({
      id: index + 1,
      roles: 'broker',
      brokerPort,
      controllerPort: undefined,
    })),
  ]
}

function planOf(
  member: Member,
  options: { readonly folder: string; readonly terms: Terms; readonly voters: string },
): NodePlan & { readonly member: Member; readonly format: readonly string[] | undefined } {
  const { folder, terms, voters } = options
  const { id, brokerPort, controllerPort } = member
  const dataFolder = join(folder, `node-${id}`)
  mkdirSync(dataFolder, { recursive: true })
  const file = join(folder, `node-${id}.properties`)
  const configuration = propertiesOf(member, { dataFolder, terms, voters })
  writeFileSync(file, configuration)
  const port = brokerPort ?? controllerPort ?? 0
  const gcLog = `-Xlog:gc*:file=${join(folder, `node-${id}-gc.log`)}:time,tags:filecount=10,filesize=100M`
  const logging = '-Dorg.slf4j.simpleLogger.defaultLogLevel=error'
  const classpath = ['-cp', kafkaClasspath]
  const isFormatted = existsSync(join(dataFolder, 'meta.properties'))
  return {
    member,
    format: isFormatted
      ? undefined
      : [
          ...toolFlags,
          ...classpath,
          'kafka.tools.StorageTool',
          'format',
          '-t',
          clusterId,
          '-c',
          file,
        ],
    id,
    host,
    port,
    dataFolder,
    command: 'java',
    args: [...jvmFlags, gcLog, logging, ...classpath, 'kafka.Kafka', file],
    configuration,
    serves: () =>
      brokerPort === undefined
        ? accepts({ host, port })
        : kafkaServes({ host, port }, terms.brokers),
  }
}

function propertiesOf(
  { id, roles, brokerPort, controllerPort }: Member,
  options: { readonly dataFolder: string; readonly terms: Terms; readonly voters: string },
): string {
  const { dataFolder, terms, voters } = options
  const listeners = [
    ...(brokerPort === undefined ? [] : [`PLAINTEXT://${host}:${brokerPort}`]),
    ...(controllerPort === undefined ? [] : [`CONTROLLER://${host}:${controllerPort}`]),
  ]
  const properties = {
    'process.roles': roles,
    'node.id': id,
    listeners: listeners.join(','),
    'controller.listener.names': 'CONTROLLER',
    'controller.quorum.voters': voters,
    'log.dirs': dataFolder,
    'offsets.topic.replication.factor': terms.brokers,
    'transaction.state.log.replication.factor': terms.brokers,
    'transaction.state.log.min.isr': 1,
    ...(terms.durability === 'ack' && { 'log.flush.interval.messages': 1 }),
    ...terms.properties,
  }
  return Object.entries(properties)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('')
}
