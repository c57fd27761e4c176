import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compact, hasTwins, mayStandTwice } from '../../core/jsonrpc/source-text.ts'
import { toWire } from '../../core/jsonrpc/wire.ts'

describe('compact', () => {
  test('takes white space away between tokens, and nowhere else', () => {
    expect(compact(' [ 1.0 ,\t{ "a b" : "\\" , [" } ,\r\n1e400 , -0 ] ')).toBe('[1.0,{"a b":"\\" , ["},1e400,-0]')
  })

  test('gives back what has no white space as it is', () => {
    const text = '["0xabc",{"b":1,"a":2}]'
    expect(compact(text)).toBe(text)
  })

  test('never changes what a text means, and makes one text of all its layouts', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.integer({ min: 0, max: 4 }), (value, indent) => {
        const text = compact(toWire(JSON.stringify(value, undefined, indent)))
        expect(text).toBe(toWire(JSON.stringify(value)))
      }),
    )
  })

  test('a string of a million characters is no trouble', () => {
    const long = `["${'\\n x'.repeat(250_000)}", 1]`
    expect(compact(long)).toBe(long.replace('", 1', '",1'))
  })
})

describe('hasTwins', () => {
  test.each([
    '[]',
    '{}',
    '{"a":1,"b":1}',
    '[{"a":1},{"a":1}]',
    '{"a":{"a":{"a":1}},"b":["a","a"]}',
    '{"a":"\\"a\\":1,\\"a\\":2"}',
    '["a","a"]',
    '{"a":1,"A":1}',
  ])('%s has none', (text) => expect(hasTwins(text)).toBe(false))

  test.each([
    '{"a":1,"a":1}',
    '[[{"x":{"a":1,"b":[{"c":1}],"a":2}}]]',
    '{"a":1,"\\u0061":2}',
    '{ "a" : {} , "b" : [] , "a" : 1 }',
    '{"__proto__":1,"__proto__":2}',
    '{"é":1,"\\u00e9":2}',
    '{"":1,"":2}',
  ])('%s has some', (text) => expect(hasTwins(toWire(text))).toBe(true))

  test('what JSON.stringify wrote has none, and has some once a member is written twice', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 }), fc.nat(), (object, at) => {
        const text = JSON.stringify(object)
        expect(hasTwins(toWire(text))).toBe(false)
        const names = Object.keys(object)
        expect(hasTwins(toWire(`${text.slice(0, -1)},${JSON.stringify(names[at % names.length])}:0}`))).toBe(true)
      }),
    )
  })
})

describe('mayStandTwice', () => {
  test('says the same as hasTwins when it is told all names', () => {
    const member = fc.tuple(fc.constantFrom('a', 'b', '\\u0061', '\\"a', 'c'), fc.constantFrom('1', '"a"', '"b"', '["a","a"]', '"\\\\"'))
    fc.assert(
      fc.property(fc.array(member, { maxLength: 4 }), (members) => {
        const text = `[{${members.map(([name, value]) => `"${name}":${value}`).join(',')}}]`
        const [object] = JSON.parse(text) as [object]
        expect(mayStandTwice(text, Object.keys(object))).toBe(hasTwins(text))
      }),
    )
  })
})
