// A run of the harness from its flags to its files.
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, isAbsolute, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { peerNamed, peerNames } from '../peers/peers.ts'
import { scenarios as allScenarios } from '../scenarios/all.ts'
import { agreementLines, agreementOf, agreementWanted } from './agreement.ts'
import { flagsOf, usage, UsageError, type Flags } from './flags.ts'
import { killEverythingAtOnce, messageOf } from './lineup.ts'
import { availableMemoryBytes, commitOf, freeDiskBytes, machineOf } from './machine.ts'
import { PeerUnavailable, type Peer } from './peer.ts'
import { minutes, planLines, planOf, refusalOf, type Plan } from './plan.ts'
import { ProcessRegistry } from './processes.ts'
import { htmlReport } from './report/html.ts'
import type { CellResult, PeerResult, RunResult } from './result.ts'
import { resultsMarkdown } from './report/markdown.ts'
import { Runner } from './runner.ts'
import type { Scenario } from './scenario.ts'
import { ownName, summarizeCell, summarizeRun } from './summary.ts'
import { cellLines, firstLine, ratioLines } from './table.ts'

/** On a quiet machine, before a sample. */
const gateSeconds = 1

/** The repository, whether this was compiled into dist/ or .build/NAME/. */
export const repositoryRoot = fileURLToPath(new URL('.', import.meta.url)).replace(
  /\/(dist|\.build\/[^/]+)\/bench\/harness\/$/,
  '',
)

export function usageText(): string {
  return usage
    .replace('SCENARIOS', allScenarios.map(({ name }) => name).join(', '))
    .replace('PEERS', peerNames.join(', '))
}

/** Gives the exit code. */
export async function runBench(flags: Flags, args: readonly string[]): Promise<number> {
  const scenarios = scenariosOf(flags)
  // In a full run those that speak other protocols have a scenario too.
  const usual = flags.scope === 'full' ? ['self', 'kafka', 'nats', 'redis'] : ['self', 'kafka']
  const named = flags.peers ?? usual
  const peers = named.map((name) => {
    const peer = peerNamed(name)
    if (peer === undefined)
      throw new UsageError(`No peer is called ${name}: take ${peerNames.join(', ')}`)
    return peer
  })
  const interruption = new AbortController()
  const folder = mkdtempSync(join(process.env['BENCH_DIR'] ?? tmpdir(), 'millrace-bench-'))
  const stopListening = onInterrupt(interruption, folder)
  try {
    return await runIn(folder, { flags, args, scenarios, peers, signal: interruption.signal })
  } finally {
    stopListening()
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  }
}

interface Work {
  readonly flags: Flags
  readonly args: readonly string[]
  readonly scenarios: readonly Scenario[]
  readonly peers: readonly Peer[]
  readonly signal: AbortSignal
}

async function runIn(folder: string, work: Work): Promise<number> {
  const { flags, scenarios, signal } = work
  const startedAt = new Date().toISOString()
  const { ready, results: peers } = await prepare(work.peers, signal)
  const plan = planOf(scenarios, { ...flags, peers: ready, gateSeconds })
  print(`${peers.map(describe).join('\n')}\n\nPlan:\n${planLines(plan).join('\n')}\n`)
  if (flags.plansOnly) return 0
  const refusal = refusalOf(plan, {
    freeDiskBytes: freeDiskBytes(folder),
    freeMemoryBytes: availableMemoryBytes(),
    secondsMax: flags.secondsMax,
  })
  if (refusal !== undefined) throw new UsageError(refusal)
  checkWritable([flags.outPath, flags.htmlPath, flags.resultsPath])
  const machine = machineOf(folder)
  const commit = commitOf(repositoryRoot)
  const resultOf = ({ cells, log }: Measured, isInterrupted: boolean): RunResult => ({
    format: 1,
    startedAt,
    endedAt: new Date().toISOString(),
    scope: flags.scope,
    // Results are published: where this machine keeps its files does not belong there.
    flags: work.args.map((each) => (isAbsolute(each) ? basename(each) : each)),
    roundsWanted: flags.rounds,
    scale: flags.scale,
    machine,
    commit,
    peers,
    scenarios: scenarios.map(({ name, summary }) => ({ name, summary })),
    cells,
    log,
    isInterrupted,
  })
  // After each cell: whatever ends the run, what was measured is there.
  const measured = await measure(plan, {
    folder,
    flags,
    signal,
    keep: (soFar) => writeJson(resultOf(soFar, true), flags),
  })
  const run = resultOf(measured, signal.aborted)
  publish(run, flags)
  return exitCodeOf(run)
}

interface Measured {
  readonly cells: readonly CellResult[]
  readonly log: Runner['log']
}

async function measure(
  plan: Plan,
  options: {
    readonly folder: string
    readonly flags: Flags
    readonly signal: AbortSignal
    readonly keep: (soFar: Measured) => void
  },
): Promise<Measured> {
  const { folder, flags, signal, keep } = options
  const { scope, gateTimeoutMs, secondsMax } = flags
  const finished: CellResult[] = []
  const runner = new Runner({
    folder,
    scope,
    gateTimeoutMs,
    secondsMax,
    signal,
    print,
    finished: (cell) => {
      print(cellLines(summarizeCell(cell)).join('\n'))
      finished.push(cell)
      keep({ cells: finished, log: runner.log })
    },
  })
  const cells = await runner.run(plan)
  return { cells, log: runner.log }
}

/** Those that can run here, and what is known of all. */
async function prepare(
  peers: readonly Peer[],
  signal: AbortSignal,
): Promise<{ ready: Peer[]; results: PeerResult[] }> {
  const processes = new ProcessRegistry(signal)
  const ready: Peer[] = []
  const results: PeerResult[] = []
  const stop = (): void => void processes.killAll()
  signal.addEventListener('abort', stop)
  for (const peer of peers) {
    const { name, protocol } = peer
    try {
      signal.throwIfAborted()
      const description = await peer.prepare({ processes, log: print })
      ready.push(peer)
      results.push({ name, protocol, description })
    } catch (error) {
      // Whatever it is: the others go on.
      const reason = error instanceof PeerUnavailable ? error.message : messageOf(error)
      results.push({ name, protocol, skipped: reason })
    }
  }
  signal.removeEventListener('abort', stop)
  if (ready.length === 0) throw new UsageError(results.map(describe).join('\n'))
  return { ready, results }
}

function describe({ name, description, skipped = '' }: PeerResult): string {
  return description === undefined
    ? `${name}: skipped, ${firstLine(skipped)}`
    : `${name}: ${description.version}`
}

function scenariosOf({ scenarios, scope, cell }: Flags): Scenario[] {
  for (const name of scenarios) {
    if (!allScenarios.some((each) => each.name === name))
      throw new UsageError(
        `No scenario is called ${name}: take ${allScenarios.map((each) => each.name).join(', ')}`,
      )
  }
  const chosen = allScenarios.filter(
    ({ name }) => scenarios.length === 0 || scenarios.includes(name),
  )
  const filtered = chosen.map((scenario): Scenario => ({
    ...scenario,
    cells: (...given) =>
      scenario.cells(...given).filter(({ name }) => cell === undefined || name.includes(cell)),
  }))
  const present = filtered.filter((scenario) => scenario.cells(scope, 1).length > 0)
  if (present.length === 0) {
    const what = cell === undefined ? names(scenarios) : `Of ${names(scenarios)}, ${cell}`
    throw new UsageError(`${what} has no cell ${scope === 'full' ? 'here' : 'without --full'}`)
  }
  return present
}

function names(scenarios: readonly string[]): string {
  return scenarios.length === 0 ? 'all scenarios' : scenarios.join(', ')
}

/** The first Ctrl-C ends the run and keeps what was found; a second one ends at once. Nothing is left running either way. */
function onInterrupt(interruption: AbortController, folder: string): () => void {
  const interrupt = (signal: NodeJS.Signals): void => {
    killEverythingAtOnce()
    if (interruption.signal.aborted) {
      rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
      process.exit(interruptedCode)
    }
    print(`\n${signal}: stopping`)
    interruption.abort(new Error('interrupted'))
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, interrupt)
  process.on('exit', killEverythingAtOnce)
  return () => {
    for (const signal of signals) process.removeListener(signal, interrupt)
    process.removeListener('exit', killEverythingAtOnce)
  }
}

/** Gives the path. */
function writeJson(run: RunResult, flags: Flags): string {
  const stamp = run.startedAt.replaceAll(/[:.]/g, '-')
  const outPath = flags.outPath ?? join(repositoryRoot, 'bench', 'out', `${stamp}.json`)
  write(outPath, `${JSON.stringify(run, null, 1)}\n`)
  return outPath
}

export function publish(run: RunResult, flags: Flags): void {
  const outPath = writeJson(run, flags)
  const htmlPath = flags.htmlPath ?? outPath.replace(/(\.json)?$/, '.html')
  write(htmlPath, htmlReport(run))
  const summaries = summarizeRun(run)
  print(`\n${ratioLines(summaries).join('\n')}\n`)
  const took = run.cells.reduce((sum, { seconds }) => sum + seconds, 0)
  const planned = run.cells.reduce((sum, { plannedSeconds }) => sum + plannedSeconds, 0)
  print(`It took ${minutes(took)} min, ${minutes(planned)} min were planned.`)
  print(`~: the interval holds 1, or not every round says the same.\n${outPath}\n${htmlPath}`)
  // As it comes: every flag but those that say where to write makes it another run.
  const isWhole =
    run.scope === 'full' &&
    run.scenarios.length === allScenarios.length &&
    !run.isInterrupted &&
    !run.flags.some((flag) => /^--(cell|peers|rounds|secs)\b/.test(flag))
  const resultsPath =
    flags.resultsPath ?? (isWhole ? join(repositoryRoot, 'bench', 'RESULTS.md') : undefined)
  if (resultsPath === undefined) return
  write(resultsPath, resultsMarkdown(run))
  print(resultsPath)
}

/** Before anything is measured: a run of 40 minutes must not end without its files. */
function checkWritable(paths: readonly (string | undefined)[]): void {
  for (const path of paths) {
    if (path === undefined) continue
    try {
      mkdirSync(dirname(path), { recursive: true })
      closeSync(openSync(path, 'a'))
    } catch (error) {
      throw new UsageError(`${path} can't be written: ${messageOf(error)}`)
    }
  }
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

export const interruptedCode = 130

/** 1: Millrace itself failed somewhere. A peer that is missing is no failure. */
function exitCodeOf(run: RunResult): number {
  if (run.isInterrupted) return interruptedCode
  const hasFailed = run.cells.some(({ entries }) =>
    entries.some(({ peer, skipped }) => peer === ownName && skipped !== undefined),
  )
  const isAbsent = run.peers.some(({ name, skipped }) => name === ownName && skipped !== undefined)
  return hasFailed || isAbsent ? 1 : 0
}

function print(text: string): void {
  console.log(text)
}

/** Two JSON files: which ratios are as near to each other as their intervals say. */
export function compareRuns(paths: readonly string[]): number {
  const [one, other] = paths
  if (one === undefined || other === undefined || paths.length !== 2)
    throw new UsageError('compare takes two JSON files')
  const agreement = agreementOf(readRun(one), readRun(other))
  if (agreement.rows.length === 0) throw new UsageError('They have no ratios to compare')
  print(agreementLines(agreement).join('\n'))
  return agreement.part >= agreementWanted ? 0 : 1
}

/** The report and the tables again, from the raw samples of a JSON file. */
export function reportAgain(args: readonly string[]): number {
  const [path, ...flags] = args
  if (path === undefined) throw new UsageError('report takes a JSON file')
  const run = readRun(path)
  publish(run, { ...flagsOf(flags), outPath: path })
  return 0
}

function readRun(path: string): RunResult {
  let run: RunResult
  try {
    run = JSON.parse(readFileSync(path, 'utf8')) as RunResult
  } catch (error) {
    throw new UsageError(`${path} can't be read: ${messageOf(error)}`)
  }
  if (run.format !== 1) throw new UsageError(`${path} is not a result of this harness`)
  return run
}
