import { hash } from 'node:crypto'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { CompactMap } from '#plugin'

/** Texts that are alike: of few characters, the extreme ones among them, and of lengths around those of a word. */
const text = fc.string({ unit: fc.constantFrom('\0', 'a', 'b', '\x7f', '\x80', '\xff'), maxLength: 10 })

test('it finds what a Map finds', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(text, fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })), { maxLength: 200 }), fc.array(text), (entries, others) => {
      const map = new CompactMap()
      const model = new Map<string, number>()
      for (const [key, number] of entries) {
        if (!model.has(key)) model.set(key, number)
        expect(map.numberAt(map.add(key, number))).toBe(model.get(key))
      }
      expect(map.size).toBe(model.size)
      const found = (key: string): readonly [string, number] | undefined => {
        const place = map.find(key)
        return place === undefined ? undefined : [map.textAt(place), map.numberAt(place)]
      }
      for (const key of model.keys()) expect(found(key)).toEqual([key, model.get(key)])
      for (const key of others) expect(found(key)?.[1]).toBe(model.get(key))
    }),
  )
})

/** So many that some have the same hash of 32 bits. */
const MANY = 200_000

test.each<[string, (n: number) => string]>([
  ['digests', (n) => hash('sha256', `key-${n}`, 'latin1')],
  ['digests that begin alike', (n) => `${'x'.repeat(28)}${wordOf(n)}`],
  ['digests that end alike', (n) => `${wordOf(n)}${'x'.repeat(28)}`],
  [
    'digests that differ in the highest bits of their words',
    (n) => Array.from({ length: 8 }, (_, word) => `abc${String.fromCharCode(((n >> (3 * word)) & 7) << 5)}`).join(''),
  ],
  ['texts of all lengths', (n) => `${n}`.padEnd(n % 257, '.').slice(0, 256)],
])('many %s are found, each as itself', (_, textOf) => {
  const map = new CompactMap()
  const texts = new Set(Array.from({ length: MANY }, (_, n) => textOf(n)))
  const places = Array.from(texts, (text, number) => map.add(text, number))
  expect(map.size).toBe(texts.size)
  const isItself = (text: string, number: number): boolean => {
    const place = places[number]!
    return map.find(text) === place && map.add(text, -1) === place && map.numberAt(place) === number && map.textAt(place) === text
  }
  expect([...texts].filter((text, number) => !isItself(text, number))).toEqual([])
  expect(map.find('another')).toBeUndefined()
})

/** A number as four characters. */
function wordOf(n: number): string {
  return String.fromCharCode(n & 255, (n >> 8) & 255, (n >> 16) & 255, 0)
}

test('a text that is too long is not found, and not taken', () => {
  const map = new CompactMap()
  expect(map.find('x'.repeat(257))).toBeUndefined()
  expect(() => map.add('x'.repeat(257), 0)).toThrow(RangeError)
  map.add('x'.repeat(256), 7)
  expect(map.numberAt(map.find('x'.repeat(256))!)).toBe(7)
})
