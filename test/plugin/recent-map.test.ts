import { describe, expect, test } from 'vitest'
import { RecentMap } from '#plugin'

describe('a map that forgets', () => {
  test('keeps a key through the period after its last use, and no longer', () => {
    const map = new RecentMap<number>(1000, 100)
    map.set('a', 1, 1999)
    expect(map.get('a', 2999)).toBe(1)
    expect(map.get('a', 3999)).toBe(1)
    expect(map.get('a', 5000)).toBe(undefined)
  })

  test('peeking is no use', () => {
    const map = new RecentMap<number>(1000, 100)
    map.set('a', 1, 0)
    map.forget(1000)
    expect(map.peek('a')).toBe(1)
    map.forget(2000)
    expect(map.peek('a')).toBe(undefined)
  })

  test('holds at most so many keys and lets go of the least recently used', () => {
    const map = new RecentMap<number>(1000, 10)
    for (let key = 0; key < 100; key++) map.set(`key ${key}`, key, 0)
    expect(map.size).toBeLessThanOrEqual(10)
    expect(map.get('key 99', 0)).toBe(99)
    expect(map.get('key 80', 0)).toBe(undefined)
  })

  test('takes any string as a key', () => {
    const map = new RecentMap<string>(1000, 100)
    for (const key of ['', '\u0000', '__proto__', '日本', 'x'.repeat(1000)]) {
      map.set(key, `of ${key}`, 0)
      expect(map.get(key, 0)).toBe(`of ${key}`)
    }
  })

  test('a clock that goes back forgets nothing', () => {
    const map = new RecentMap<number>(1000, 100)
    map.set('a', 1, 10_000)
    expect(map.get('a', 500)).toBe(1)
    expect(map.get('a', 11_999)).toBe(1)
  })
})
