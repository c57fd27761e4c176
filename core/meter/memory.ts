/**
 * The meter of one process. Drawing is synchronous, so a frame's draws are one atomic step by nature: no other
 * frame can come between. Constant memory for each key; keys whose window has passed are forgotten (Shelves), and
 * a flood of keys is bounded by MAX_KEYS. Nothing here touches a disk, except when a billing cycle is met first.
 */
import { Clock } from './clock.ts'
import { windowCount } from './count.ts'
import { Row, isAmount } from './row.ts'
import { Shelves } from './shelves.ts'
import { toCu, toUnits } from './units.ts'
import type { Draw } from '../plugin/budget.ts'
import type { Meter } from '../pipeline/ports.ts'
import type { Count, WindowCount } from './count.ts'
import type { UsageBook } from './usage.ts'

/** Keys of one budget and window that are remembered at once, some 180 bytes each. Beyond, the least recently used are forgotten early. */
const MAX_KEYS = 500_000

export class MemoryMeter implements Meter {
  readonly #clock: Clock
  readonly #usage: UsageBook
  readonly #shelves: Shelves<WindowCount>
  /** The frame at hand. */
  readonly #row = new Row<Count>()
  readonly #countOf = (draw: Draw): Count => this.#count(draw)

  constructor(now: () => number, usage: UsageBook, maxKeys: number = MAX_KEYS) {
    this.#clock = new Clock(now)
    this.#usage = usage
    this.#shelves = new Shelves(maxKeys)
  }

  draw(wants: readonly (readonly Draw[])[], together: boolean): readonly number[] {
    const now = this.#clock.read()
    this.#row.lay(wants, this.#countOf)
    const verdicts = this.#row.take(wants, together, now)
    this.#row.report(wants, verdicts, together, now)
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
    this.#shelves.forget(this.#clock.read().steadyMs)
  }

  /** How many keys are remembered, those of cycles not included. */
  get keys(): number {
    return this.#shelves.size
  }

  /** The count that a draw is held against, made where there is none, at this moment's window. */
  #count({ budget, key, window }: Draw): Count {
    if (window.kind === 'cycle') return this.#usage.count(budget, key, window.id, window.endsAt)
    let count = this.#shelves.get(budget, key, window, this.#clock.steadyMs)
    if (count === undefined) this.#shelves.set(budget, key, window, (count = windowCount(window)), this.#clock.steadyMs)
    count.roll(this.#clock)
    return count
  }

  /** The count that a draw was taken from, if it is still remembered. */
  #find({ budget, key, window }: Draw): Count | undefined {
    return window.kind === 'cycle' ? this.#usage.find(budget, key, window.id) : this.#shelves.peek(budget, key, window)
  }
}
