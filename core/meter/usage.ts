/**
 * Usage of billing cycles: counted in memory, written to the store a few times a second, only what changed. A killed
 * process loses at most one second of it and counts nothing twice. When the store cannot be written, counting
 * goes on in memory and writing is tried again until it succeeds.
 * A cycle is read from the store when it is first met, so it is never handed out twice: not by a restart, and not
 * when the clock is set back to a cycle that memory has let go of.
 */
import { toCu, toUnits } from './units.ts'
import type { Moment } from './clock.ts'
import type { Count } from './count.ts'
import type { Usage, UsageRecords } from './usage-store.ts'

/** Well under the second that may be lost, and short enough that a flush has few rows. */
const FLUSH_MS = 250
/** Rows that one transaction takes while serving: some 7 ms. More are written in the following turns of the loop. */
const FLUSH_ROWS = 1000
/** How long an ended cycle stays in memory: calls that began in it may still be settled. */
const GRACE_MS = 3_600_000

interface Cycle {
  readonly budget: string
  readonly id: string
  readonly endsAt: number
  readonly counts: Map<string, CycleCount>
}

/** What one key uses of a budget in one cycle. Its epoch never changes: the cycle itself is named by the draw. */
class CycleCount implements Count, Usage {
  readonly epoch = 0
  readonly key: string
  isDirty = false
  readonly #cycle: Cycle
  readonly #dirty: CycleCount[]
  #units: number

  constructor(cycle: Cycle, key: string, units: number, dirty: CycleCount[]) {
    this.#cycle = cycle
    this.key = key
    this.#units = units
    this.#dirty = dirty
  }

  get budget(): string {
    return this.#cycle.budget
  }

  get cycle(): string {
    return this.#cycle.id
  }

  get endsAt(): number {
    return this.#cycle.endsAt
  }

  /** In units: what a limit is held against. */
  counted(): number {
    return this.#units
  }

  /** In CU. */
  get used(): number {
    return toCu(this.#units)
  }

  roll(): void {}

  fits(units: number, limit: number): boolean {
    return this.#units + units <= limit
  }

  add(units: number): void {
    if (units === 0) return
    this.#units = Math.max(0, this.#units + units)
    if (this.isDirty) return
    this.isDirty = true
    this.#dirty.push(this)
  }

  resetMs(now: Moment): number {
    return Math.max(0, this.endsAt - now.wallMs)
  }

  waitMs(_units: number, _limit: number, now: Moment): number {
    return this.resetMs(now)
  }
}

/** What usage needs of its surroundings. */
export interface UsageOptions {
  readonly store: UsageRecords
  /** The wall clock in epoch milliseconds. */
  readonly now: () => number
  /** Told when the store begins to fail, with the error, and when it works again, with undefined. Not for every attempt. */
  readonly onStore: (error: Error | undefined) => void
  /** Told when the book is closed and so many counts could not be written. */
  readonly onLost?: (counts: number) => void
}

export class UsageBook {
  readonly #store: UsageRecords
  readonly #now: () => number
  readonly #onStore: (error: Error | undefined) => void
  readonly #onLost: ((counts: number) => void) | undefined
  readonly #budgets = new Map<string, Map<string, Cycle>>()
  readonly #dirty: CycleCount[] = []
  readonly #timer: NodeJS.Timeout
  #isFailing = false
  #isClosed = false

  /** Reads the cycles that have not ended; throws what the store throws. Writes by itself until it is closed. */
  constructor({ store, now, onStore, onLost }: UsageOptions) {
    this.#store = store
    this.#now = now
    this.#onStore = onStore
    this.#onLost = onLost
    for (const { budget, id, endsAt } of store.unfinished(now())) this.#read(this.#begin(budget, id, endsAt))
    this.#timer = setInterval(() => this.#tick(), FLUSH_MS).unref()
  }

  /** The count of a key in a cycle, made where there is none. A cycle that the store fails to tell of begins empty, and `onStore` is told. */
  count(budget: string, key: string, id: string, endsAt: number): CycleCount {
    let cycle = this.#budgets.get(budget)?.get(id)
    if (cycle === undefined) {
      cycle = this.#begin(budget, id, endsAt)
      try {
        this.#read(cycle)
      } catch (error) {
        this.#judge(error as Error)
      }
    }
    let count = cycle.counts.get(key)
    if (count === undefined) cycle.counts.set(key, (count = new CycleCount(cycle, key, 0, this.#dirty)))
    return count
  }

  /** The count of a key in a cycle that is still remembered. */
  find(budget: string, key: string, id: string): CycleCount | undefined {
    return this.#budgets.get(budget)?.get(id)?.counts.get(key)
  }

  /** Takes in what others know of usage: the higher of the two counts. */
  learn(rows: readonly Usage[]): void {
    for (const { budget, key, cycle, used, endsAt } of rows) {
      const count = this.count(budget, key, cycle, endsAt)
      count.add(Math.max(0, toUnits(used) - count.counted()))
    }
  }

  /** The usage of cycles that have not ended. */
  unfinished(): readonly Usage[] {
    const rows: Usage[] = []
    for (const cycles of this.#budgets.values()) {
      for (const { budget, id, endsAt, counts } of cycles.values()) {
        if (endsAt > this.#now()) for (const { key, used } of counts.values()) rows.push({ budget, key, cycle: id, used, endsAt })
      }
    }
    return rows
  }

  /** Writes what changed, `limit` counts at most, and answers whether the store took it. Never throws. */
  flush(limit = Infinity): boolean {
    const rows = this.#dirty.length <= limit ? this.#dirty : this.#dirty.slice(0, limit)
    if (rows.length === 0) return true
    try {
      this.#store.write(rows, this.#now())
    } catch (error) {
      this.#judge(error as Error)
      return false
    }
    for (const count of rows) count.isDirty = false
    this.#dirty.splice(0, rows.length)
    this.#judge(undefined)
    return true
  }

  /** All cycles of a key, the newest first; as of this moment, or of the last flush while the store cannot be written. */
  history(budget: string, key: string): readonly Usage[] {
    this.flush()
    return this.#store.history(budget, key)
  }

  /** Who used what in a cycle: `limit` keys that follow `after`, in the order of their names; as of the same moment. */
  page(budget: string, cycle: string, after: string, limit: number): readonly Usage[] {
    this.flush()
    return this.#store.page(budget, cycle, after, limit)
  }

  /** Writes what is left and closes the store. Asking again does nothing. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    clearInterval(this.#timer)
    if (!this.flush()) this.#onLost?.(this.#dirty.length)
    this.#store.close()
  }

  #begin(budget: string, id: string, endsAt: number): Cycle {
    const cycle: Cycle = { budget, id, endsAt, counts: new Map() }
    let cycles = this.#budgets.get(budget)
    if (cycles === undefined) this.#budgets.set(budget, (cycles = new Map()))
    cycles.set(id, cycle)
    return cycle
  }

  #read(cycle: Cycle): void {
    for (const [key, used] of this.#store.cycle(cycle.budget, cycle.id)) cycle.counts.set(key, new CycleCount(cycle, key, toUnits(used), this.#dirty))
  }

  #tick(): void {
    if (this.#isClosed || !this.flush(FLUSH_ROWS)) return
    if (this.#dirty.length > 0) setImmediate(() => this.#tick())
    else this.#forget(this.#now() - GRACE_MS)
  }

  /** Lets go of the cycles that ended before a moment. Only while all is written: the store is where they are found again. */
  #forget(beforeMs: number): void {
    for (const cycles of this.#budgets.values()) {
      for (const { id, endsAt } of cycles.values()) if (endsAt <= beforeMs) cycles.delete(id)
    }
  }

  #judge(error: Error | undefined): void {
    const isFailing = error !== undefined
    if (isFailing === this.#isFailing) return
    this.#isFailing = isFailing
    this.#onStore(error)
  }
}
