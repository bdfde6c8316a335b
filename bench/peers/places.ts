import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))

/** What this run is compiled to: dist, or a folder in .build. */
export const compiledRoot = dirname(dirname(here))

/** Of this clone. */
export const repositoryRoot = findRepositoryRoot()

function findRepositoryRoot(): string {
  for (let folder = here; folder !== dirname(folder); folder = dirname(folder)) {
    const manifest = join(folder, 'package.json')
    if (!existsSync(manifest)) continue
    const { name } = JSON.parse(readFileSync(manifest, 'utf8')) as { readonly name?: string }
    if (name === 'millrace') return folder
  }
  throw new Error(`No package.json of millrace above ${here}`)
}
