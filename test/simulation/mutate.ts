/**
 * Whether the simulation finds planted defects: `node mutate.js [--seeds N] [--only TEXT]`. Each one is planted in a copy of
 * this build, which then runs until a seed fails. Exit code 1 when one was not found.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { repositoryPath } from '../support/repository.ts'
import { mutants, type Mutant } from './mutants.ts'

const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '1000' }, only: { type: 'string', default: '' } },
})

const build = join(dirname(fileURLToPath(import.meta.url)), '../..')
const folders = [
  'base',
  'broker',
  'client',
  'controller',
  'protocol',
  'test/broker',
  'test/simulation',
]
/** In the repository, so that packages are found. */
const copy = repositoryPath(`.build/mutant-${process.pid}`)

let missed = 0
for (const mutant of mutants) {
  if (!mutant.name.includes(values.only)) continue
  plant(mutant)
  const startMs = performance.now()
  const { stdout } = spawnSync(
    process.execPath,
    [join(copy, 'test/simulation/run.js'), '--seeds', values.seeds, '--twice', '1000000'],
    { encoding: 'utf8', maxBuffer: 1 << 26 },
  )
  const found = /^seed (\d+):.*\n +(.*)$/m.exec(stdout)
  if (found === null) missed += 1
  const seconds = ((performance.now() - startMs) / 1000).toFixed(0)
  const text =
    found === null ? `NOT FOUND in ${values.seeds} seeds` : `seed ${found[1]}: ${found[2]}`
  process.stdout.write(`${mutant.name}: ${text} (${seconds} s)\n`)
}
rmSync(copy, { recursive: true, force: true })
if (missed > 0) process.exitCode = 1

function plant({ name, patches }: Mutant): void {
  rmSync(copy, { recursive: true, force: true })
  for (const folder of folders) cpSync(join(build, folder), join(copy, folder), { recursive: true })
  for (const { file, find, replace } of patches) {
    const path = join(copy, file)
    const text = readFileSync(path, 'utf8')
    const pattern = new RegExp(
      find
        .split(/\s+/)
        .map((word) => word.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
        .join(String.raw`\s+`),
      'g',
    )
    const count = text.match(pattern)?.length ?? 0
    if (count !== 1) throw new Error(`${name}: ${file} has ${count} times: ${find}`)
    writeFileSync(
      path,
      text.replace(pattern, () => replace),
    )
  }
}
