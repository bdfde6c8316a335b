/**
 * Defects that the cluster's fault runs must find: `node planted.js [NAME...]`. Each is planted into a copy of the
 * compiled program. Exit code 1 when one of them was not found.
 */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { compiledRoot, repositoryRoot } from '../clients/places.ts'
import { run } from '../clients/processes.ts'

interface Defect {
  readonly file: string
  /** Found once in the file. */
  readonly from: string
  readonly to: string
  /** What cluster.js is asked for. */
  readonly args: readonly string[]
  readonly environment: Readonly<Record<string, string>>
}

const defects: Readonly<Record<string, Defect>> = {
  'acknowledged before the ISR has it': {
    file: 'broker/replica/partition.js',
    from: 'if (nextOffset <= this.log.highWatermark)\n            return undefined;',
    to: 'if (this.#leadership !== undefined)\n            return undefined;',
    args: ['kill', '60'],
    environment: {},
  },
  'truncated to the high watermark': {
    file: 'broker/replica/partition.js',
    from: 'this.log.leaderEpochs.truncateFromEnd(this.log.nextOffset);\n            this.#wakeAll();',
    to: 'this.log.truncateTo(this.log.highWatermark);\n            this.#wakeAll();',
    args: ['crash', '60'],
    environment: {},
  },
  'acknowledged before fdatasync': {
    file: 'broker/log/partition-log.js',
    from: 'return isDue ? this.#flusher.wait(offset) : undefined;',
    to: 'return undefined;',
    args: ['power-all', '20'],
    environment: { FLUSH: 'ack' },
  },
}

const wanted = process.argv.slice(2)
let missed = 0
for (const [name, defect] of Object.entries(defects)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  const found = await isFound(defect)
  if (found === undefined) missed++
  console.log(`${name}: ${found ?? 'NOT FOUND'}`)
}
process.exit(missed === 0 ? 0 : 1)

/** What the run said of it. */
async function isFound(defect: Defect): Promise<string | undefined> {
  const folder = join(repositoryRoot, '.build', `planted-${process.pid}`)
  for (const part of ['base', 'broker', 'cli', 'client', 'controller', 'protocol']) {
    cpSync(join(compiledRoot, part), join(folder, part), { recursive: true })
  }
  try {
    const path = join(folder, defect.file)
    const text = readFileSync(path, 'utf8')
    if (text.split(defect.from).length !== 2) throw new Error(`${defect.file} has changed`)
    writeFileSync(path, text.replace(defect.from, defect.to))
    const { stdout, stderr } = await run(
      process.execPath,
      [join(import.meta.dirname, 'cluster.js'), ...defect.args],
      {
        mayFail: true,
        timeoutMs: 900_000,
        environment: { ...defect.environment, MILLRACE_BIN: join(folder, 'cli', 'main.js') },
      },
    )
    return findingIn(stdout, stderr)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A loss is what counts, not a slow machine. */
function findingIn(output: string, errors: string): string | undefined {
  const start = output.indexOf('\n{')
  const end = output.lastIndexOf('\n}')
  if (start === -1) throw new Error(`no report: ${output.slice(-500)}\n${errors.slice(-3000)}`)
  const report = JSON.parse(output.slice(start, end + 2)) as {
    faults: number
    findings: { examples: string[] }
    replicaFaults: string[]
  }
  const [first] = [...report.findings.examples, ...report.replicaFaults]
  return first === undefined ? undefined : `found after ${report.faults} faults (${first})`
}
