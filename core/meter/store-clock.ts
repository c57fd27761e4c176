/**
 * The clock of the store, as a process that asks it can tell: every answer says when it was given, which lies between
 * the asking and the hearing. So processes whose own clocks differ draw from the same windows.
 */
import type { Moment } from './clock.ts'

/** A clock that is so far behind what it said before was set back. Less is the error of an estimate. */
const SET_BACK_MS = 1000

export class StoreClock implements Moment {
  readonly #monotonicMs: () => number
  /** What the store's clock is ahead of the monotonic one: at least, and at most. */
  #low: number
  #high: number
  /** Epoch milliseconds at the last reading. */
  wallMs = -Infinity
  steadyMs = -Infinity

  /** Begins as this machine's own clock, `nowMs`. */
  constructor(monotonicMs: () => number, nowMs: number) {
    this.#monotonicMs = monotonicMs
    this.#low = this.#high = nowMs - monotonicMs()
  }

  /** Reads the time, which does not run backwards unless the store's own does. */
  read(): this {
    const ms = Math.floor(this.#monotonicMs() + (this.#low + this.#high) / 2)
    if (ms > this.wallMs || ms < this.wallMs - SET_BACK_MS) this.wallMs = this.steadyMs = ms
    return this
  }

  /** Takes in that the store's clock showed `atMs` between two monotonic moments. */
  hear(atMs: number, askedAt: number, heardAt: number): void {
    const low = atMs - heardAt
    const high = atMs + 1 - askedAt
    this.#low = Math.max(this.#low, low)
    this.#high = Math.min(this.#high, high)
    // Clocks drift and are set: what does not fit with what was heard before replaces it.
    if (this.#low > this.#high) {
      this.#low = low
      this.#high = high
    }
  }
}
