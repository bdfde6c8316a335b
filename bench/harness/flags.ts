import { parseArgs } from 'node:util'
import type { Scope } from './scenario.ts'

export interface Flags {
  readonly scope: Scope
  /** Empty: all that the scope has. */
  readonly scenarios: readonly string[]
  /** Undefined: self, and kafka where it can be had. */
  readonly peers: readonly string[] | undefined
  readonly rounds: number
  /** What `--secs` says; 1: the amount of work that each cell has of its own. */
  readonly scale: number
  /** Seconds that the whole run may take; undefined: as long as it takes. */
  readonly secondsMax: number | undefined
  /** The longest wait for an idle machine before a sample. */
  readonly gateTimeoutMs: number
  /** Cells whose names hold it. */
  readonly cell: string | undefined
  readonly outPath: string | undefined
  readonly htmlPath: string | undefined
  /** Where to write the results for people: bench/RESULTS.md of a full run. */
  readonly resultsPath: string | undefined
  readonly plansOnly: boolean
}

export class UsageError extends Error {
  override readonly name = 'UsageError'
}

const roundsOf: Readonly<Record<Scope, number>> = { quick: 3, normal: 5, full: 7 }
const secondsMaxOf: Readonly<Record<Scope, number | undefined>> = {
  quick: 180,
  normal: undefined,
  full: 40 * 60,
}
const gateSecondsOf: Readonly<Record<Scope, number>> = { quick: 2, normal: 20, full: 5 }

export const usage = `npm run bench                         a quick set, under 3 minutes: Millrace, and Apache Kafka where it can be had
npm run bench -- --full               all scenarios, at most 40 minutes; writes bench/RESULTS.md
npm run bench -- --scenario produce,latency --peers self,kafka --rounds 5
npm run bench -- compare A.json B.json      do two runs agree within their intervals?
npm run bench -- report A.json              makes the HTML report and the table again
npm run bench -- floor|sdk|cluster [--quick] [--rounds N]     against a bare loop, other SDKs, a cluster of ours

  --scenario A,B     of: SCENARIOS
  --cell TEXT        only cells whose name holds it
  --peers A,B        of: PEERS (default: self,kafka; with --full nats and redis too)
  --rounds N         rounds that count
  --secs S           multiplies the work of samples: about S seconds each
  --minutes M        fewer rounds to fit, refused if that is not enough
  --gate S           the longest wait for an idle machine before a sample; 0: none
  --full             all cells
  --out FILE         JSON with every raw sample (default: bench/out/DATE.json)
  --html FILE        the report (default: beside the JSON)
  --results FILE     the table in Markdown (default with --full: bench/RESULTS.md)
  --plan             prints the plan and ends`

export function flagsOf(args: readonly string[]): Flags {
  const { values } = parseArgs({
    args: [...args],
    options: {
      scenario: { type: 'string' },
      cell: { type: 'string' },
      peers: { type: 'string' },
      rounds: { type: 'string' },
      secs: { type: 'string' },
      minutes: { type: 'string' },
      gate: { type: 'string' },
      full: { type: 'boolean', default: false },
      out: { type: 'string' },
      html: { type: 'string' },
      results: { type: 'string' },
      plan: { type: 'boolean', default: false },
    },
  })
  const list = (text: string | undefined): string[] =>
    text?.split(',').filter((each) => each !== '') ?? []
  const scenarios = list(values.scenario)
  const scope = values.full ? 'full' : scenarios.length > 0 ? 'normal' : 'quick'
  const seconds = number('--minutes', values.minutes, (secondsMaxOf[scope] ?? Infinity) / 60) * 60
  return {
    scope,
    scenarios,
    peers: values.peers === undefined ? undefined : peersOf(list(values.peers)),
    rounds: roundsFrom(values.rounds, roundsOf[scope]),
    scale: number('--secs', values.secs, 1),
    secondsMax: Number.isFinite(seconds) ? seconds : undefined,
    gateTimeoutMs: number('--gate', values.gate, gateSecondsOf[scope], 0) * 1000,
    cell: values.cell,
    outPath: values.out,
    htmlPath: values.html,
    resultsPath: values.results,
    plansOnly: values.plan,
  }
}

function peersOf(names: readonly string[]): string[] {
  if (names.length === 0) throw new UsageError('--peers names none')
  return [...new Set(names)]
}

/** More would take days. */
const roundsMost = 1000

function roundsFrom(text: string | undefined, fallback: number): number {
  const rounds = number('--rounds', text, fallback)
  if (!Number.isInteger(rounds) || rounds > roundsMost)
    throw new UsageError(`--rounds takes a whole number up to ${roundsMost}`)
  return rounds
}

/** Greater than 0, or at least `least`. */
function number(
  name: string,
  text: string | undefined,
  fallback: number,
  least = Number.MIN_VALUE,
): number {
  if (text === undefined) return fallback
  const value = Number(text)
  if (text.trim() === '' || !(value >= least)) throw new UsageError(`${name} takes a number`)
  return value
}
