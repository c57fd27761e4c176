/**
 * The meter of one process. Drawing is synchronous, so a frame's draws are one atomic step by nature: no other
 * frame can come between. Constant memory for each key; keys whose window has passed are forgotten (RecentMap), and
 * a flood of keys is bounded by MAX_KEYS. Nothing here touches a disk, except when a billing cycle is met first.
 */
import { RecentMap } from '../plugin/recent-map.ts'
import { Clock } from './clock.ts'
import { FixedCount, SlidingCount } from './count.ts'
import { toCu, toUnits } from './units.ts'
import type { Draw, Window } from '../plugin/budget.ts'
import type { Meter } from '../pipeline/ports.ts'
import type { Count } from './count.ts'
import type { UsageBook } from './usage.ts'

/** Keys of one budget and window that are remembered at once, some 180 bytes each. Beyond, the least recently used are forgotten early. */
const MAX_KEYS = 500_000
/** Shorter windows share a generation of keys, so that keys in use are not moved more often than this. */
const MIN_PERIOD_MS = 1000

type SecondsWindow = Exclude<Window, { kind: 'cycle' }>

/** The counts of one budget under windows of one kind and length. */
interface Shelf {
  readonly kind: SecondsWindow['kind']
  readonly ms: number
  readonly counts: RecentMap<Count>
}

export class MemoryMeter implements Meter {
  readonly #clock: Clock
  readonly #usage: UsageBook
  readonly #maxKeys: number
  readonly #shelves = new Map<string, Shelf[]>()
  /** The draws of the frame at hand in one row, and the count that each is held against. Never shrunk, to spare allocations. */
  readonly #draws: Draw[] = []
  readonly #counts: Count[] = []
  #size = 0

  constructor(now: () => number, usage: UsageBook, maxKeys: number = MAX_KEYS) {
    this.#clock = new Clock(now)
    this.#usage = usage
    this.#maxKeys = maxKeys
  }

  draw(wants: readonly (readonly Draw[])[], together: boolean): readonly number[] {
    this.#layOut(wants)
    const verdicts = wants.map(() => -1)
    let from = 0
    for (let call = 0; call < wants.length; call++) {
      const to = from + wants[call]!.length
      const blocked = this.#take(from, to)
      if (blocked >= 0) {
        verdicts[call] = blocked - from
        this.#putBack(together ? 0 : from, blocked)
        if (together) break
      }
      from = to
    }
    this.#report(wants, verdicts, together)
    return verdicts
  }

  refund(draw: Draw, amount: number): void {
    const held = toUnits(draw.held)
    const units = Math.min(held, toUnits(amount))
    if (!(units > 0)) return
    draw.held = toCu(held - units)
    this.#find(draw)?.add(-units, draw.epoch)
  }

  overdraw(draw: Draw, amount: number): void {
    const units = toUnits(amount)
    if (!isAmount(units)) return
    draw.held = toCu(toUnits(draw.held) + units)
    this.#find(draw)?.add(units, draw.epoch)
  }

  /** Forgets keys whose window has passed. Drawing does so too; this is for quiet times. */
  forget(): void {
    const { steadyMs } = this.#clock.read()
    for (const shelves of this.#shelves.values()) for (const { counts } of shelves) counts.forget(steadyMs)
  }

  /** How many keys are remembered, those of cycles not included. */
  get keys(): number {
    let keys = 0
    for (const shelves of this.#shelves.values()) for (const { counts } of shelves) keys += counts.size
    return keys
  }

  /** Reads the clock and finds the counts of a frame's draws. */
  #layOut(wants: readonly (readonly Draw[])[]): void {
    this.#clock.read()
    this.#size = 0
    for (const draws of wants) {
      for (const draw of draws) {
        draw.held = 0
        draw.retryAfterMs = 0
        this.#draws[this.#size] = draw
        this.#counts[this.#size++] = this.#count(draw)
      }
    }
  }

  /** Takes the draws of one call until one has no room; answers where that one stands, or -1. */
  #take(from: number, to: number): number {
    for (let at = from; at < to; at++) {
      const draw = this.#draws[at]!
      const count = this.#counts[at]!
      const units = toUnits(draw.cost)
      draw.epoch = count.epoch
      // What costs nothing is never refused, not even where a settled price has overdrawn the budget.
      if (!isAmount(units) || (units > 0 && !count.fits(units, toUnits(draw.limit), this.#clock))) return at
      count.add(units, count.epoch)
      draw.held = toCu(units)
    }
    return -1
  }

  #putBack(from: number, to: number): void {
    for (let at = from; at < to; at++) {
      const draw = this.#draws[at]!
      this.#counts[at]!.add(-toUnits(draw.held), draw.epoch)
      draw.held = 0
    }
  }

  /** Tells every draw how its budget stands after the frame, and those that had no room when they will have it. */
  #report(wants: readonly (readonly Draw[])[], verdicts: readonly number[], together: boolean): void {
    for (let at = 0; at < this.#size; at++) {
      const draw = this.#draws[at]!
      const count = this.#counts[at]!
      const counted = count.counted(this.#clock)
      draw.used = toCu(counted)
      draw.remaining = Math.max(0, toCu(toUnits(draw.limit) - counted))
      draw.resetMs = count.resetMs(this.#clock)
    }
    let from = 0
    for (let call = 0; call < wants.length; call++) {
      if (verdicts[call]! >= 0) this.#setRetryAfter(from + verdicts[call]!, together ? 0 : from)
      from += wants[call]!.length
    }
  }

  /** What has to fit is the draw's cost and what the draws before it, which stand or fall with it, want of the same count. */
  #setRetryAfter(at: number, from: number): void {
    const draw = this.#draws[at]!
    const count = this.#counts[at]!
    const limit = toUnits(draw.limit)
    let units = toUnits(draw.cost)
    for (let before = from; before < at; before++) if (this.#counts[before] === count) units += toUnits(this.#draws[before]!.cost)
    draw.retryAfterMs = units <= limit ? count.waitMs(units, limit, this.#clock) : Infinity
  }

  /** The count that a draw is held against, made where there is none, at this moment's window. */
  #count({ budget, key, window }: Draw): Count {
    if (window.kind === 'cycle') return this.#usage.count(budget, key, window.id, window.endsAt)
    const { counts, kind, ms } = this.#shelf(budget, window)
    let count = counts.get(key, this.#clock.steadyMs)
    if (count === undefined) {
      count = kind === 'sliding' ? new SlidingCount(ms) : new FixedCount(ms)
      counts.set(key, count, this.#clock.steadyMs)
    }
    count.roll(this.#clock)
    return count
  }

  /** The count that a draw was taken from, if it is still remembered. */
  #find({ budget, key, window }: Draw): Count | undefined {
    return window.kind === 'cycle' ? this.#usage.find(budget, key, window.id) : this.#shelf(budget, window).counts.peek(key)
  }

  #shelf(budget: string, window: SecondsWindow): Shelf {
    let shelves = this.#shelves.get(budget)
    if (shelves === undefined) this.#shelves.set(budget, (shelves = []))
    for (const shelf of shelves) if (shelf.ms === window.ms && shelf.kind === window.kind) return shelf
    // A whole number of windows, so that a count lives through the window after its own.
    const periodMs = window.ms * Math.ceil(MIN_PERIOD_MS / window.ms)
    const shelf: Shelf = { kind: window.kind, ms: window.ms, counts: new RecentMap(periodMs, this.#maxKeys) }
    shelves.push(shelf)
    return shelf
  }
}

/** NaN, Infinity and what is below zero are never drawn: they would spoil the count. */
function isAmount(units: number): boolean {
  return units >= 0 && units < Infinity
}
