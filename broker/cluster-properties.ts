import { boolean, int, list, string } from '../base/property.ts'

const roles = ['broker', 'controller']

function checkRoles(values: readonly string[]): string | undefined {
  if (values.length === 0) return 'At least one role is needed'
  if (new Set(values).size < values.length) return 'A role is given twice'
  const unknown = values.find((value) => !roles.includes(value))
  return unknown === undefined ? undefined : `${unknown} is neither broker nor controller`
}

export interface HostAndPort {
  readonly host: string
  readonly port: number
}

/** Undefined unless it is HOST:PORT; an IPv6 host stands in brackets. */
export function parseHostAndPort(text: string): HostAndPort | undefined {
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([^\s[\]:/,]+)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  return host !== undefined && port <= 65_535 ? { host, port } : undefined
}

function checkPlace(value: string): string | undefined {
  return parseHostAndPort(value) === undefined ? `${value} is not HOST:PORT` : undefined
}

function checkPlaces(values: readonly string[]): string | undefined {
  const bad = values.find((value) => checkPlace(value) !== undefined || value.endsWith(':0'))
  return bad === undefined ? undefined : `${bad} is not HOST:PORT`
}

const etcdPrefix = 'etcd://'

/** The members of the etcd cluster that `metadata.store` names, HOST:PORT each; undefined: it is LMDB. */
export function etcdEndpoints(metadataStore: string): readonly string[] | undefined {
  if (!metadataStore.startsWith(etcdPrefix)) return undefined
  return metadataStore.slice(etcdPrefix.length).split(',')
}

function checkStore(value: string): string | undefined {
  if (value === 'lmdb') return undefined
  return checkPlaces(etcdEndpoints(value) ?? [value])
}

/** What this process is in the cluster, and how it stays in it. */
export const clusterProperties = {
  processRoles: list({
    name: 'process.roles',
    default: 'broker,controller',
    check: checkRoles,
    allowed: 'broker, controller, or both with a comma',
    doc: 'What this process is.',
  }),
  controllerListener: string({
    name: 'controller.listener',
    default: null,
    check: checkPlace,
    allowed: 'HOST:PORT; port 0 is any free one',
    doc: 'Where brokers of other processes reach the controller; unset: it serves its own process only.',
  }),
  controllerQuorumBootstrapServers: list({
    name: 'controller.quorum.bootstrap.servers',
    default: '',
    check: checkPlaces,
    allowed: 'a list of HOST:PORT',
    doc: 'The controllers, for a process that is a broker only.',
  }),
  metadataStore: string({
    name: 'metadata.store',
    default: 'lmdb',
    check: checkStore,
    allowed: 'lmdb, or etcd://HOST:PORT,HOST:PORT',
    doc: "Where the controller keeps the cluster's metadata: in a file of its own, or in etcd, so that others can take over.",
  }),
  metadataStoreCaFile: string({
    name: 'metadata.store.ca.file',
    default: null,
    doc: 'Certificates that the servers of etcd are checked with, in PEM; set: TLS is used.',
  }),
  metadataStoreCertificateFile: string({
    name: 'metadata.store.certificate.file',
    default: null,
    doc: 'The certificate that the controller shows to etcd, in PEM.',
  }),
  metadataStoreKeyFile: string({
    name: 'metadata.store.key.file',
    default: null,
    doc: 'The key of that certificate, in PEM.',
  }),
  metadataStoreUser: string({
    name: 'metadata.store.user',
    default: null,
    doc: 'The user at etcd, where it asks for a password.',
  }),
  metadataStorePasswordFile: string({
    name: 'metadata.store.password.file',
    default: null,
    doc: 'A file with the password of that user.',
  }),
  hostLabel: string({
    name: 'host.label',
    default: null,
    doc: 'The machine: replicas are spread over machines. Unset: its host name.',
  }),
  interBrokerListenerName: string({
    name: 'inter.broker.listener.name',
    default: null,
    doc: 'The listener that other brokers connect to; unset: the first.',
  }),
  brokerHeartbeatIntervalMs: int({
    name: 'broker.heartbeat.interval.ms',
    default: 1000,
    min: 10,
    doc: 'How often a broker tells the controller that it lives.',
  }),
  brokerSessionTimeoutMs: int({
    name: 'broker.session.timeout.ms',
    default: 9000,
    min: 100,
    doc: 'A broker that was silent for so long leads nothing any more.',
  }),
  initialBrokerRegistrationTimeoutMs: int({
    name: 'initial.broker.registration.timeout.ms',
    default: 60_000,
    min: 1,
    doc: 'How long a broker tries to find a controller and to register before it gives up.',
  }),
  controlledShutdownEnable: boolean({
    name: 'controlled.shutdown.enable',
    default: true,
    doc: 'Whether a broker that stops hands its partitions over first.',
  }),
} as const
