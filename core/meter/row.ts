/**
 * The draws of one frame in one row, each beside the count that it is held against: what is taken, what is put back,
 * and what every draw is told. Used anew for each frame and never shrunk, to spare allocations.
 */
import { toCu, toUnits } from './units.ts'
import type { Draw } from '../plugin/budget.ts'
import type { Moment } from './clock.ts'
import type { Count } from './count.ts'

export class Row<C extends Count> {
  readonly draws: Draw[] = []
  readonly counts: C[] = []
  size = 0

  /** Lays out a frame. `wants[i]` are the draws of call i. */
  lay(wants: readonly (readonly Draw[])[], countOf: (draw: Draw) => C): void {
    this.size = 0
    for (const draws of wants) {
      for (const draw of draws) {
        draw.held = 0
        draw.retryAfterMs = 0
        draw.isUncounted = false
        this.draws[this.size] = draw
        this.counts[this.size++] = countOf(draw)
      }
    }
  }

  /**
   * Takes the draws of each call, all of them or none; with `together`, either every call's or none. Answers per call
   * with the position of the first draw that had no room, or -1.
   */
  take(wants: readonly (readonly Draw[])[], together: boolean, now: Moment): number[] {
    const verdicts = wants.map(() => -1)
    let from = 0
    for (let call = 0; call < wants.length; call++) {
      const to = from + wants[call]!.length
      const blocked = this.#takeCall(from, to, now)
      if (blocked >= 0) {
        verdicts[call] = blocked - from
        this.#putBack(together ? 0 : from, blocked)
        if (together) break
      }
      from = to
    }
    return verdicts
  }

  /** Tells every draw how its budget stands after the frame, and those that had no room when they will have it. */
  report(wants: readonly (readonly Draw[])[], verdicts: readonly number[], together: boolean, now: Moment): void {
    for (let at = 0; at < this.size; at++) {
      const draw = this.draws[at]!
      const count = this.counts[at]!
      const counted = count.counted(now)
      draw.used = toCu(counted)
      draw.remaining = Math.max(0, toCu(toUnits(draw.limit) - counted))
      draw.resetMs = count.resetMs(now)
    }
    let from = 0
    for (let call = 0; call < wants.length; call++) {
      if (verdicts[call]! >= 0) this.#setRetryAfter(from + verdicts[call]!, together ? 0 : from, now)
      from += wants[call]!.length
    }
  }

  /** Takes the draws of one call until one has no room; answers where that one stands, or -1. */
  #takeCall(from: number, to: number, now: Moment): number {
    for (let at = from; at < to; at++) {
      const draw = this.draws[at]!
      const count = this.counts[at]!
      const units = toUnits(draw.cost)
      draw.epoch = count.epoch
      // What costs nothing is never refused, not even where a settled price has overdrawn the budget.
      if (!isAmount(units) || (units > 0 && !count.fits(units, toUnits(draw.limit), now))) return at
      count.add(units, count.epoch)
      draw.held = toCu(units)
    }
    return -1
  }

  #putBack(from: number, to: number): void {
    for (let at = from; at < to; at++) {
      const draw = this.draws[at]!
      this.counts[at]!.add(-toUnits(draw.held), draw.epoch)
      draw.held = 0
    }
  }

  /** What has to fit is the draw's cost and what the draws before it, which stand or fall with it, want of the same count. */
  #setRetryAfter(at: number, from: number, now: Moment): void {
    const draw = this.draws[at]!
    const count = this.counts[at]!
    const limit = toUnits(draw.limit)
    let units = toUnits(draw.cost)
    for (let before = from; before < at; before++) if (this.counts[before] === count) units += toUnits(this.draws[before]!.cost)
    draw.retryAfterMs = units <= limit ? count.waitMs(units, limit, now) : Infinity
  }
}

/** NaN, Infinity and what is below zero are never drawn: they would spoil the count. */
export function isAmount(units: number): boolean {
  return units >= 0 && units < Infinity
}
