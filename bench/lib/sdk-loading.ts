// What a program pays for loading the SDK: time of the import, bytes of a bundle.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import type { Row } from './report.ts'
import { spread } from './statistics.ts'

const run = promisify(execFile)
const importMsWanted = 40
const gzippedBytesWanted = 60_000

export async function measureLoading(options: {
  compiledRoot: string
  repositoryRoot: string
  quick: boolean
}): Promise<Row[]> {
  const entry = join(options.compiledRoot, 'client', 'index.js')
  // What `import 'millrace'` loads.
  const packaged = join(options.repositoryRoot, 'dist', 'sdk', 'index.js')
  const program = `const began = performance.now(); await import(${JSON.stringify(packaged)}); console.log(performance.now() - began)`
  const times: number[] = []
  for (let count = 0; count < (options.quick ? 5 : 15); count++) {
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program])
    times.push(Number(stdout))
  }
  const imports = spread(times)
  const gzipped = await gzippedBytes(entry, options.repositoryRoot)
  return [
    {
      name: 'import',
      unit: 'ms',
      figures: imports,
      target: { text: `< ${importMsWanted}`, met: imports.median < importMsWanted },
    },
    {
      name: 'core, minified and gzipped',
      unit: 'kB',
      figures: spread([gzipped / 1000]),
      target: { text: '< 60', met: gzipped < gzippedBytesWanted },
    },
  ]
}

/** Packages with codecs and the like are loaded at their first use, and are not the core. */
async function gzippedBytes(entry: string, repositoryRoot: string): Promise<number> {
  const esbuild = join(repositoryRoot, 'node_modules', '.bin', 'esbuild')
  const flags = ['--bundle', '--minify', '--platform=node', '--format=esm', '--packages=external']
  const { stdout } = await run(esbuild, [entry, ...flags], { maxBuffer: 64 * 1024 * 1024 })
  return gzipSync(stdout, { level: 9 }).length
}
