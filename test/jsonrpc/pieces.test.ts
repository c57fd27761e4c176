/** Pieces come together as they came, whatever their sizes, and cost little more than their bytes. */
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Pieces } from '../../core/jsonrpc/pieces.ts'

test('whatever the sizes, and whatever was announced, what is taken is what was pushed, in order', () => {
  const size = fc.oneof(fc.integer({ min: 0, max: 10 }), fc.constantFrom(4095, 4096, 4097, 16_383, 16_384, 16_385, 70_000))
  fc.assert(
    fc.property(
      fc.array(size, { maxLength: 40 }),
      fc.constantFrom(0, 1, 20_000, 70_000),
      fc.constantFrom(undefined, 16_384),
      (sizes, announced, keptLentBytes) => {
        const pieces = new Pieces(announced, keptLentBytes)
        const pushed = sizes.map((length, at) => Buffer.alloc(length, at + 1))
        for (const piece of pushed) {
          const arrived = Buffer.from(piece)
          pieces.push(arrived)
          if (keptLentBytes !== undefined && !(piece.length === announced && piece.length <= keptLentBytes)) arrived.fill(0xff)
        }
        expect(pieces.bytes).toBe(sizes.reduce((sum, length) => sum + length, 0))
        expect(pieces.take().equals(Buffer.concat(pushed))).toBe(true)
        expect(pieces.bytes).toBe(0)
      },
    ),
    { numRuns: 300 },
  )
})

test.each([
  ['nobody announced it', 0, undefined],
  ['it is lent, and all that was announced', 2, 2],
])('a lone piece is not copied: %s', (_, announced, keptLentBytes) => {
  const pieces = new Pieces(announced, keptLentBytes)
  const piece = Buffer.from('{}')
  pieces.push(piece)
  expect(pieces.take()).toBe(piece)
})

test('after it was taken, or dropped, it begins anew', () => {
  const pieces = new Pieces(0)
  for (const text of ['a', 'b', 'c']) pieces.push(Buffer.from(text))
  expect(pieces.take().toString()).toBe('abc')
  for (const text of ['d', 'e']) pieces.push(Buffer.from(text))
  pieces.drop()
  for (const text of ['f', 'g']) pieces.push(Buffer.from(text))
  expect(pieces.take().toString()).toBe('fg')
})

test('a document in crumbs is told from one in pieces, and from a short one', () => {
  const crumbled = (count: number, bytes: number): boolean => {
    const pieces = new Pieces(0)
    for (let at = 0; at < count; at++) pieces.push(Buffer.alloc(bytes))
    return pieces.isCrumbled
  }
  expect([crumbled(4096, 1), crumbled(4097, 1), crumbled(4097, 32), crumbled(20_000, 31)]).toEqual([false, true, false, true])
})
