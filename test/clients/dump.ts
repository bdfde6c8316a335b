/** Apache Kafka's DumpLogSegments as a judge of log folders. */
import { readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { kafkaTool } from './kafka.ts'

export interface Verdict {
  readonly files: Record<Kind, number>
  /** What the tool complained about; an empty list is what we want. */
  readonly complaints: string[]
  recordCount: number
  indexEntryCount: number
}

export const kinds = ['.log', '.index', '.timeindex', '.txnindex', '.snapshot'] as const
export type Kind = (typeof kinds)[number]

/** With the sanity check the tool looks at the entries alone; then, at the log behind them. */
const indexChecks: readonly (readonly string[])[] = [
  ['--index-sanity-check'],
  ['--verify-index-only'],
]
const checks: Readonly<Record<Kind, readonly (readonly string[])[]>> = {
  '.log': [['--deep-iteration']],
  '.index': indexChecks,
  '.timeindex': indexChecks,
  '.txnindex': [['--index-sanity-check']],
  '.snapshot': [[]],
}

/** Words that the tool prints only when something is wrong. */
const complaint =
  /mismatch|corrupt|invalid|not found|error|exception|out of order|isvalid: false|does not match|ended with/i

/** Checks the files of partition folders; every run of the tool takes all files of one kind. */
export async function judgeFolders(
  folders: readonly string[],
  only: readonly Kind[] = kinds,
): Promise<Verdict[]> {
  const verdicts = new Map<string, Verdict>(
    folders.map((folder) => [
      folder,
      {
        files: Object.fromEntries(
          kinds.map((kind) => [kind, filesOf(folder, kind).length]),
        ) as Record<Kind, number>,
        complaints: [],
        recordCount: 0,
        indexEntryCount:
          filesOf(folder, '.index').reduce((sum, path) => sum + statSync(path).size, 0) / 8,
      },
    ]),
  )
  for (const kind of only) {
    const files = folders.flatMap((folder) => filesOf(folder, kind))
    if (files.length === 0) continue
    for (const flags of checks[kind]) {
      attribute(await dump([...flags, '--files', files.join(',')]), verdicts, folders[0]!)
    }
  }
  return folders.map((folder) => verdicts.get(folder)!)
}

function filesOf(folder: string, kind: Kind): string[] {
  const names = readdirSync(folder).filter((name) => name.endsWith(kind))
  return names.toSorted((a, b) => a.localeCompare(b)).map((name) => join(folder, name))
}

async function dump(args: readonly string[]): Promise<string> {
  const tool = 'org.apache.kafka.tools.DumpLogSegments'
  const { code, stdout, stderr } = await kafkaTool(tool, args, { mayFail: true })
  return code === 0 ? stdout + stderr : `${stdout}${stderr}\nended with ${code}\n`
}

/** Each line belongs to the folder of the file that the tool said it was dumping. */
function attribute(output: string, verdicts: Map<string, Verdict>, firstFolder: string): void {
  let verdict = verdicts.get(firstFolder)!
  for (const line of output.split('\n')) {
    const file = /^Dumping (\/.*)$/.exec(line)?.[1]
    if (file !== undefined) verdict = verdicts.get(dirname(file)) ?? verdict
    else if (line.startsWith('| offset: ')) verdict.recordCount++
    else if (complaint.test(line) && verdict.complaints.length < 10) verdict.complaints.push(line)
  }
}
