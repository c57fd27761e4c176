import { expect, test } from 'vitest'
import { Breaker } from '../../core/meter/breaker.ts'

/** A breaker that is closed, and what it said. */
function closed(): { breaker: Breaker; turns: boolean[] } {
  const turns: boolean[] = []
  return { breaker: new Breaker(false, (isOpen) => turns.push(isOpen)), turns }
}

test('a few failures open nothing', () => {
  const { breaker, turns } = closed()
  for (let at = 0; at < 4; at++) breaker.record(false, at)
  expect(turns).toEqual([])
})

test('opens once when half of the calls of late fail', () => {
  const { breaker, turns } = closed()
  for (let at = 0; at < 10; at++) breaker.record(true, at)
  for (let at = 0; at < 9; at++) breaker.record(false, 100 + at)
  expect(breaker.isOpen).toBe(false)
  breaker.record(false, 110)
  expect(turns).toEqual([true])
})

test('opens when calls fail and none is answered any more, whatever was before', () => {
  const { breaker } = closed()
  for (let at = 0; at < 1000; at++) breaker.record(true, at)
  for (let at = 0; at < 5; at++) breaker.record(false, 1050 + at)
  expect(breaker.isOpen).toBe(false)
  breaker.record(false, 1100)
  expect(breaker.isOpen).toBe(true)
})

test('stays closed while a part of a store fails and the rest answers', () => {
  const { breaker } = closed()
  for (let at = 0; at < 1000; at++) {
    for (let call = 0; call < 6; call++) breaker.record(false, 10 * at + call)
    for (let call = 0; call < 12; call++) breaker.record(true, 10 * at + call)
  }
  expect(breaker.isOpen).toBe(false)
})

test('forgets failures that are five seconds old', () => {
  const { breaker } = closed()
  for (let at = 0; at < 4; at++) breaker.record(false, at)
  breaker.record(true, 5990)
  for (let at = 0; at < 4; at++) breaker.record(false, 6000 + at)
  expect(breaker.isOpen).toBe(false)
})

test('opens when the connection is lost', () => {
  const { breaker, turns } = closed()
  breaker.trip()
  breaker.trip()
  expect(turns).toEqual([true])
})

test('closes after two answered probes in a row', () => {
  const { breaker, turns } = closed()
  breaker.trip()
  for (const isAnswered of [true, false, true]) breaker.record(isAnswered, 0)
  expect(breaker.isOpen).toBe(true)
  breaker.record(true, 0)
  expect(turns).toEqual([true, false])
})

test('begins anew when it has closed', () => {
  const { breaker } = closed()
  for (let at = 0; at < 5; at++) breaker.record(false, at)
  for (let at = 0; at < 2; at++) breaker.record(true, at)
  for (let at = 0; at < 4; at++) breaker.record(false, at)
  expect(breaker.isOpen).toBe(false)
})
