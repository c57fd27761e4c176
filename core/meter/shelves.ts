/**
 * What is remembered of each key of each budget under each window, for as long as it matters: keys whose window has
 * passed are forgotten (RecentMap), and a flood of keys is bounded.
 */
import { RecentMap } from '../plugin/recent-map.ts'
import type { Window } from '../plugin/budget.ts'

/** Shorter windows share a generation of keys, so that keys in use are not moved more often than this. */
const MIN_PERIOD_MS = 1000
/** Keys of a cycle that nobody drew on for so long are forgotten. */
const CYCLE_PERIOD_MS = 3_600_000

/** The keys of one budget under windows of one kind and length, or of one cycle. */
interface Shelf<V> {
  readonly window: Window
  readonly keys: RecentMap<V>
}

export class Shelves<V> {
  readonly #maxKeys: number
  readonly #budgets = new Map<string, Shelf<V>[]>()

  /** `maxKeys` bounds the keys of one budget and window. */
  constructor(maxKeys: number) {
    this.#maxKeys = maxKeys
  }

  /** What is remembered of a key, which counts as a use of it. Milliseconds of a clock that does not run backwards. */
  get(budget: string, key: string, window: Window, nowMs: number): V | undefined {
    return this.#shelf(budget, window).get(key, nowMs)
  }

  set(budget: string, key: string, window: Window, value: V, nowMs: number): void {
    this.#shelf(budget, window).set(key, value, nowMs)
  }

  /** What is remembered of a key, which does not count as a use of it. */
  peek(budget: string, key: string, window: Window): V | undefined {
    return this.#shelf(budget, window).peek(key)
  }

  /** Forgets what is due, and the cycles of which no key is left. Using the keys forgets too; this is for quiet times. */
  forget(nowMs: number): void {
    for (const [budget, shelves] of this.#budgets) {
      for (const { keys } of shelves) keys.forget(nowMs)
      this.#budgets.set(
        budget,
        shelves.filter(({ window, keys }) => window.kind !== 'cycle' || keys.size > 0),
      )
    }
  }

  /** How many keys are remembered. */
  get size(): number {
    let size = 0
    for (const shelves of this.#budgets.values()) for (const { keys } of shelves) size += keys.size
    return size
  }

  #shelf(budget: string, window: Window): RecentMap<V> {
    let shelves = this.#budgets.get(budget)
    if (shelves === undefined) this.#budgets.set(budget, (shelves = []))
    for (const shelf of shelves) if (isSame(shelf.window, window)) return shelf.keys
    // A whole number of windows, so that a count lives through the window after its own.
    const periodMs = window.kind === 'cycle' ? CYCLE_PERIOD_MS : window.ms * Math.ceil(MIN_PERIOD_MS / window.ms)
    const keys = new RecentMap<V>(periodMs, this.#maxKeys)
    shelves.push({ window, keys })
    return keys
  }
}

function isSame(one: Window, other: Window): boolean {
  if (one.kind === 'cycle') return other.kind === 'cycle' && one.id === other.id
  return one.kind === other.kind && one.ms === other.ms
}
