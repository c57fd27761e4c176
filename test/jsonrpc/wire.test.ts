import { expect, test } from 'vitest'
import { fromWire, jsonWire, toWire } from '../../core/jsonrpc/wire.ts'

test('a wire holds one character per byte', () => {
  expect(toWire('é€😀')).toBe('\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80')
})

test('a text survives the way to the wire and back', () => {
  for (const text of ['', 'eth_call', 'é€😀', '\u2028', '\u0000']) expect(fromWire(toWire(text))).toBe(text)
})

test('a lone surrogate is written as an escape in JSON, and as U+FFFD in plain text', () => {
  expect(jsonWire('\ud800')).toBe('"\\ud800"')
  expect(toWire('\ud800')).toBe('\xef\xbf\xbd')
})
