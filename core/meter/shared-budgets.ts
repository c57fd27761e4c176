/**
 * Budgets that this process holds for others, as a primary does for its workers. What is taken and told is one step
 * each, for it is synchronous. The scripts of redis-scripts.ts do the same, and a test compares.
 */
import { Clock } from './clock.ts'
import { windowCount } from './count.ts'
import { AHEAD_PART, TERM_MS } from './source.ts'
import { Shelves } from './shelves.ts'
import type { Count, WindowCount } from './count.ts'
import type { Ask, BudgetName, BudgetSource, Grant, Return, Standing } from './source.ts'
import type { UsageBook } from './usage.ts'

/** Keys of one budget and window that are remembered at once, some 300 bytes each. Beyond, the least recently used are forgotten early. */
const MAX_KEYS = 500_000

/** A count, and what of it is held: by grants of this term, and of the one before. */
interface Shared {
  readonly count: Count | WindowCount
  term: number
  held: number
  heldBefore: number
}

export class SharedBudgets implements BudgetSource {
  readonly isAway = false
  readonly breaks = 0
  /** Set by whoever knows them. */
  processes = 1
  readonly #clock: Clock
  readonly #usage: UsageBook
  readonly #shelves = new Shelves<Shared>(MAX_KEYS)

  constructor(now: () => number, usage: UsageBook) {
    this.#clock = new Clock(now)
    this.#usage = usage
  }

  take(asks: readonly Ask[], hear: (position: number, grant: Grant) => void): void {
    this.#clock.read()
    for (const [position, ask] of asks.entries()) hear(position, this.#grant(ask))
  }

  give(_id: number, returns: readonly Return[], hear: (standings: readonly Standing[]) => void): void {
    this.#clock.read()
    hear(returns.map((told) => this.#takeIn(told)))
  }

  groupOf(): string {
    return ''
  }

  /** Forgets keys whose window has passed. */
  forget(): void {
    this.#shelves.forget(this.#clock.read().steadyMs)
  }

  #grant({ of, limit, need, ahead }: Ask): Grant {
    const shared = this.#shared(of)
    const room = limit === Infinity ? Infinity : this.#room(shared, limit)
    const needed = Math.min(need, room)
    const units = needed + Math.min(ahead, Math.floor((room - needed) / AHEAD_PART))
    shared.held += units
    return { units, term: shared.term, standing: this.#standing(shared) }
  }

  #takeIn({ of, spent, freed }: Return): Standing {
    const shared = this.#shared(of)
    for (const [epoch, units] of spent) shared.count.add(units, epoch)
    for (const [term, units] of freed) {
      if (term === shared.term) shared.held = Math.max(0, shared.held - units)
      else if (term === shared.term - 1) shared.heldBefore = Math.max(0, shared.heldBefore - units)
    }
    return this.#standing(shared)
  }

  /** How many units fit beside what is counted and what is held. */
  #room({ count, held, heldBefore }: Shared, limit: number): number {
    const taken = held + heldBefore
    let room = Math.floor(limit - taken - count.counted(this.#clock))
    while (room > 0 && !count.fits(taken + room, limit, this.#clock)) room--
    return Math.max(0, room)
  }

  #shared({ budget, key, window }: BudgetName): Shared {
    const { steadyMs } = this.#clock
    let shared = this.#shelves.get(budget, key, window, steadyMs)
    if (shared === undefined) {
      const count = window.kind === 'cycle' ? this.#usage.count(budget, key, window.id, window.endsAt) : windowCount(window)
      this.#shelves.set(budget, key, window, (shared = { count, term: 0, held: 0, heldBefore: 0 }), steadyMs)
    }
    const term = Math.floor(steadyMs / TERM_MS)
    if (term > shared.term) {
      shared.heldBefore = term === shared.term + 1 ? shared.held : 0
      shared.held = 0
      shared.term = term
    }
    shared.count.roll(this.#clock)
    return shared
  }

  #standing({ count, held, heldBefore }: Shared): Standing {
    const at = { atMs: this.#clock.steadyMs, epoch: count.epoch, held: held + heldBefore }
    if ('previous' in count) return { ...at, current: count.current, previous: count.previous }
    return { ...at, current: count.counted(this.#clock), previous: 0 }
  }
}
