import { describe, expect, test } from 'vitest'
import { DECEMBER, FIXED, NOVEMBER, SECOND, START, heldMeter, isTaken, want } from './held-clock.ts'
import type { Window } from '../../core/plugin/budget.ts'

const KINDS: readonly (readonly [string, Window])[] = [
  ['sliding', SECOND],
  ['fixed', FIXED],
  ['cycle', NOVEMBER],
]

describe.each(KINDS)('a %s budget', (_kind, window) => {
  test('of 50 admits exactly 50 of 1 000 draws while the clock is held', async () => {
    const { meter } = heldMeter()
    const tries = await Promise.all(Array.from({ length: 1000 }, async () => isTaken(meter, want(1, 50, window))))
    expect(tries.filter(Boolean)).toHaveLength(50)
    expect(tries.slice(0, 50)).not.toContain(false)
  })

  test('a thousand draws of fractions and their refunds come back to exactly 0', () => {
    const { meter } = heldMeter()
    const draws = Array.from({ length: 1000 }, (_, at) => want(0.1 + (at % 7) / 1000, 1e6, window))
    for (const draw of draws) expect(isTaken(meter, draw)).toBe(true)
    for (const draw of draws) meter.refund(draw, draw.held)
    const last = want(0, 5, window)
    isTaken(meter, last)
    expect(last).toMatchObject({ used: 0, remaining: 5 })
  })

  test('what is drawn and refunded can be drawn again', () => {
    const { meter } = heldMeter()
    const first = want(50, 50, window)
    expect(isTaken(meter, first)).toBe(true)
    expect(isTaken(meter, want(1, 50, window))).toBe(false)
    meter.refund(first, 20)
    expect(first.held).toBe(30)
    expect(isTaken(meter, want(21, 50, window))).toBe(false)
    expect(isTaken(meter, want(20, 50, window))).toBe(true)
  })

  test('a refund returns no more than is held, however often it is asked for', () => {
    const { meter } = heldMeter()
    const [first, second] = [want(30, 50, window), want(20, 50, window)]
    meter.draw([[first], [second]], false)
    meter.refund(first, 1000)
    meter.refund(first, 30)
    meter.refund(first, -5)
    meter.refund(first, NaN)
    expect(first.held).toBe(0)
    const next = want(0, 50, window)
    isTaken(meter, next)
    expect(next.used).toBe(20)
  })

  test('a call that turned out to cost more is recorded beyond the limit, and refunded as what it then held', () => {
    const { meter } = heldMeter()
    const first = want(40, 50, window)
    isTaken(meter, first)
    meter.overdraw(first, 25)
    expect(first.held).toBe(65)
    const next = want(1, 50, window)
    expect(isTaken(meter, next)).toBe(false)
    expect(next).toMatchObject({ used: 65, remaining: 0 })
    meter.refund(first, 65)
    expect(isTaken(meter, want(50, 50, window))).toBe(true)
  })

  test('what costs nothing is served while the budget is spent, even overdrawn', () => {
    const { meter } = heldMeter()
    const first = want(50, 50, window)
    isTaken(meter, first)
    meter.overdraw(first, 10)
    expect(isTaken(meter, want(0, 50, window))).toBe(true)
  })

  test('a cost above the whole limit never fits', () => {
    const { meter } = heldMeter()
    const draw = want(51, 50, window)
    expect(isTaken(meter, draw)).toBe(false)
    expect(draw).toMatchObject({ held: 0, remaining: 50, retryAfterMs: Infinity })
  })

  test.each([NaN, -1, Infinity, -Infinity])('a cost of %d is refused and leaves the count as it is, whatever the limit', (cost) => {
    const { meter } = heldMeter()
    expect(isTaken(meter, want(cost, Infinity, window))).toBe(false)
    const after = want(0, 50, window)
    isTaken(meter, after)
    expect(after.used).toBe(0)
  })

  test('without a limit everything is recorded', () => {
    const { meter } = heldMeter()
    const draw = want(1e9, Infinity, window)
    expect(isTaken(meter, draw)).toBe(true)
    expect(draw).toMatchObject({ used: 1e9, remaining: Infinity })
  })

  test('whole numbers stay exact where doubles begin to lose fractions', () => {
    const { meter } = heldMeter()
    for (let at = 0; at < 3; at++) isTaken(meter, want(1e12 + 1, Infinity, window))
    const last = want(0, Infinity, window)
    isTaken(meter, last)
    expect(last.used).toBe(3e12 + 3)
  })

  test('keys and budgets do not see each other', () => {
    const { meter } = heldMeter()
    expect(isTaken(meter, want(50, 50, window, 'a'))).toBe(true)
    expect(isTaken(meter, want(50, 50, window, 'b'))).toBe(true)
    expect(isTaken(meter, want(50, 50, window, 'a', 'another'))).toBe(true)
    expect(isTaken(meter, want(1, 50, window, 'a'))).toBe(false)
  })

  test('a limit that was lowered below what is used refuses, and says when', () => {
    const { meter, clock } = heldMeter()
    isTaken(meter, want(100, 100, window))
    const draw = want(10, 20, window)
    expect(isTaken(meter, draw)).toBe(false)
    expect(draw.remaining).toBe(0)
    clock.ms += draw.retryAfterMs
    expect(isTaken(meter, want(10, 20, window.kind === 'cycle' ? DECEMBER : window))).toBe(true)
  })
})

describe('a frame', () => {
  test('takes all draws of a call or none', () => {
    const { meter } = heldMeter()
    isTaken(meter, want(95, 100, NOVEMBER))
    const [seconds, month, calls] = [want(10, 50), want(10, 100, NOVEMBER), want(1, 5, FIXED)]
    expect(meter.draw([[seconds, month, calls]], false)).toEqual([1])
    expect([seconds.held, month.held, calls.held]).toEqual([0, 0, 0])
    expect([seconds.used, month.used, calls.used]).toEqual([0, 95, 0])
    expect([seconds.remaining, month.remaining, calls.remaining]).toEqual([50, 5, 5])
  })

  test('is served in order: a call that does not fit leaves room for a cheaper one behind it', () => {
    const { meter } = heldMeter()
    const calls = [30, 30, 15, 10, 5].map((cost) => [want(cost, 50)])
    expect(meter.draw(calls, false)).toEqual([-1, 0, -1, 0, -1])
    expect(calls.map(([draw]) => draw!.held)).toEqual([30, 0, 15, 0, 5])
  })

  test('tells every call what is left after the whole frame, and a refused one how long that will take', () => {
    const { meter } = heldMeter()
    const calls = [30, 30, 15].map((cost) => [want(cost, 50)])
    meter.draw(calls, false)
    expect(calls.map(([draw]) => draw!.remaining)).toEqual([5, 5, 5])
    expect(calls.map(([draw]) => draw!.retryAfterMs)).toEqual([0, 1556, 0]) // 45 spent; in the next window 20 of them are left after 5/9
  })

  test('that stands or falls together takes nothing when one call does not fit', () => {
    const { meter } = heldMeter()
    const calls = [30, 15, 10, 1].map((cost) => [want(cost, 50), want(cost, 1000, NOVEMBER)])
    expect(meter.draw(calls, true)).toEqual([-1, -1, 0, -1])
    expect(calls.flat().map((draw) => draw.held)).toEqual(Array(8).fill(0))
    expect(calls.flat().map((draw) => draw.used)).toEqual(Array(8).fill(0))
    expect(isTaken(meter, want(50, 50))).toBe(true)
  })

  test('that stands or falls together and costs more than the whole limit never fits', () => {
    const { meter } = heldMeter()
    const calls = [30, 30].map((cost) => [want(cost, 50)])
    meter.draw(calls, true)
    expect(calls[1]![0]!.retryAfterMs).toBe(Infinity)
  })

  test('a call may draw twice on one budget', () => {
    const { meter } = heldMeter()
    expect(meter.draw([[want(30, 50), want(30, 50)]], false)).toEqual([1])
    expect(meter.draw([[want(30, 50), want(20, 50)]], false)).toEqual([-1])
    expect(isTaken(meter, want(1, 50))).toBe(false)
  })

  test('of no calls, or of calls without draws, is nothing', () => {
    const { meter } = heldMeter()
    expect(meter.draw([], false)).toEqual([])
    expect(meter.draw([[], [want(1, 5)], []], true)).toEqual([-1, -1, -1])
  })
})

describe('a sliding window', () => {
  test('weighs what the window before took by how much of it still overlaps', () => {
    const { meter, clock } = heldMeter()
    isTaken(meter, want(100, 100))
    for (const [ms, used] of [
      [999, 100],
      [1000, 100],
      [1250, 75],
      [1500, 50],
      [1999, 0.1],
      [2000, 0],
    ] as const) {
      clock.ms = START + ms
      const probe = want(0, 100)
      isTaken(meter, probe)
      expect(probe.used).toBeCloseTo(used, 9)
    }
  })

  test('gives steady traffic exactly its limit', () => {
    const { meter, clock } = heldMeter()
    let served = 0
    for (let tick = 0; tick < 10_000; tick++, clock.ms++) if (isTaken(meter, want(1, 100))) served++
    expect(served).toBeGreaterThanOrEqual(1000 - 100)
    expect(served).toBeLessThanOrEqual(1000)
  })

  test('a refund goes to the window it was drawn from', () => {
    const { meter, clock } = heldMeter()
    const early = want(80, 100)
    isTaken(meter, early)
    clock.ms += 1000
    isTaken(meter, want(20, 100))
    meter.refund(early, 80)
    const probe = want(0, 100)
    isTaken(meter, probe)
    expect(probe.used).toBe(20)
  })

  test('a refund to a window that has passed changes nothing', () => {
    const { meter, clock } = heldMeter()
    const early = want(80, 100)
    isTaken(meter, early)
    clock.ms += 2000
    isTaken(meter, want(60, 100))
    meter.refund(early, 80)
    meter.overdraw(early, 80)
    const probe = want(0, 100)
    isTaken(meter, probe)
    expect(probe.used).toBe(60)
  })

  test('is forgotten when what it says of itself has passed', () => {
    const { meter, clock } = heldMeter()
    clock.ms += 300
    const draw = want(100, 100)
    isTaken(meter, draw)
    expect(draw.resetMs).toBe(1700)
    clock.ms += 1699
    expect(isTaken(meter, want(100, 100))).toBe(false)
    clock.ms += 1
    expect(isTaken(meter, want(100, 100))).toBe(true)
  })

  test('windows of different lengths of one budget are counted apart', () => {
    const { meter } = heldMeter()
    const minute: Window = { kind: 'sliding', ms: 60_000 }
    expect(isTaken(meter, want(50, 50))).toBe(true)
    expect(isTaken(meter, want(50, 50, minute))).toBe(true)
    expect(isTaken(meter, want(1, 50, minute))).toBe(false)
  })
})

describe('a clock that is set', () => {
  test.each([1, 500, 1000, 3_600_000, 86_400_000 * 400])('back by %d ms hands nothing out again and locks nobody out', (back) => {
    const { meter, clock } = heldMeter()
    clock.ms += 200
    for (const window of [SECOND, FIXED]) isTaken(meter, want(50, 50, window))
    clock.ms -= back
    for (const window of [SECOND, FIXED]) expect(isTaken(meter, want(1, 50, window))).toBe(false)
    clock.ms += 800
    expect(isTaken(meter, want(50, 50, FIXED))).toBe(true)
    clock.ms += 1000
    expect(isTaken(meter, want(50, 50))).toBe(true)
  })

  test('forwards goes on with the windows of then, and back again too', () => {
    const { meter, clock } = heldMeter()
    isTaken(meter, want(50, 50))
    clock.ms += 3_600_000
    expect(isTaken(meter, want(50, 50))).toBe(true)
    clock.ms -= 3_600_000
    expect(isTaken(meter, want(1, 50))).toBe(false)
    clock.ms += 2000
    expect(isTaken(meter, want(50, 50))).toBe(true)
  })

  test('back to a cycle that ended finds what it used', () => {
    const { meter, clock, usage } = heldMeter()
    isTaken(meter, want(50, 50, NOVEMBER))
    clock.ms = Date.UTC(2026, 11, 1)
    expect(isTaken(meter, want(50, 50, DECEMBER))).toBe(true)
    usage.flush()
    clock.ms = START
    expect(isTaken(meter, want(1, 50, NOVEMBER))).toBe(false)
  })
})

describe('memory', () => {
  test('keys that came once are gone when their window has passed', () => {
    const { meter, clock } = heldMeter()
    for (let at = 0; at < 100_000; at++) {
      if (at % 10 === 0) clock.ms++
      isTaken(meter, want(1, 5, SECOND, `address ${at}`))
    }
    expect(meter.keys).toBeLessThanOrEqual(20_000)
    clock.ms += 2000
    meter.forget()
    expect(meter.keys).toBe(0)
  })

  test('a flood of keys within one window is bounded, and the keys in use outlive it', () => {
    const { meter } = heldMeter(1000)
    for (let at = 0; at < 10_000; at++) {
      isTaken(meter, want(1, 5, SECOND, `address ${at}`))
      expect(isTaken(meter, want(1, 5, SECOND, 'in use'))).toBe(at < 5)
    }
    expect(meter.keys).toBeLessThanOrEqual(1000)
  })
})
