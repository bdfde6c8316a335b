// Bundles the command and the SDK, so that they start fast: opening few files beats resolving a hundred.
import { execFileSync } from 'node:child_process'
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
  platform: 'node',
  target: 'node20',
  legalComments: 'linked',
  sourcemap: true,
  logLevel: 'warning',
  external,
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
  // V8 keeps compiled code of scripts, and Node 20 offers that for CommonJS only; see millrace.cjs.
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  supported: { 'dynamic-import': false },
  define: { 'import.meta.url': 'bundleUrl' },
  banner: { js: `const bundleUrl = require('node:url').pathToFileURL(__filename).href;` },
})
// What `import 'millrace'` loads, without the broker; what not every program needs are chunks of their own.
await build({
  ...common,
  entryPoints: { index: 'dist/client/index.js' },
  outdir: 'dist/sdk',
  format: 'esm',
  splitting: true,
  chunkNames: '[name]-[hash]',
})
// The package is of ES modules, its command is not: see there.
writeFileSync(`${root}/dist/bin/package.json`, '{ "type": "commonjs" }\n')
copyFileSync(`${root}/cli/millrace.cjs`, `${root}/dist/bin/millrace.js`)
chmodSync(`${root}/dist/bin/millrace.js`, 0o755)
try {
  execFileSync(process.execPath, [`${root}/cli/keep-compiled.cjs`], {
    stdio: 'pipe',
    timeout: 60_000,
  })
} catch (error) {
  process.stderr.write(`warning: the command will start slower than it could: ${error.message}\n`)
}
