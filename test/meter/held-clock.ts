/** A meter whose clock a test holds, and draws to try it with. */
import { onTestFinished } from 'vitest'
import { MemoryMeter } from '../../core/meter/memory.ts'
import { UsageBook } from '../../core/meter/usage.ts'
import { UsageStore } from '../../core/meter/usage-store.ts'
import { draw } from '../../core/plugin/budget.ts'
import { refuse } from '../../core/plugin/outcome.ts'
import type { Draw, Window } from '../../core/plugin/budget.ts'

/** A moment at which windows of whole seconds begin. */
export const START = Date.UTC(2026, 10, 5, 12)

export interface HeldClock {
  ms: number
}

/** A meter with nothing on disk. */
export function heldMeter(maxKeys?: number): { meter: MemoryMeter; clock: HeldClock; usage: UsageBook } {
  const clock = { ms: START }
  const usage = openBook(UsageStore.inMemory(), clock)
  return { meter: new MemoryMeter(() => clock.ms, usage, maxKeys), clock, usage }
}

/** A book over a store, closed when the test is over. */
export function openBook(store: UsageStore, clock: HeldClock, onStore: (error: Error | undefined) => void = () => undefined): UsageBook {
  const usage = new UsageBook({ store, now: () => clock.ms, onStore })
  onTestFinished(() => usage.close())
  return usage
}

export const SECOND: Window = { kind: 'sliding', ms: 1000 }
export const FIXED: Window = { kind: 'fixed', ms: 1000 }
export const NOVEMBER: Window = { kind: 'cycle', id: '2026-11-01', endsAt: Date.UTC(2026, 11, 1) }
export const DECEMBER: Window = { kind: 'cycle', id: '2026-12-01', endsAt: Date.UTC(2027, 0, 1) }

/** A draw by `somebody`. */
export function want(cost: number, limit: number, window: Window = SECOND, key = 'somebody', budget = `test-${window.kind}`): Draw {
  return draw(budget, key, limit, window, cost, () => refuse('limited', 'rate'))
}

/** Draws once; answers whether it was taken. */
export function isTaken(meter: MemoryMeter, wanted: Draw): boolean {
  return meter.draw([[wanted]], false)[0] === -1
}
