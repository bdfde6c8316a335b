/** Who may import whom: a folder may import itself and what stands here. `layers.test.ts` checks it. */
export const layers: Readonly<Record<string, readonly string[]>> = {
  base: [],
  'base/real': ['base'],
  'base/simulated': ['base'],
  protocol: ['base'],
  client: ['base', 'protocol'],
  'broker/log': ['base', 'protocol'],
  'broker/metadata': ['base', 'protocol'],
  'broker/network': ['base', 'protocol'],
  'broker/replica/replica-properties': ['base'],
  'broker/replica': ['base', 'protocol', 'broker/log', 'broker/metadata'],
  'broker/group/group-properties': ['base'],
  'broker/group': [
    'base',
    'protocol',
    'broker/group/group-properties',
    'broker/log',
    'broker/metadata',
    'broker/replica',
  ],
  'broker/handlers': [
    'base',
    'broker/group',
    'protocol',
    'broker/log',
    'broker/metadata',
    'broker/replica',
    'broker/config',
    'controller',
  ],
  // The image of the cluster is the same class on both sides; the tables of configurations check values.
  controller: ['base', 'protocol', 'broker/metadata', 'broker/config', 'broker/cluster-properties'],
  'broker/broker-properties': ['base'],
  'broker/cluster-properties': ['base'],
  'broker/properties-file': ['base'],
  'controller/controller-properties': ['base'],
  'broker/config': [
    'base',
    'broker/broker-properties',
    'broker/cluster-properties',
    'broker/properties-file',
    'broker/group/group-properties',
    'broker/replica/replica-properties',
    'broker/log',
    'broker/network',
    'broker/metadata',
    'controller/controller-properties',
  ],
  // Helpers for other people's tests: broker and client in one place.
  'broker/testing': ['base', 'protocol', 'broker', 'controller', 'client'],
  broker: ['base', 'protocol', 'broker', 'controller'],
  cli: ['base', 'protocol', 'broker', 'controller', 'client', 'cli'],
}

/** Packages with native code or a wide surface: one file each may import them. */
export const isExempt = (specifier: string): boolean =>
  specifier.startsWith('node:') || specifier.startsWith('.') || specifier === 'commander'
