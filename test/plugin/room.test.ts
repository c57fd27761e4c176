/** How what is held in memory is counted. */
import { expect, test } from 'vitest'
import { Room } from '../../core/plugin/room.ts'

test('what is held is counted until it is let go, and no more is admitted than fits', () => {
  const room = new Room({ value: 0 }, 100)
  expect(room.admits('x'.repeat(60), 0)).toBe(true)
  expect(room.admits('x'.repeat(41), 0)).toBe(false)
  expect(room.admits('x'.repeat(40), 0)).toBe(true)
  expect(room.held.value).toBe(100)
  room.count(1)
  expect(room.isOverfull).toBe(true)
  room.letGo('x'.repeat(60))
  room.letGo('x'.repeat(40))
  room.count(-1)
  expect(room.held.value).toBe(0)
})

test('bytes that several hold count once, and with all that they keep from being freed', () => {
  const room = new Room({ value: 0 }, 2000)
  const body = Buffer.from(new ArrayBuffer(1500))
  const [first, second] = [body.subarray(0, 10), body.subarray(10, 20)]
  expect([first, first, second].map((piece) => room.admits(piece, 0))).toEqual([true, true, true])
  expect(room.held.value).toBe(1500)
  expect(room.admits(Buffer.from(new ArrayBuffer(501)), 0)).toBe(false)
  for (const piece of [first, second]) room.letGo(piece)
  expect(room.held.value).toBe(1500)
  room.letGo(first)
  expect(room.held.value).toBe(0)
})

test('a buffer that was taken for more than came counts with what came', () => {
  const room = new Room({ value: 0 }, Infinity)
  const body = Buffer.from(new ArrayBuffer(1500)).subarray(0, 900)
  room.measure(body)
  room.hold(body.subarray(10, 20))
  expect(room.held.value).toBe(900)
})

test('who holds much leaves a quarter to those who hold little', () => {
  const room = new Room({ value: 0 }, 400_000)
  const large = 'x'.repeat(100_000)
  const small = 'x'.repeat(50_000)
  expect([large, large, large, large].map((payload) => room.admits(payload, 0))).toEqual([true, true, true, false])
  expect(room.isTooFullFor(large.length)).toBe(false)
  expect(room.admits(small, 20_000)).toBe(false) // which would come to much
  expect([small, small, small].map((payload) => room.admits(payload, 0))).toEqual([true, true, false])
  expect([large, small].map(({ length }) => room.isTooFullFor(length))).toEqual([true, false])
})
