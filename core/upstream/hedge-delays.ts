/**
 * How long a call may take before another node is asked too: a fixed time, or what most of the last answers to its method
 * took. What is not known well is not doubled.
 */
import type { Flight } from './flight.ts'
import type { HedgeSpec } from './spec.ts'

/** Answers to a method that are looked back on. */
const WINDOW = 128
/** Fewer say nothing of the slowest. */
const ENOUGH = 32
/** How often, in answers, it is worked out anew: sorting costs some microseconds. */
const EVERY = 16
/** Methods of which times are kept, a kilobyte each; others are not doubled. */
const MAX_METHODS = 500

export class HedgeDelays {
  readonly max: number
  /** Whether it wants to be told how long answers took. */
  readonly isLearning: boolean
  private readonly after: HedgeSpec['after']
  private readonly methods = new Map<string, Durations>()

  constructor({ after, max }: HedgeSpec) {
    this.after = after
    this.max = max
    this.isLearning = 'part' in after
  }

  /** Milliseconds after which calls that travel together are asked once more; undefined where nobody knows. */
  afterMs(flights: readonly Flight[]): number | undefined {
    if ('ms' in this.after) return this.after.ms
    let longest = 0
    for (const { request } of flights) {
      const ms = this.methods.get(request.method)?.usualMs
      if (ms === undefined) return undefined
      longest = Math.max(longest, ms)
    }
    return longest
  }

  /** A request was answered; or it was let go, and would have taken longer. Only calls that travel alone tell of their method. */
  took(flights: readonly Flight[], ms: number, isAnswered: boolean): void {
    if (!('part' in this.after) || flights.length > 1) return
    const { method } = flights[0]!.request
    let durations = this.methods.get(method)
    if (durations === undefined) {
      if (this.methods.size >= MAX_METHODS) return
      this.methods.set(method, (durations = new Durations(this.after.part)))
    }
    // Without those that lost to another request the times would seem shorter and shorter.
    if (isAnswered || ms >= (durations.usualMs ?? Infinity)) durations.add(ms)
  }
}

/** The last times of one method. */
class Durations {
  /** What so many of them stay under; undefined while there are few. */
  usualMs: number | undefined
  private readonly part: number
  private readonly last = new Float64Array(WINDOW)
  private count = 0

  constructor(part: number) {
    this.part = part
  }

  add(ms: number): void {
    this.last[this.count++ % WINDOW] = ms
    if (this.count < ENOUGH || this.count % EVERY !== 0) return
    const sorted = this.last.slice(0, Math.min(this.count, WINDOW)).sort()
    this.usualMs = sorted[Math.ceil(this.part * sorted.length) - 1]
  }
}
