/**
 * A group of real members under load, of which one after another joins, leaves, is killed or frozen,
 * sometimes several at once; and the judgement over what they said.
 */
import { heartbeatMs, sessionMs } from '../clients/group-fixture.ts'
import { GroupMember } from '../clients/group-member.ts'
import type { MemberListener, MemberSettings, MemberTarget } from '../clients/group-member.ts'
import { eventually, pause } from '../clients/processes.ts'
import type { Random } from '../clients/random.ts'
import { Ownership } from './ownership.ts'
import type { Processed } from './processed.ts'

export interface TortureOptions {
  readonly program: readonly string[]
  readonly settings: MemberSettings
  readonly target: MemberTarget
  readonly processed: Processed
  readonly random: Random
  readonly log: (text: string) => void
}

export interface TortureFindings {
  /** Two owners at one time. */
  overlaps: string[]
  /** Members that ended although nobody told them to. */
  died: string[]
  /** Resumed too late after a kill or freeze, or never. */
  late: string[]
  /** Records of a partition that stayed where it was, processed late. */
  interrupted: string[]
}

export interface TortureFigures {
  readonly actions: Record<string, number>
  /** From the kill, or the freeze, until all partitions of that member were consumed again. */
  readonly resumedAfterKillMs: number[]
  readonly resumedAfterFreezeMs: number[]
  /** The longest that a record of a partition that stayed where it was had to wait. */
  longestWaitOfKeptMs: number
  /** How long this process itself was not run: what the machine did to everybody. */
  longestStallMs: number
  /** Members that were neither killed nor frozen, and were told that they had lost partitions. */
  lostAlive: number
}

const membersMin = 2
const membersMax = 5

/** What the issue allows behind the session timeout. */
const resumeSlackMs = 1000

/** Records of a partition that is not being moved are processed within this. */
const keptWaitMsMax = 1000

/** A new owner first works through what waited for it. */
const newOwnerMs = 1500

const stallLookMs = 20

/** Within this, every disturbance is over. */
const settledMsMax = 30_000

type Action = 'join' | 'leave' | 'kill' | 'freeze briefly' | 'freeze' | 'burst'

interface Resumption {
  readonly left: Set<number>
  readonly notBy: GroupMember | undefined
  readonly sinceMs: number
  lastMs: number
}

export class Torture {
  readonly findings: TortureFindings = { overlaps: [], died: [], late: [], interrupted: [] }
  readonly figures: TortureFigures = {
    actions: {},
    resumedAfterKillMs: [],
    resumedAfterFreezeMs: [],
    longestWaitOfKeptMs: 0,
    longestStallMs: 0,
    lostAlive: 0,
  }
  readonly #options: TortureOptions
  readonly #ownership: Ownership
  readonly #frozenUntilMs = new Map<GroupMember, number>()
  #members: GroupMember[] = []
  #startedCount = 0
  #resumptions: Resumption[] = []
  readonly #listener: MemberListener

  constructor(options: TortureOptions) {
    this.#options = options
    this.#ownership = new Ownership(options.processed.partitionCount)
    this.#listener = {
      record: (member, timeMs, { partition, offset, timestampMs }) => {
        options.processed.process(partition, offset)
        this.#noteResumed(member, partition, timeMs)
        this.#noteWait(member, partition, timeMs, timestampMs)
      },
      assigned: (member, timeMs, partitions) => {
        for (const each of partitions) this.#ownership.begin(member.name, each, timeMs)
      },
      revoked: (member, timeMs, partitions, lost) => {
        if (lost && this.#members.includes(member) && !this.#frozenUntilMs.has(member)) {
          this.figures.lostAlive++
        }
        for (const each of partitions) this.#ownership.end(member.name, each, timeMs)
      },
    }
  }

  async run(forMs: number): Promise<void> {
    const deadline = performance.now() + forMs
    this.#watchStalls()
    for (let count = 0; count < 3; count++) this.#join()
    await this.#settled()
    while (performance.now() < deadline && this.findings.died.length === 0) {
      await this.#act(this.#choose())
      await this.#settled()
      await pause(this.#options.random.below(1000))
      this.#noteDead()
    }
  }

  /** Everybody leaves in good order. */
  async end(): Promise<void> {
    const members = this.#members
    this.#members = []
    await Promise.all(members.map((member) => member.leave()))
    this.findings.overlaps = this.#ownership.overlaps()
  }

  async kill(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.kill()))
  }

  describe(): string {
    return this.#members
      .map(({ name, partitions, log }) => `${name}: ${[...partitions].join()}\n${log.slice(-1500)}`)
      .join('\n')
  }

  #choose(): Action {
    const { random } = this.#options
    const { length } = this.#members
    if (length <= membersMin) return random.chance(0.8) ? 'join' : 'freeze briefly'
    const usual = ['leave', 'kill', 'freeze briefly', 'freeze', 'burst'] as const
    return length < membersMax && random.chance(0.35) ? 'join' : random.pick(usual)
  }

  async #act(action: Action): Promise<void> {
    const { actions } = this.figures
    actions[action] = (actions[action] ?? 0) + 1
    if (action === 'join') this.#join()
    else if (action === 'leave') await this.#leave()
    else if (action === 'kill') await this.#kill(true)
    else if (action === 'freeze briefly')
      await this.#freeze(this.#options.random.below(sessionMs / 2))
    else if (action === 'freeze') await this.#freezeBeyondSession()
    else await this.#burst()
  }

  #join(): void {
    const { program, settings, target } = this.#options
    const name = `m${++this.#startedCount}`
    this.#options.log(`${name} joins`)
    const options = { name, listener: this.#listener }
    this.#members.push(new GroupMember(program, target, settings, options))
  }

  async #leave(): Promise<void> {
    const member = this.#take()
    this.#options.log(`${member.name} leaves`)
    await member.leave()
  }

  async #kill(measured: boolean): Promise<void> {
    const member = this.#take()
    const owned = this.#ownership.ownedBy(member.name)
    this.#options.log(`${member.name} is killed, with ${owned.join()}`)
    const sinceMs = Date.now()
    const killed = member.kill()
    this.#ownership.endAll(member.name, sinceMs)
    await killed
    if (measured) {
      const lastMs = await this.#resumed(`the kill of ${member.name}`, owned, member, sinceMs)
      if (lastMs !== undefined) this.figures.resumedAfterKillMs.push(lastMs - sinceMs)
    }
  }

  async #freeze(forMs: number): Promise<void> {
    const member = this.#options.random.pick(this.#awake())
    this.#options.log(`${member.name} is frozen for ${forMs} ms`)
    this.#frozenUntilMs.set(member, Infinity)
    member.signal('SIGSTOP')
    await pause(forMs)
    member.signal('SIGCONT')
    this.#frozenUntilMs.set(member, Date.now())
  }

  /** Its session may end as early as a session after a heartbeat that was not sent any more. */
  async #freezeBeyondSession(): Promise<void> {
    const { random } = this.#options
    const member = random.pick(this.#awake())
    const owned = this.#ownership.ownedBy(member.name)
    const sinceMs = Date.now()
    this.#options.log(`${member.name} is frozen beyond its session, with ${owned.join()}`)
    this.#frozenUntilMs.set(member, Infinity)
    member.signal('SIGSTOP')
    const restMs = sessionMs + resumeSlackMs + random.below(2000)
    setTimeout(() => this.#ownership.endAll(member.name, sinceMs), sessionMs - 2 * heartbeatMs)
    const resumed = this.#resumed(`the freeze of ${member.name}`, owned, member, sinceMs)
    await Promise.all([resumed, pause(restMs)])
    const lastMs = await resumed
    if (lastMs !== undefined) this.figures.resumedAfterFreezeMs.push(lastMs - sinceMs)
    member.signal('SIGCONT')
    this.#frozenUntilMs.set(member, Date.now())
  }

  /** Several at once, in the middle of each other's rebalances. */
  async #burst(): Promise<void> {
    const { random } = this.#options
    const running: Promise<void>[] = []
    for (let count = 2 + random.below(2); count > 0; count--) {
      const kind = this.#awake().length > 0 ? random.below(4) : 3
      if (kind === 0 && this.#members.length > membersMin) running.push(this.#kill(false))
      else if (kind === 1 && this.#members.length > membersMin) running.push(this.#leave())
      else if (kind === 2) running.push(this.#freeze(random.below(sessionMs / 2)))
      else if (this.#members.length < membersMax) this.#join()
      await pause(random.below(500))
    }
    await Promise.all(running)
  }

  #awake(): GroupMember[] {
    return this.#members.filter((each) => this.#frozenUntilMs.get(each) !== Infinity)
  }

  /** Removed from the living. A frozen member is not chosen. */
  #take(): GroupMember {
    const member = this.#options.random.pick(this.#awake())
    this.#members = this.#members.filter((each) => each !== member)
    return member
  }

  /** Waits until every partition belongs to somebody who lives and processes it. */
  async #settled(): Promise<void> {
    const { random } = this.#options
    const { partitionCount } = this.#options.processed
    // The next disturbance meets newcomers that have not got anything yet, too.
    const everybody = random.chance(0.7)
    const isOwned = (): true | undefined => {
      const owned = this.#members.map(({ name }) => this.#ownership.ownedBy(name))
      if (everybody && owned.some(({ length }) => length === 0)) return undefined
      return owned.flat().length === partitionCount || undefined
    }
    await eventually(isOwned, {
      timeoutMs: settledMsMax,
      describe: () => `every partition has one owner\n${this.describe()}`,
    })
    const all = Array.from({ length: partitionCount }, (_, partition) => partition)
    const resumption = this.#expect(all, undefined, Date.now())
    await eventually(() => resumption.left.size === 0 || undefined, {
      timeoutMs: settledMsMax,
      describe: () => `partitions ${[...resumption.left].join()} go on\n${this.describe()}`,
    })
  }

  #expect(partitions: readonly number[], notBy: GroupMember | undefined, sinceMs: number) {
    const resumption: Resumption = { left: new Set(partitions), notBy, sinceMs, lastMs: sinceMs }
    this.#resumptions = this.#resumptions.filter(({ left }) => left.size > 0)
    this.#resumptions.push(resumption)
    return resumption
  }

  /** When the last of the partitions was consumed by another member; undefined when it took too long. */
  async #resumed(
    what: string,
    partitions: readonly number[],
    notBy: GroupMember,
    sinceMs: number,
  ): Promise<number | undefined> {
    const resumption = this.#expect(partitions, notBy, sinceMs)
    await eventually(() => resumption.left.size === 0 || undefined, {
      timeoutMs: settledMsMax,
      describe: () =>
        `after ${what}, ${[...resumption.left].join()} are consumed\n${this.describe()}`,
    })
    const tookMs = resumption.lastMs - sinceMs
    if (tookMs > sessionMs + resumeSlackMs) this.findings.late.push(`${tookMs} ms after ${what}`)
    return resumption.lastMs
  }

  #noteResumed(member: GroupMember, partition: number, timeMs: number): void {
    for (const resumption of this.#resumptions) {
      if (resumption.notBy === member || timeMs < resumption.sinceMs) continue
      if (resumption.left.delete(partition)) {
        resumption.lastMs = Math.max(resumption.lastMs, timeMs)
      }
    }
  }

  /** How long a record waited that came to a partition in firm hands. */
  #noteWait(member: GroupMember, partition: number, timeMs: number, timestampMs: number): void {
    const sinceMs = this.#ownership.ownedSinceMs(member.name, partition)
    if (sinceMs === undefined || timestampMs < sinceMs + newOwnerMs) return
    const frozenUntilMs = this.#frozenUntilMs.get(member) ?? -Infinity
    if (timestampMs < frozenUntilMs + newOwnerMs) return
    const waitMs = timeMs - timestampMs
    this.figures.longestWaitOfKeptMs = Math.max(this.figures.longestWaitOfKeptMs, waitMs)
    if (waitMs > keptWaitMsMax && this.findings.interrupted.length < 20) {
      this.findings.interrupted.push(
        `${member.name} kept partition ${partition}, and a record waited ${waitMs} ms at ${timeMs}`,
      )
    }
  }

  #watchStalls(): void {
    let expectedMs = performance.now() + stallLookMs
    const look = (): void => {
      const lateMs = Math.round(performance.now() - expectedMs)
      this.figures.longestStallMs = Math.max(this.figures.longestStallMs, lateMs)
      expectedMs = performance.now() + stallLookMs
    }
    setInterval(look, stallLookMs).unref()
  }

  #noteDead(): void {
    for (const member of this.#members) {
      if (!member.running) this.findings.died.push(`${member.name}\n${member.log.slice(-2000)}`)
    }
  }
}
