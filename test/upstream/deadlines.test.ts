/** Whatever comes and goes meanwhile: what is late hears of it, once, and what is removed never does. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Deadlines } from '../../core/upstream/deadlines.ts'
import type { Dated } from '../../core/upstream/deadlines.ts'

let nowMs = 0
let deadlines: Deadlines
beforeEach(() => {
  nowMs = 0
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  deadlines = new Deadlines(() => nowMs)
})
afterEach(() => {
  vi.useRealTimers()
})

class Item implements Dated {
  place = -1
  looks = 0
  lateAt: number | undefined
  readonly dueMs: number
  /** Is done when it is late. */
  readonly ends: Item[] = [this]

  constructor(dueMs: number) {
    this.dueMs = dueMs
    deadlines.add(this)
  }

  checkTime(atMs: number): void {
    this.looks++
    if (atMs < this.dueMs) return
    this.lateAt = atMs
    for (const item of this.ends) deadlines.remove(item)
  }
}

function pass(ms: number): void {
  for (const until = nowMs + ms; nowMs < until;) {
    nowMs += 10
    vi.advanceTimersByTime(10)
  }
}

test('each hears of its own time, and within 20 ms', () => {
  const items = [50, 300, 10, 1000, 50, 170].map((dueMs) => new Item(dueMs))
  pass(1100)
  for (const { lateAt, dueMs } of items) {
    expect(lateAt).toBeGreaterThanOrEqual(dueMs)
    expect(lateAt).toBeLessThanOrEqual(dueMs + 20)
  }
})

test('what is removed hears nothing more, and all others do', () => {
  const items = Array.from({ length: 20 }, () => new Item(100))
  for (const at of [19, 0, 7, 8]) deadlines.remove(items[at]!)
  pass(200)
  expect(items.flatMap(({ lateAt }, at) => (lateAt === undefined ? [at] : []))).toEqual([0, 7, 8, 19])
})

test.each([
  ['those after it', [2, 3, 4]],
  ['those before it', [0, 1]],
  ['all others', [0, 1, 3, 4]],
])('one that is late may end %s', (_, ended) => {
  const items = [900, 900, 100, 900, 900].map((dueMs) => new Item(dueMs))
  items[2]!.ends.push(...ended.filter((at) => at !== 2).map((at) => items[at]!))
  pass(1000)
  expect(items.flatMap(({ lateAt }, at) => (lateAt === undefined ? [at] : []))).toEqual(ended.filter((at) => at !== 2))
  expect(items[2]!.lateAt).toBeLessThan(200)
})

test('nothing runs while there is nothing, and all does again afterwards', () => {
  const item = new Item(10)
  pass(100)
  expect(item.lateAt).toBeDefined()
  expect(vi.getTimerCount()).toBe(0)
  const again = new Item(150)
  pass(100)
  expect(again.lateAt).toBeDefined()
})
