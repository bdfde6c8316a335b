// Apache Kafka from Maven: its jars beside kafka/pom.xml, resolved once.
import { existsSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { PeerUnavailable, type Processes } from '../harness/peer.ts'
import { repositoryRoot } from './places.ts'

const folder = join(repositoryRoot, 'bench', 'peers', 'kafka')
const jars = join(folder, 'jars')
const resolveWithinMs = 300_000

export const kafkaClasspath = join(jars, '*')

/** Of tools that live for a moment: they start faster without the optimising compiler and with the serial collector. */
export const toolFlags: readonly string[] = [
  '-XX:+UseSerialGC',
  '-XX:TieredStopAtLevel=1',
  '-Xshare:auto',
  '-Dorg.slf4j.simpleLogger.defaultLogLevel=error',
]

/** Gives the versions of Kafka and Java. Throws PeerUnavailable. */
export async function prepareKafka(options: {
  readonly processes: Processes
  log(text: string): void
}): Promise<{ kafka: string; java: string }> {
  const { processes } = options
  const java = await javaVersion(processes)
  if (!holdsPomVersion()) {
    options.log("resolving Apache Kafka's jars with Maven, once ...")
    await resolve(processes)
  }
  return { kafka: kafkaVersion(), java }
}

async function javaVersion(processes: Processes): Promise<string> {
  const asked = processes.spawn('java', ['-version'])
  if ((await asked.exited) !== 0)
    throw new PeerUnavailable('no java: apt-get install default-jdk-headless')
  // openjdk version "17.0.15" 2025-04-15
  const [, version] = /version "([^"]+)"/.exec(asked.output()) ?? []
  const [, runtime = 'Java'] = /^(OpenJDK|Java\(TM\))/m.exec(asked.output()) ?? []
  return `${runtime} ${version ?? 'of an unknown version'}`
}

async function resolve(processes: Processes): Promise<void> {
  const drafts = `${jars}.draft`
  rmSync(drafts, { recursive: true, force: true })
  const goal = ['dependency:copy-dependencies', `-DoutputDirectory=${drafts}`]
  const maven = processes.spawn('mvn', ['-q', '-B', '-f', join(folder, 'pom.xml'), ...goal])
  const timer = setTimeout(() => void maven.kill(), resolveWithinMs)
  const exit = await maven.exited
  clearTimeout(timer)
  if (exit === 127) throw new PeerUnavailable('no mvn: apt-get install maven')
  if (exit !== 0) {
    rmSync(drafts, { recursive: true, force: true })
    const [why = ''] = maven.output().match(/^\[ERROR\].*$/m) ?? [`it ended with ${exit}`]
    throw new PeerUnavailable(`Maven did not get Apache Kafka's jars: ${why.slice(0, 300)}`)
  }
  rmSync(jars, { recursive: true, force: true })
  renameSync(drafts, jars)
}

function holdsPomVersion(): boolean {
  const pom = readFileSync(join(folder, 'pom.xml'), 'utf8')
  const [, wanted] = /<kafka\.version>([^<]+)</.exec(pom) ?? []
  return existsSync(jars) && kafkaVersion() === wanted
}

function kafkaVersion(): string {
  for (const name of readdirSync(jars)) {
    const [, version] = /^kafka_2\.13-([\d.]+)\.jar$/.exec(name) ?? []
    if (version !== undefined) return version
  }
  return 'unknown'
}
