// Runs a plan: cell by cell, round by round, each peer in its turn. A peer that fails is out of the cell, the rest goes on.
import { killEverythingAtOnce, Lineup, messageOf, type OwnPlace } from './lineup.ts'
import { isNoisy } from './gate.ts'
import { freeDiskBytes } from './machine.ts'
import { PeerUnavailable, type Peer } from './peer.ts'
import { instanceKey, minutes, roundsMin, type Plan, type PlannedCell } from './plan.ts'
import type { CellEntry, CellResult, LogLine, RawSample } from './result.ts'
import type { OpenCell, Sample, Scope } from './scenario.ts'
import { orderOf } from './statistics.ts'

export interface RunOptions {
  readonly folder: string
  readonly scope: Scope
  readonly gateTimeoutMs: number
  /** Of the whole run: noisy rounds are made up for as long as the rest of the plan fits. */
  readonly secondsMax: number | undefined
  /** Aborted at Ctrl-C: the cell under way is given up, what was found stays. */
  readonly signal: AbortSignal
  /** For a terminal. */
  print(text: string): void
  /** After every cell. */
  finished(cell: CellResult): void
}

/** A sample that takes this many times what was expected is stuck. */
const timeoutFactor = 10
const timeoutGraceMs = 60_000
/** Noisy rounds are made up for by up to half as many again, but not in a quick run ... */
const extraRoundsPart = 0.5
/** ... while the cell has not taken more than this of its planned time. */
const extraTimeFactor = 1.25
/** A cell that takes this many times its plan ends with the rounds that it has. */
const overtimeFactor = 2

export class Runner {
  readonly #options: RunOptions
  readonly #beganMs = performance.now()
  readonly log: LogLine[] = []
  /** When the cell under way should be over. */
  #latestSeconds = Infinity

  constructor(options: RunOptions) {
    this.#options = options
  }

  async run(plan: Plan): Promise<CellResult[]> {
    const results: CellResult[] = []
    let lineup: { key: string; of: Lineup } | undefined
    let plannedSeconds = plan.seconds
    const options = { ...this.#options, log: this.#note, record: this.#record }
    try {
      for (const [index, planned] of plan.cells.entries()) {
        if (this.#options.signal.aborted) break
        const key = instanceKey({ ...planned, scope: this.#options.scope })
        if (lineup?.key !== key) {
          await lineup?.of.end()
          lineup = {
            key,
            of: new Lineup(options, planned.cell.terms),
          }
        }
        const title = `${planned.scenario.name}: ${planned.cell.name}`
        this.#options.print(`[${index + 1}/${plan.cells.length}] ${title}`)
        plannedSeconds -= planned.seconds
        this.#latestSeconds = (this.#options.secondsMax ?? Infinity) - plannedSeconds
        const { secondsMax = Infinity } = this.#options
        const fits = this.#seconds() + planned.seconds <= secondsMax
        const result = fits ? await this.#runCell(planned, lineup.of) : this.#withoutTime(planned)
        results.push(result)
        this.#options.finished(result)
      }
    } finally {
      // After Ctrl-C nobody waits for a clean stop.
      if (this.#options.signal.aborted) killEverythingAtOnce()
      await lineup?.of.end()
    }
    return results
  }

  /** The machine was slower than the plan. */
  #withoutTime(planned: PlannedCell): CellResult {
    const refused = `no time was left of the ${minutes(this.#options.secondsMax ?? 0)} min for the run`
    this.#note(`${planned.cell.name}: ${refused}`)
    return {
      ...headOf(planned),
      seconds: 0,
      entries: [
        ...planned.peers.map((peer): CellEntry => ({ peer: peer.name, refused, commands: [] })),
        ...refusedOf(planned),
      ],
      samples: [],
    }
  }

  async #runCell(planned: PlannedCell, lineup: Lineup): Promise<CellResult> {
    const { cell } = planned
    const beganSeconds = this.#seconds()
    const contenders = planned.peers.map((peer) => new Contender(peer))
    const samples: RawSample[] = []
    const needed = cell.diskBytes * contenders.length
    const free = freeDiskBytes(this.#options.folder)
    if (needed > free) {
      const reason = `the disk has ${free} bytes left and this needs ${needed}`
      for (const contender of contenders) contender.skipped = reason
    }
    try {
      for (const contender of contenders) await this.#open(contender, planned, lineup)
      await this.#rounds(planned, contenders, { samples, lineup })
    } finally {
      for (const contender of contenders) await this.#close(contender)
    }
    return {
      ...headOf(planned),
      seconds: this.#seconds() - beganSeconds,
      entries: [...contenders.map((contender) => contender.entry()), ...refusedOf(planned)],
      samples,
    }
  }

  async #open(contender: Contender, planned: PlannedCell, lineup: Lineup): Promise<void> {
    if (contender.skipped !== undefined || this.#options.signal.aborted) return
    const place = lineup.place(contender.peer)
    contender.place = place
    const expectedSeconds = planned.cell.expectedSeconds + (planned.cell.openSeconds ?? 0)
    try {
      contender.open = await this.#within(place, expectedSeconds, () => planned.cell.open(place))
    } catch (error) {
      await this.#drop(contender, error, lineup)
      // What a cell needs beside its peer is not here: no failure of the peer.
      if (error instanceof PeerUnavailable) contender.refused = error.message
    }
  }

  async #rounds(
    planned: PlannedCell,
    contenders: readonly Contender[],
    { samples, lineup }: { samples: RawSample[]; lineup: Lineup },
  ): Promise<void> {
    const { warmUps } = planned
    const beganMs = performance.now()
    const elapsedSeconds = (): number => (performance.now() - beganMs) / 1000
    const most =
      planned.rounds +
      (this.#options.scope === 'quick' ? 0 : Math.floor(planned.rounds * extraRoundsPart))
    let [counted, quiet] = [0, 0]
    for (let round = 0; counted < most && quiet < planned.rounds; round++) {
      const present = contenders.filter((each) => each.skipped === undefined)
      if (present.length === 0 || this.#options.signal.aborted) return
      const isFull =
        elapsedSeconds() > planned.seconds * extraTimeFactor ||
        this.#seconds() > this.#latestSeconds
      if (counted >= planned.rounds && isFull) return
      const isLate = elapsedSeconds() > planned.seconds * overtimeFactor
      if (isLate && counted >= Math.min(roundsMin, planned.rounds)) {
        this.#note(`${planned.cell.name}: over its time, ends after ${counted} rounds`)
        return
      }
      let isQuiet = true
      for (const [place, contender] of orderOf(round, present).entries()) {
        const sample = await this.#sample(contender, planned, lineup)
        if (sample === undefined) continue
        const noisy = sample.interval !== undefined && isNoisy(sample.interval)
        if (noisy) isQuiet = false
        const atSeconds = this.#seconds()
        const peer = contender.peer.name
        samples.push({ ...sample, peer, round, place, atSeconds, isNoisy: noisy })
      }
      if (round < warmUps) continue
      counted += 1
      if (isQuiet) quiet += 1
    }
  }

  async #sample(
    contender: Contender,
    { cell }: PlannedCell,
    lineup: Lineup,
  ): Promise<Sample | undefined> {
    const { place, open } = contender
    if (place === undefined || open === undefined || this.#options.signal.aborted) return undefined
    try {
      const sample = await this.#within(place, cell.expectedSeconds, () => open.sample())
      check(
        sample,
        cell.figures.map(({ key }) => key),
      )
      return sample
    } catch (error) {
      await this.#drop(contender, error, lineup)
      return undefined
    }
  }

  /** The peer is out of this cell. Its instance is killed: who knows what it is still doing. */
  async #drop(contender: Contender, error: unknown, lineup: Lineup): Promise<void> {
    if (this.#options.signal.aborted) {
      contender.skipped = 'interrupted'
      return
    }
    const death = lineup.failure(contender.peer)
    const reason = death === undefined ? messageOf(error) : `${death} (${messageOf(error)})`
    contender.skipped = reason
    this.#note(`${contender.peer.name} is out of this cell: ${reason}`)
    await contender.place?.processes.killAll()
    await lineup.dispose(contender.peer)
  }

  /** Whatever still works on it when the time is over or Ctrl-C was pressed is killed, which makes it fail. */
  async #within<T>(place: OwnPlace, expectedSeconds: number, work: () => Promise<T>): Promise<T> {
    const timeoutMs = expectedSeconds * timeoutFactor * 1000 + timeoutGraceMs
    const controller = new AbortController()
    const timer = setTimeout(
      () => controller.abort(new Error(`it took more than ${Math.round(timeoutMs / 1000)} s`)),
      timeoutMs,
    )
    const signal = AbortSignal.any([controller.signal, this.#options.signal])
    place.signal = signal
    const given = work()
    try {
      return await new Promise<T>((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
        if (signal.aborted) reject(signal.reason as Error)
        given.then(resolve, reject)
      })
    } catch (error) {
      if (signal.aborted) await place.processes.killAll()
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  async #close(contender: Contender): Promise<void> {
    const { open, place, peer } = contender
    if (place === undefined) return
    const isWell = contender.skipped === undefined && !this.#options.signal.aborted
    try {
      if (isWell) await this.#within(place, closeSeconds, async () => open?.close?.())
    } catch (error) {
      this.#note(`${peer.name}: ${messageOf(error)}`)
    }
    await place.end()
  }

  readonly #note = (text: string): void => {
    this.#record(text)
    this.#options.print(`  ${text}`)
  }

  readonly #record = (text: string): void => {
    this.log.push({ atSeconds: this.#seconds(), text })
  }

  #seconds(): number {
    return Math.round(performance.now() - this.#beganMs) / 1000
  }
}

function headOf({
  scenario,
  cell,
  warmUps,
  seconds,
}: PlannedCell): Omit<CellResult, 'seconds' | 'entries' | 'samples'> {
  const { name, terms, figures } = cell
  return { scenario: scenario.name, name, terms, figures, warmUps, plannedSeconds: seconds }
}

function refusedOf({ refused }: PlannedCell): CellEntry[] {
  return refused.map(({ peer, reason }) => ({ peer: peer.name, refused: reason, commands: [] }))
}

const closeSeconds = 3

/** One peer in one cell. */
class Contender {
  readonly peer: Peer
  place: OwnPlace | undefined
  open: OpenCell | undefined
  skipped: string | undefined
  refused: string | undefined

  constructor(peer: Peer) {
    this.peer = peer
  }

  entry(): CellEntry {
    const commands = this.place?.commands ?? []
    const peer = this.peer.name
    if (this.refused !== undefined) return { peer, commands, refused: this.refused }
    return { peer, commands, ...(this.skipped !== undefined && { skipped: this.skipped }) }
  }
}

/** Wrong data is worse than none: such a sample is refused. */
function check(sample: Sample, keys: readonly string[]): void {
  const { expectedRecords, foundRecords, expectedChecksum, foundChecksum } = sample.verified
  if (foundRecords !== expectedRecords)
    throw new Error(`${expectedRecords} records were produced, and ${foundRecords} were found`)
  if (foundChecksum !== expectedChecksum)
    throw new Error(`Checksum ${expectedChecksum} was produced, and ${foundChecksum} was found`)
  for (const key of keys) {
    const value = sample.figures[key]
    if (value === undefined || !Number.isFinite(value))
      throw new Error(`The sample has no figure ${key}`)
  }
}
