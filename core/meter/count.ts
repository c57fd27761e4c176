/**
 * What is counted under one key, and the two ways of forgetting that go by seconds.
 *
 * A sliding window is two counters: this window's, and the one before weighted by how much of it still overlaps
 * the last `ms` milliseconds. Why this and not GCRA: no window ever serves more than the stated number (GCRA
 * serves a full burst and the refill of the same second: twice the limit to a client that was idle), steady
 * traffic gets exactly the limit, a refund is a subtraction, the moment at which a cost fits can be computed, and
 * in Redis it is two integers under a key. In return any stretch of `ms` that lies across two windows may hold
 * up to twice the limit, as with GCRA; a fixed window would allow that at every boundary, this only to one who
 * spends everything right before it and then the rest as fast as it comes free.
 */
import type { Window } from '../plugin/budget.ts'
import type { Moment } from './clock.ts'

/** Windows that are counted by the clock. */
export type ClockWindow = Exclude<Window, { kind: 'cycle' }>

/** One key's count under one window. Amounts in units (units.ts), times in milliseconds. */
export interface Count {
  /** The window that draws are taken from now. */
  readonly epoch: number
  /** Moves on to the window of this moment. To be called before anything below. */
  roll(now: Moment): void
  /** What counts against a limit at this moment. A sliding window's is not always whole. */
  counted(now: Moment): number
  /** Whether so much more stays within the limit. */
  fits(units: number, limit: number, now: Moment): boolean
  /** Adds to the window of that epoch, or takes back from it when negative. A window that has passed is left alone. */
  add(units: number, epoch: number): void
  /** Until all that is counted now is forgotten. */
  resetMs(now: Moment): number
  /** Until so much fits if nobody else draws; only for what does not exceed the limit. */
  waitMs(units: number, limit: number, now: Moment): number
}

/** A count of windows of some milliseconds, and what it is made of. */
export interface WindowCount extends Count {
  /** In this window. */
  readonly current: number
  /** In the one before; 0 where that does not matter. */
  readonly previous: number
  /** Takes over what another one is made of. */
  become(epoch: number, current: number, previous: number): void
}

/** A count that is empty. */
export function windowCount({ kind, ms }: ClockWindow): WindowCount {
  return kind === 'sliding' ? new SlidingCount(ms) : new FixedCount(ms)
}

/** Counts of the last `ms` milliseconds. */
class SlidingCount implements WindowCount {
  readonly #ms: number
  epoch = -Infinity
  current = 0
  previous = 0

  constructor(ms: number) {
    this.#ms = ms
  }

  become(epoch: number, current: number, previous: number): void {
    this.epoch = epoch
    this.current = current
    this.previous = previous
  }

  roll(now: Moment): void {
    const epoch = Math.floor(now.steadyMs / this.#ms)
    if (epoch === this.epoch) return
    this.previous = epoch === this.epoch + 1 ? this.current : 0
    this.current = 0
    this.epoch = epoch
  }

  counted(now: Moment): number {
    return this.current + (this.previous * this.#overlapMs(now)) / this.#ms
  }

  fits(units: number, limit: number, now: Moment): boolean {
    // Multiplied out, so that whole numbers are compared.
    return this.previous * this.#overlapMs(now) <= (limit - this.current - units) * this.#ms
  }

  add(units: number, epoch: number): void {
    if (epoch === this.epoch) this.current = Math.max(0, this.current + units)
    else if (epoch === this.epoch - 1) this.previous = Math.max(0, this.previous + units)
  }

  resetMs(now: Moment): number {
    if (this.current > 0) return this.#overlapMs(now) + this.#ms
    return this.previous > 0 ? this.#overlapMs(now) : 0
  }

  waitMs(units: number, limit: number, now: Moment): number {
    const overlapMs = this.#overlapMs(now)
    const room = limit - this.current - units
    if (room >= 0) return this.previous === 0 ? 0 : Math.max(0, Math.ceil(overlapMs - Math.floor((room * this.#ms) / this.previous)))
    // Not before the next window, in which this one is the older.
    return Math.ceil(overlapMs + this.#ms - Math.min(this.#ms, Math.floor(((limit - units) * this.#ms) / this.current)))
  }

  /** How much of the window before lies within the last `ms`. */
  #overlapMs(now: Moment): number {
    return (this.epoch + 1) * this.#ms - now.steadyMs
  }
}

/** Counts of windows of `ms` milliseconds since the epoch. */
class FixedCount implements WindowCount {
  readonly #ms: number
  readonly previous = 0
  epoch = -Infinity
  current = 0

  constructor(ms: number) {
    this.#ms = ms
  }

  become(epoch: number, current: number): void {
    this.epoch = epoch
    this.current = current
  }

  roll(now: Moment): void {
    const epoch = Math.floor(now.steadyMs / this.#ms)
    if (epoch === this.epoch) return
    this.current = 0
    this.epoch = epoch
  }

  counted(): number {
    return this.current
  }

  fits(units: number, limit: number): boolean {
    return this.current + units <= limit
  }

  add(units: number, epoch: number): void {
    if (epoch === this.epoch) this.current = Math.max(0, this.current + units)
  }

  resetMs(now: Moment): number {
    return (this.epoch + 1) * this.#ms - now.steadyMs
  }

  waitMs(_units: number, _limit: number, now: Moment): number {
    return this.resetMs(now)
  }
}
