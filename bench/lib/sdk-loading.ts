// What a program pays for loading the SDK: time of the import, bytes of a bundle.
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import type { Row } from './report.ts'
import { spread } from './statistics.ts'
import { withFolder } from './work-folder.ts'

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

interface Metafile {
  readonly outputs: Readonly<
    Record<
      string,
      { readonly imports: readonly { readonly path: string; readonly kind: string }[] }
    >
  >
}

/**
 * What a bundler that splits puts before the first line of the application: the entry and all that it imports at once.
 * Each file is compressed by itself, as it would be sent. Packages with codecs, administration and the members of
 * groups are loaded at their first use, and are not the core.
 */
async function gzippedBytes(entry: string, repositoryRoot: string): Promise<number> {
  const esbuild = join(repositoryRoot, 'node_modules', '.bin', 'esbuild')
  return withFolder(async (folder) => {
    const metafile = join(folder, 'meta.json')
    const flags = ['--bundle', '--splitting', '--minify', '--platform=node', '--format=esm']
    const places = [`--outdir=${folder}`, `--metafile=${metafile}`]
    // Paths in the metafile are relative to where it runs.
    await run(esbuild, [entry, ...flags, ...places, '--packages=external'], { cwd: folder })
    const { outputs } = JSON.parse(readFileSync(metafile, 'utf8')) as Metafile
    const atOnce = new Set(['index.js'])
    let bytes = 0
    for (const name of atOnce) {
      bytes += gzipSync(readFileSync(join(folder, name)), { level: 9 }).length
      for (const { path, kind } of outputs[name]?.imports ?? [])
        if (kind === 'import-statement' && path in outputs) atOnce.add(path)
    }
    return bytes
  })
}
