import { expect, test } from 'vitest'
import { StoreClock } from '../../core/meter/store-clock.ts'

/** A clock that hears a store whose own is `aheadMs` ahead of the monotonic one, over a line of some milliseconds each way. */
function heard(aheadMs: number): { clock: StoreClock; at: { ms: number }; hear: (wayThereMs: number, wayBackMs: number, ahead?: number) => void } {
  const at = { ms: 1000 }
  const clock = new StoreClock(() => at.ms, 5_000_000)
  return {
    clock,
    at,
    hear(wayThereMs, wayBackMs, ahead = aheadMs) {
      const askedAt = at.ms
      at.ms += wayThereMs
      const said = Math.floor(at.ms + ahead)
      at.ms += wayBackMs
      clock.hear(said, askedAt, at.ms)
    },
  }
}

test("is this machine's own until the store has said something", () => {
  expect(heard(0).clock.read()).toMatchObject({ wallMs: 5_000_000, steadyMs: 5_000_000 })
})

test.each([3_600_000, -3_600_000, 0])('follows a store whose clock is %d ms ahead', (off) => {
  const { clock, at, hear } = heard(4_999_000 + off)
  for (const [there, back] of [
    [0.3, 0.2],
    [20, 1],
    [1, 30],
  ] as const) {
    hear(there, back)
    expect(Math.abs(clock.read().wallMs - (at.ms + 4_999_000 + off))).toBeLessThanOrEqual(1.5)
  }
})

test('does not run backwards for an error of a millisecond, and does when the store was set back', () => {
  const { clock, at, hear } = heard(4_999_000)
  hear(0, 0)
  const before = clock.read().wallMs
  hear(0, 0, 4_998_995)
  expect(clock.read().wallMs).toBe(before)
  at.ms += 20
  expect(clock.read().wallMs).toBeGreaterThan(before)
  hear(0, 0, 4_000_000)
  expect(clock.read().wallMs).toBeLessThan(before - 900_000)
})
