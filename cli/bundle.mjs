// Bundles the command and the SDK, so that they start fast: opening few files beats resolving a hundred.
// Commands are chunks of their own, so that starting a broker does not load the others.
import { chmodSync, copyFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
// With native code, which stays where npm put it. All others are bundled: that saves a tenth of the start's time.
const external = [
  'lmdb',
  'koffi',
  '@node-rs/crc32',
  'snappy',
  'lz4-napi',
  '@cloudpss/zstd',
  // Loaded only where etcd is configured.
  '@grpc/grpc-js',
  '@grpc/proto-loader',
]
const common = {
  absWorkingDir: root,
  bundle: true,
  splitting: true,
  chunkNames: '[name]-[hash]',
  platform: 'node',
  format: 'esm',
  target: 'node20',
  legalComments: 'linked',
  sourcemap: true,
  logLevel: 'warning',
}
// Chunks are named by content; those of earlier builds would stay.
for (const folder of ['bin', 'sdk'])
  rmSync(`${root}/dist/${folder}`, { recursive: true, force: true })
await build({
  ...common,
  // The thread that compacts logs is a module of its own, found beside whoever starts it.
  entryPoints: {
    main: 'dist/cli/main.js',
    'clean-worker': 'dist/broker/log/cleaner/clean-worker.js',
  },
  outdir: 'dist/bin',
  outExtension: { '.js': '.mjs' },
  external,
  // For what CommonJS packages require.
  banner: {
    js: `import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);`,
  },
})
// What `import 'millrace'` loads, without the broker; what not every program needs are chunks of their own.
await build({
  ...common,
  entryPoints: { index: 'dist/client/index.js' },
  outdir: 'dist/sdk',
  external,
})
// The package is of ES modules, its command is not: see there.
writeFileSync(`${root}/dist/bin/package.json`, '{ "type": "commonjs" }\n')
copyFileSync(`${root}/cli/millrace.cjs`, `${root}/dist/bin/millrace.js`)
chmodSync(`${root}/dist/bin/millrace.js`, 0o755)
