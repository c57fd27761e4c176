/** The memory meter against a model that keeps every draw ever taken and counts them all again each time. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MemoryMeter } from '../../core/meter/memory.ts'
import { UsageBook } from '../../core/meter/usage.ts'
import { UsageStore } from '../../core/meter/usage-store.ts'
import { START, want } from './held-clock.ts'
import type { Draw, Window } from '../../core/plugin/budget.ts'

const MS = 100
const LIMIT = 40

/** A draw that was taken, in thousandths, with what was settled since. */
interface Entry {
  readonly draw: Draw
  readonly window: number
  held: number
}

class Model {
  readonly entries: Entry[] = []
  readonly kind: Window['kind']

  constructor(kind: Window['kind']) {
    this.kind = kind
  }

  windowAt(nowMs: number): number {
    return this.kind === 'cycle' ? 0 : Math.floor(nowMs / MS)
  }

  sum(key: string, window: number): number {
    return this.entries.filter(({ draw, window: at }) => draw.key === key && at === window).reduce((total, { held }) => total + held, 0)
  }

  /** What counts, times MS, so that it is a whole number. */
  counted(key: string, nowMs: number): number {
    const window = this.windowAt(nowMs)
    const overlap = this.kind === 'sliding' ? MS - (nowMs % MS) : 0
    return this.sum(key, window) * MS + this.sum(key, window - 1) * overlap
  }

  fits(key: string, cost: number, nowMs: number): boolean {
    return cost === 0 || this.counted(key, nowMs) + cost * MS <= LIMIT * 1000 * MS
  }
}

/** Costs in thousandths of a CU; many are whole, some are more than the limit. */
const costs = fc.oneof(
  fc.integer({ min: 0, max: 25 }).map((cu) => cu * 1000),
  fc.integer({ min: 0, max: 50_000 }),
)
const keys = fc.constantFrom('a', 'b')
const steps = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 3 * MS }) }) },
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('draw' as const),
        together: fc.boolean(),
        calls: fc.array(fc.array(fc.record({ key: keys, cost: costs }), { maxLength: 3 }), { minLength: 1, maxLength: 5 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('refund' as const), which: fc.nat(), amount: costs }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('overdraw' as const), which: fc.nat(), amount: costs }) },
  ),
  { minLength: 1, maxLength: 40 },
)

function windowOf(kind: Window['kind']): Window {
  return kind === 'cycle' ? { kind, id: 'c', endsAt: START + 1e9 } : { kind, ms: MS }
}

/** Runs a frame through the model as the rule says; answers the verdicts and adds what was taken. */
function modelFrame(model: Model, calls: readonly (readonly Draw[])[], together: boolean, nowMs: number): number[] {
  const before = model.entries.length
  const verdicts = calls.map(() => -1)
  for (const [call, draws] of calls.entries()) {
    const atCall = model.entries.length
    for (const [at, draw] of draws.entries()) {
      const cost = Math.round(draw.cost * 1000)
      if (model.fits(draw.key, cost, nowMs)) model.entries.push({ draw, window: model.windowAt(nowMs), held: cost })
      else {
        verdicts[call] = at
        model.entries.length = together ? before : atCall
        break
      }
    }
    if (together && verdicts[call] !== -1) break
  }
  return verdicts
}

type Step = (typeof steps extends fc.Arbitrary<infer All> ? All : never) extends readonly (infer One)[] ? One : never

/** A meter and its model, and a clock for both. */
class Pair {
  readonly clock = { ms: START }
  readonly usage = new UsageBook({ store: UsageStore.inMemory(), now: () => this.clock.ms, onStore: () => undefined })
  readonly meter = new MemoryMeter(() => this.clock.ms, this.usage)
  readonly model: Model
  readonly window: Window

  constructor(kind: Window['kind']) {
    this.model = new Model(kind)
    this.window = windowOf(kind)
  }

  /** Does a step with both; answers what each of them says of it. */
  run(step: Step): { said: unknown; expected: unknown } {
    if (step.do === 'wait') {
      this.clock.ms += step.ms
      return { said: undefined, expected: undefined }
    }
    if (step.do === 'draw') {
      const calls = step.calls.map((draws) => draws.map(({ key, cost }) => want(cost / 1000, LIMIT, this.window, key)))
      return { said: this.meter.draw(calls, step.together), expected: modelFrame(this.model, calls, step.together, this.clock.ms) }
    }
    const entry = this.model.entries[step.which % this.model.entries.length]
    if (entry === undefined) return { said: undefined, expected: undefined }
    if (step.do === 'refund') this.meter.refund(entry.draw, step.amount / 1000)
    else this.meter.overdraw(entry.draw, step.amount / 1000)
    entry.held += step.do === 'refund' ? -Math.min(step.amount, entry.held) : step.amount
    return { said: entry.draw.held, expected: entry.held / 1000 }
  }

  /** What each of them counts under a key now. */
  count(key: string): { said: number; expected: number } {
    const probe = want(0, LIMIT, this.window, key)
    this.meter.draw([[probe]], false)
    return { said: probe.used, expected: this.model.counted(key, this.clock.ms) / MS / 1000 }
  }

  /** Whether so many thousandths are taken now, and what is said of it. */
  take(cost: number): { isTaken: boolean; retryAfterMs: number } {
    const draw = want(cost / 1000, LIMIT, this.window)
    return { isTaken: this.meter.draw([[draw]], false)[0] === -1, retryAfterMs: draw.retryAfterMs }
  }
}

describe.each(['sliding', 'fixed', 'cycle'] as const)('a %s budget', (kind) => {
  test('admits, refunds and forgets exactly as the model does', () => {
    fc.assert(
      fc.property(steps, (script) => {
        const pair = new Pair(kind)
        for (const step of script) {
          const { said, expected } = pair.run(step)
          expect(said).toEqual(expected)
          for (const key of ['a', 'b']) {
            const counted = pair.count(key)
            expect(counted.said).toBeCloseTo(counted.expected, 9)
          }
        }
        pair.usage.close()
      }),
      { numRuns: 300 },
    )
  })

  test('never holds more than the limit in one window', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 30 }), costs), { maxLength: 100 }), (script) => {
        const pair = new Pair(kind)
        const windows = new Map<number, number>()
        for (const [waitMs, cost] of script) {
          pair.clock.ms += waitMs
          const window = pair.model.windowAt(pair.clock.ms)
          if (pair.take(cost).isTaken) windows.set(window, (windows.get(window) ?? 0) + cost)
        }
        for (const taken of windows.values()) expect(taken).toBeLessThanOrEqual(LIMIT * 1000)
        pair.usage.close()
      }),
      { numRuns: 300 },
    )
  })
})

describe.each(['sliding', 'fixed'] as const)('a refused %s draw', (kind) => {
  const before = fc.array(fc.tuple(fc.integer({ min: 0, max: 60 }), costs), { minLength: 5, maxLength: 30 })

  /** Spends, and then tries a cost that has no room. */
  function refused(spending: readonly (readonly [number, number])[], cost: number): { pair: Pair; retryAfterMs: number } {
    const pair = new Pair(kind)
    for (const [waitMs, earlier] of spending) {
      pair.clock.ms += waitMs
      pair.take(earlier)
    }
    const { isTaken, retryAfterMs } = pair.take(cost)
    fc.pre(!isTaken)
    return { pair, retryAfterMs }
  }

  test('is told the first millisecond at which it fits', () => {
    fc.assert(
      fc.property(before, fc.integer({ min: 1, max: LIMIT * 1000 }), (spending, cost) => {
        const { pair, retryAfterMs } = refused(spending, cost)
        pair.clock.ms += retryAfterMs - 1
        expect(pair.take(cost).isTaken).toBe(false)
        pair.clock.ms += 1
        expect(pair.take(cost).isTaken).toBe(true)
        pair.usage.close()
      }),
      { numRuns: 300 },
    )
  })

  test('is told that it never fits when it is above the limit', () => {
    fc.assert(
      fc.property(before, fc.integer({ min: LIMIT * 1000 + 1, max: 1e9 }), (spending, cost) => {
        const { pair, retryAfterMs } = refused(spending, cost)
        expect(retryAfterMs).toBe(Infinity)
        pair.usage.close()
      }),
      { numRuns: 50 },
    )
  })
})
