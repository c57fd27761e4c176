import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { joinLists } from '../../core/jsonrpc/join-lists.ts'
import { toWire } from '../../core/jsonrpc/wire.ts'
import type { Payload } from '../../core/jsonrpc/encode.ts'

const text = (joined: Payload | undefined): string | undefined =>
  joined === undefined || typeof joined === 'string' ? joined : Buffer.from(joined).toString('latin1')

describe('lists are joined', () => {
  test.each([
    [[], '[]'],
    [['[]'], '[]'],
    [['[ ]', '[\n]'], '[]'],
    [['[1]', '[2]'], '[1,2]'],
    [['[]', '[ 1.0 , "\\u0041" ]', '[]', '[[1e400],{"a": -0}]', '[ ]'], '[1.0 , "\\u0041" ,[1e400],{"a": -0}]'],
    [['[1]', Buffer.from('[2]'), Buffer.from('[ ]')], '[1,2]'],
    [[Buffer.from('[]')], '[]'],
  ] as [Payload[], string][])('%j', (lists, joined) => expect(text(joinLists(lists))).toBe(joined))

  test.each([[['[1]', 'null']], [['{}']], [['"[]"']], [['']], [[Buffer.from('1')]]] as [Payload[]][])('%j are not: one is no list', (lists) =>
    expect(joinLists(lists)).toBeUndefined(),
  )

  test('as what their values make when they are put one after the other', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ list: fc.array(fc.jsonValue()), indent: fc.nat({ max: 2 }), isText: fc.boolean() })), (lists) => {
        const texts = lists.map(({ list, indent, isText }) => {
          const wire = toWire(JSON.stringify(list, undefined, indent))
          return isText ? wire : Buffer.from(wire, 'latin1')
        })
        const joined = Buffer.from(text(joinLists(texts))!, 'latin1').toString()
        expect(JSON.stringify(JSON.parse(joined))).toBe(JSON.stringify(lists.flatMap(({ list }) => list)))
      }),
    )
  })
})
