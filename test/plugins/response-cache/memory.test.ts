import { describe, expect, test } from 'vitest'
import { createMetrics } from '../../../core/observe/metrics.ts'
import { Memory, memoryOf } from '../../../plugins/response-cache/memory.ts'
import type { Entry } from '../../../plugins/response-cache/memory.ts'

const MIB = 1_048_576

const entry = (payload: Entry['payload'], more: Partial<Entry> = {}): Entry => ({
  payload,
  network: 'eth',
  head: undefined,
  block: -1,
  expiresAt: Infinity,
  ...more,
})

function memory(maxBytes = MIB) {
  const metrics = createMetrics()
  const made = new Memory(maxBytes, metrics)
  return { memory: made, metric: async (series: string) => Number((await metrics.text()).split(`\n${series} `)[1]?.split('\n')[0]) }
}

describe('kept answers', () => {
  test('come back as they were, as text or as bytes', () => {
    const { memory: kept } = memory()
    kept.set('text', entry('"\u00e9\u00ff"'))
    kept.set('bytes', entry(Buffer.from('{"a":1}')))
    expect(kept.get('text', undefined, 0)).toBe('"\u00e9\u00ff"')
    expect(Buffer.from(kept.get('bytes', undefined, 0)!).toString()).toBe('{"a":1}')
  })

  test('are copies: what was handed in may change', () => {
    const { memory: kept } = memory()
    const bytes = Buffer.from('[1,2]')
    kept.set('k', entry(bytes.subarray(1, 2)))
    bytes.fill(0)
    expect(Buffer.from(kept.get('k', undefined, 0)!).toString()).toBe('1')
  })

  test('end with their time, and with their head', () => {
    const { memory: kept } = memory()
    kept.set('timed', entry('1', { expiresAt: 100 }))
    kept.set('headed', entry('2', { head: '0xa' }))
    expect(kept.get('timed', undefined, 99)).toBe('1')
    expect(kept.get('timed', undefined, 100)).toBeUndefined()
    expect(kept.get('timed', undefined, 0)).toBeUndefined()
    expect(kept.get('headed', '0xa', 0)).toBe('2')
    expect(kept.get('headed', '0xb', 0)).toBeUndefined()
    expect(kept.get('headed', '0xa', 0)).toBeUndefined()
  })

  test('never take more room than there is, and the least recently used go first', async () => {
    const { memory: kept, metric } = memory()
    const large = '"'.padEnd(200_000, 'x')
    for (const key of ['a', 'b', 'c', 'd']) kept.set(key, entry(large))
    kept.get('a', undefined, 0)
    kept.set('e', entry(large))
    kept.set('f', entry(large))
    expect(['a', 'b', 'c', 'd', 'e', 'f'].filter((key) => kept.get(key, undefined, 0) !== undefined)).toEqual(['a', 'c', 'd', 'e', 'f'])
    expect(await metric('tollgate_cache_bytes')).toBeLessThanOrEqual(MIB)
    expect(await metric('tollgate_cache_dropped_total{why="room"}')).toBe(1)
  })

  test('that are larger than all the room are not kept', async () => {
    const { memory: kept, metric } = memory()
    kept.set('k', entry('x'.repeat(MIB)))
    expect(kept.get('k', undefined, 0)).toBeUndefined()
    expect(await metric('tollgate_cache_entries')).toBe(0)
  })

  test('that are small count with what the memory of them costs', async () => {
    const { memory: kept, metric } = memory()
    for (let i = 0; i < 10_000; i++) kept.set(`k${i}`, entry('1'))
    expect(await metric('tollgate_cache_entries')).toBeLessThan(MIB / 500)
  })

  test('are counted, replaced ones once', async () => {
    const { memory: kept, metric } = memory()
    kept.set('k', entry('12345'))
    kept.set('k', entry('1'))
    kept.set('l', entry('1', { expiresAt: 0 }))
    kept.get('l', undefined, 1)
    expect(await metric('tollgate_cache_entries')).toBe(1)
    expect(await metric('tollgate_cache_bytes')).toBe(502)
  })
})

describe('a replaced block', () => {
  test('takes with it what depends on it, of its network alone', async () => {
    const { memory: kept, metric } = memory()
    const blocks = { constant: -1, old: 9, touched: 10, young: 11, unknown: Infinity }
    for (const [key, block] of Object.entries(blocks)) kept.set(key, entry('1', { block }))
    kept.set('elsewhere', entry('1', { block: 11, network: 'polygon' }))
    kept.turn('eth', 10)
    expect([...Object.keys(blocks), 'elsewhere'].filter((key) => kept.get(key, undefined, 0) !== undefined)).toEqual(['constant', 'old', 'elsewhere'])
    expect([kept.turns('eth'), kept.turns('polygon')]).toEqual([1, 0])
    expect(await metric('tollgate_cache_dropped_total{why="reorg"}')).toBe(3)
    expect(await metric('tollgate_cache_entries')).toBe(3)
  })
})

test('a gateway has one memory of a size', () => {
  const [one, other] = [createMetrics(), createMetrics()]
  expect(memoryOf(one, MIB)).toBe(memoryOf(one, MIB))
  expect(memoryOf(one, MIB)).not.toBe(memoryOf(one, 2 * MIB))
  expect(memoryOf(one, MIB)).not.toBe(memoryOf(other, MIB))
  expect(memoryOf(one, MIB).nextOwner()).not.toBe(memoryOf(one, MIB).nextOwner())
})
