/**
 * Measures what a call costs: CPU microseconds of the server's processes per call served. All sides take turns of half a
 * second, so that what else happens on the machine meets them alike; ratios are taken within a round.
 */
import { availableParallelism } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { cpuUs, machineCpuUs } from './cpu.ts'
import { Loader } from './load/loader.ts'
import { HOST } from './server.ts'
import type { Load, Report } from './load/generator.ts'
import type { Server } from './server.ts'

/** A server, and what it is asked. */
export interface Side {
  readonly name: string
  readonly start: () => Promise<Server>
  readonly load: Omit<Load, 'host' | 'port'>
  /** Processes that work for it, such as a store: measured apart. */
  readonly beside?: readonly number[]
  /** It is machine code from the start, and needs no warming up. */
  readonly isCompiled?: boolean
}

/** One round of one side. */
export interface Round {
  readonly cpuUsPerCall: number
  readonly callsPerSecond: number
  /** Of frames, in microseconds: the median over the round's turns. */
  readonly p50Us: number
  readonly p99Us: number
  readonly calls: number
  /** Calls whose answer was not the one expected. */
  readonly failed: number
  /** CPU of what works for the server, per call. */
  readonly besideCpuUsPerCall: number
  /** CPU of the load's process per call, to see that it was not the limit. */
  readonly loadCpuUsPerCall: number
}

export interface Measured {
  readonly name: string
  readonly rounds: readonly Round[]
}

export interface Pace {
  readonly rounds: number
  /** Of each side in each round. */
  readonly seconds: number
}

export interface Measurement {
  readonly measured: readonly Measured[]
  /** Sides that could not be started or asked, and why. */
  readonly missing: readonly { readonly name: string; readonly why: string }[]
  /** How much of the machine's CPU other programs used meanwhile, from 0 to 1. On a busy machine a call costs more, and JavaScript suffers more than C. */
  readonly usedByOthers: number
}

/**
 * What compiles, compiles before the first round: so many calls, but no longer than that. V8 still optimises after 50 000 calls,
 * on threads that count.
 */
const WARM_UP_CALLS = 80_000
const WARM_UP_SECONDS = 25
const TURN_SECONDS = 0.5
/** Until connections have been accepted, which is not part of a call. */
const SETTLE_MS = 50

/** Measures sides against each other. */
export async function measureCost(sides: readonly Side[], { rounds, seconds }: Pace): Promise<Measurement> {
  const stands: Stand[] = []
  const missing: { name: string; why: string }[] = []
  try {
    for (const side of sides) {
      try {
        stands.push(await Stand.set(side))
      } catch (error) {
        missing.push({ name: side.name, why: (error as Error).message })
      }
    }
    for (const stand of stands) if (!stand.isCompiled) await stand.warmUp()
    const others = watchOthers()
    for (let round = 0; round < rounds; round++) {
      for (const stand of stands) await stand.open()
      for (let turn = 0; turn < Math.ceil(seconds / TURN_SECONDS); turn++) for (const stand of stands) await stand.turn()
      for (const stand of stands) await stand.close()
    }
    return { measured: stands.map(({ name, rounds }) => ({ name, rounds })), missing, usedByOthers: others() }
  } finally {
    for (const stand of stands) await stand.clear()
  }
}

/** Begins to watch what programs use that are not part of the measurement; the answer is asked for at its end. */
function watchOthers(): () => number {
  const startedAt = performance.now()
  const before = machineCpuUs() - cpuUs([process.pid])
  return () => {
    const others = machineCpuUs() - cpuUs([process.pid]) - before
    return Math.max(0, others) / ((performance.now() - startedAt) * 1000 * availableParallelism())
  }
}

interface Turn {
  readonly report: Report
  readonly cpuUs: number
  readonly besideCpuUs: number
}

/** A side with its server and its load in place. */
class Stand {
  readonly name: string
  readonly isCompiled: boolean
  readonly rounds: Round[] = []
  private readonly server: Server
  private readonly load: Load
  private readonly beside: readonly number[]
  private readonly loader = new Loader()
  private turns: Turn[] = []

  private constructor({ name, load, beside = [], isCompiled = false }: Side, server: Server) {
    this.name = name
    this.server = server
    this.beside = beside
    this.isCompiled = isCompiled
    this.load = { ...load, host: HOST, port: server.port }
  }

  static async set(side: Side): Promise<Stand> {
    const stand = new Stand(side, await side.start())
    try {
      await stand.open()
      await stand.loader.close()
      return stand
    } catch (error) {
      await stand.clear()
      throw error
    }
  }

  async warmUp(): Promise<void> {
    await this.open()
    const endsAt = performance.now() + WARM_UP_SECONDS * 1000
    for (let calls = 0; calls < WARM_UP_CALLS && performance.now() < endsAt;) calls += (await this.loader.run(TURN_SECONDS)).calls
    await this.loader.close()
  }

  async open(): Promise<void> {
    await this.loader.open(this.load)
    await delay(SETTLE_MS)
  }

  /** Rejects when a connection is lost. */
  async turn(): Promise<void> {
    const before = cpuUs(this.server.pids)
    const besideBefore = cpuUs(this.beside)
    const report = await this.loader.run(TURN_SECONDS).catch((error: Error) => {
      throw new Error(`${this.name}: ${error.message}`)
    })
    this.turns.push({ report, cpuUs: cpuUs(this.server.pids) - before, besideCpuUs: cpuUs(this.beside) - besideBefore })
  }

  /** Ends a round. */
  async close(): Promise<void> {
    await this.loader.close()
    this.rounds.push(sumUp(this.turns))
    this.turns = []
  }

  async clear(): Promise<void> {
    await this.loader.stop()
    await this.server.stop()
  }
}

function sumUp(turns: readonly Turn[]): Round {
  const total = (of: (turn: Turn) => number): number => turns.reduce((sum, turn) => sum + of(turn), 0)
  const calls = total(({ report }) => report.calls)
  const failed = total(({ report }) => report.failed)
  return {
    cpuUsPerCall: total((turn) => turn.cpuUs) / (calls + failed),
    callsPerSecond: (calls + failed) / total(({ report }) => report.seconds),
    p50Us: spread(turns.map(({ report }) => report.p50Us)).median,
    p99Us: spread(turns.map(({ report }) => report.p99Us)).median,
    calls,
    failed,
    besideCpuUsPerCall: total((turn) => turn.besideCpuUs) / (calls + failed),
    loadCpuUsPerCall: total(({ report }) => report.ownCpuUs) / (calls + failed),
  }
}

/** A median with what lay on both sides of it. */
export interface Spread {
  readonly median: number
  readonly least: number
  readonly most: number
}

export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { median, least: sorted[0]!, most: sorted.at(-1)! }
}

/** The cost of one side in terms of another, round by round. */
export function costRatio(of: Measured, to: Measured): Spread {
  return spread(of.rounds.map((round, i) => round.cpuUsPerCall / to.rounds[i]!.cpuUsPerCall))
}
