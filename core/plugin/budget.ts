/**
 * Budgets: what a plugin names and the core draws from. A charge hook says "this key, this limit, this window,
 * this cost"; counting, atomicity and refunds are the meter's.
 */
import type { Refusal } from './outcome.ts'

/**
 * How a budget forgets.
 * - sliding: the last `ms` milliseconds (two counters, the older one weighted by how much of it still overlaps).
 * - fixed: windows of `ms` milliseconds since the epoch.
 * - cycle: one billing cycle, named and bounded by the plugin; it outlives restarts.
 */
export type Window =
  | { readonly kind: 'sliding'; readonly ms: number }
  | { readonly kind: 'fixed'; readonly ms: number }
  | { readonly kind: 'cycle'; readonly id: string; readonly endsAt: number }

/** What one call wants of one budget, and after the draw what it got. */
export interface Draw {
  /** The budget's kind, a closed word: the plugin's name. */
  readonly budget: string
  /** Whose: unique within the kind. */
  readonly key: string
  /** In CU or whatever the plugin counts; Infinity only records. */
  readonly limit: number
  readonly window: Window
  /** What is wanted. */
  readonly cost: number
  /** 'cu' where a settled price replaces the cost, 'call' where calls are counted whatever they cost. */
  readonly unit: 'cu' | 'call'
  /** What to answer when the budget has no room; `draw.retryAfterMs` is set when it is called. */
  readonly refused: (draw: Draw) => Refusal

  // Filled by the meter.
  /** What the call holds now: `cost` once drawn, less after a refund, 0 when refused. */
  held: number
  /** What is left for others after this frame's draws. */
  remaining: number
  /** What the window counts in all, after this frame's draws. */
  used: number
  /** Milliseconds until the window has forgotten all that is in it, or the cycle ends. */
  resetMs: number
  /** Milliseconds until it fits if nobody else draws; Infinity when it never can because it is above the limit. 0 unless it was refused. */
  retryAfterMs: number
  /** It was refused because the store of budgets is away, and not for want of room: the refusal is ours. */
  isUncounted: boolean
  /** Which window the draw was taken from, so that a refund returns it there. The meter's own. */
  epoch: number
}

/** Names a draw. */
export function draw(
  budget: string,
  key: string,
  limit: number,
  window: Window,
  cost: number,
  refused: (draw: Draw) => Refusal,
  unit: 'cu' | 'call' = 'cu',
): Draw {
  return { budget, key, limit, window, cost, unit, refused, held: 0, remaining: 0, used: 0, resetMs: 0, retryAfterMs: 0, isUncounted: false, epoch: 0 }
}
