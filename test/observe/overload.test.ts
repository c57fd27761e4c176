/** When new work is refused, and when it is taken again. */
import { expect, test } from 'vitest'
import { createMetrics } from '../../core/observe/metrics.ts'
import { OverloadGuard, UNKNOWN_MACHINE } from '../../core/observe/overload.ts'

const SILENT = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined, isEnabled: () => false }

function guardOver(gauges: { heap?: number; memory?: number; lagMs?: number }) {
  const registry = createMetrics()
  const limits = { maxMemoryShare: 0.9, maxLagMs: 200, maxHeldBytes: undefined }
  const shown = { heap: 0, memory: 0, lagMs: 0, ...gauges }
  const guard = new OverloadGuard(limits, UNKNOWN_MACHINE, registry, SILENT, {
    heapShare: () => shown.heap,
    memoryShare: () => shown.memory,
    lagMs: () => shown.lagMs,
  })
  const look = (times = 1): string | undefined => {
    for (let at = 0; at < times; at++) guard.look()
    return guard.refusal?.why
  }
  return { guard, shown, look, registry }
}

test.each([['heap' as const], ['memory' as const]])('a %s that is nine tenths full is too full, until it is not', (by) => {
  const { shown, look } = guardOver({ [by]: 0.89 })
  expect(look()).toBeUndefined()
  shown[by] = 0.9
  expect(look()).toBe(by)
  shown[by] = 0.5
  expect(look()).toBeUndefined()
})

test('an event loop is late when it is late twice in a row, and on time again at once', () => {
  const { shown, look } = guardOver({ lagMs: 250 })
  expect(look(3)).toBeUndefined()
  expect(look(3)).toBe('event-loop')
  shown.lagMs = 10
  expect(look(3)).toBeUndefined()
  shown.lagMs = 250
  expect(look(3)).toBeUndefined()
})

test('an operator sees that new work is refused, and for want of what', async () => {
  const { look, registry } = guardOver({ heap: 0.95, lagMs: 500 })
  look(9)
  const text = await registry.text()
  expect(text).toContain('tollgate_overloaded{by="heap"} 1')
  expect(text).toContain('tollgate_overloaded{by="event-loop"} 0')
})

test('of a real process memory and event loop are looked at', async () => {
  const limits = { maxMemoryShare: 0.9, maxLagMs: 200, maxHeldBytes: undefined }
  const machine = { rssBytes: () => 950, memoryLimitBytes: 1000, maxOpenFiles: Infinity }
  const guard = new OverloadGuard(limits, machine, createMetrics(), SILENT)
  guard.look()
  expect(guard.refusal).toMatchObject({ name: 'overloaded', why: 'memory', retryAfterMs: 1000 })
  expect(guard.room.maxBytes).toBe(250)
  expect(guard.backlog.maxBytes).toBe(62)
})
