import { describe, expect, test } from 'vitest'
import { decode } from '../../core/jsonrpc/decode.ts'
import { RpcFault, RpcRequest, parseParams } from '../../core/jsonrpc/frame.ts'
import { fromWire, toWire } from '../../core/jsonrpc/wire.ts'
import type { DecodeOptions } from '../../core/jsonrpc/decode.ts'

const options: DecodeOptions = { strict: true, maxBatch: 100, maxDepth: 64, maxMethodLength: 128, maxIdBytes: 256 }

function decodeText(text: string, changed: Partial<DecodeOptions> = {}) {
  return decode(Buffer.from(text), { ...options, ...changed })
}

/** The one entry of a document that is expected to be no batch. */
function only(text: string, changed: Partial<DecodeOptions> = {}): RpcRequest | RpcFault {
  const frame = decodeText(text, changed)
  expect(frame.isBatch).toBe(false)
  expect(frame.entries).toHaveLength(1)
  return frame.entries[0]!
}

function fault(text: string, changed: Partial<DecodeOptions> = {}): RpcFault {
  const entry = only(text, changed)
  expect(entry).toBeInstanceOf(RpcFault)
  return entry as RpcFault
}

function request(text: string, changed: Partial<DecodeOptions> = {}): RpcRequest {
  const entry = only(text, changed)
  expect(entry).toBeInstanceOf(RpcRequest)
  return entry as RpcRequest
}

describe('a request that every reader reads alike is accepted', () => {
  const accepted: readonly (readonly [why: string, text: string, expected: Partial<RpcRequest>])[] = [
    [
      'all four members',
      '{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{}]}',
      { id: '1', method: 'eth_call', methodText: '"eth_call"', paramsText: '[{}]' },
    ],
    ['in any order', '{"params":{"a":1},"method":"m","id":"x","jsonrpc":"2.0"}', { id: '"x"', method: 'm', paramsText: '{"a":1}' }],
    ['with white space anywhere', ' \t\r\n{ "jsonrpc" : "2.0" ,\n"id" : 7 , "method" : "m" } \n', { id: '7', method: 'm', paramsText: undefined }],
    ['without params', '{"jsonrpc":"2.0","id":1,"method":"m"}', { paramsText: undefined }],
    ['without an id, as a notification', '{"jsonrpc":"2.0","method":"m"}', { id: undefined }],
    ['with the id null, which is no notification', '{"jsonrpc":"2.0","id":null,"method":"m"}', { id: 'null' }],
    ['with a method outside ASCII', '{"jsonrpc":"2.0","id":1,"method":"é€😀"}', { method: 'é€😀', methodText: toWire('"é€😀"') }],
    ['with a method written in escapes, which is rewritten plainly', '{"jsonrpc":"2.0","id":1,"method":"\\u0065th\\u005fcall"}', { methodText: '"eth_call"' }],
    ['with empty params', '{"jsonrpc":"2.0","id":1,"method":"m","params":[ ]}', { paramsText: '[ ]' }],
  ]
  test.each(accepted)('%s', (_, text, expected) => {
    expect(request(text)).toMatchObject(expected)
  })
})

describe('ids keep their text', () => {
  test.each(['0', '-0', '1e3', '1.5', '1E+2', '123456789012345678901234567890', '""', '"a\\u0000\\ud800b"', toWire('"é"'), 'null'])('%s', (id) => {
    expect(request(fromWire(`{"jsonrpc":"2.0","id":${id},"method":"m"}`)).id).toBe(id)
  })
})

describe('params keep their text', () => {
  test.each([
    '[ 1.0,1e3 , -0 ]',
    '{"b":1,"a":2,"a":3}',
    '[1234567890123456789012345678901234567890]',
    '["\\ud800","\\/","\\u0041"]',
    '["é😀"]',
    '[[[[]]],{"":{}}]',
    '{"__proto__":{"method":"x"}}',
  ])('%s', (params) => {
    const decoded = request(`{"jsonrpc":"2.0","id":1,"method":"m","params": ${params} }`)
    expect(fromWire(decoded.paramsText!)).toBe(params)
    expect(parseParams(decoded)).toEqual(JSON.parse(params))
  })

  test('no params are no value', () => {
    expect(parseParams(request('{"jsonrpc":"2.0","id":1,"method":"m"}'))).toBeUndefined()
  })
})

describe('a document that is no frame is one fault without an id', () => {
  const request = '{"jsonrpc":"2.0","id":1,"method":"m"}'
  const refused: readonly (readonly [what: string, bytes: Uint8Array, name: string, why: string])[] = [
    ['an empty body', Buffer.from(''), 'parseError', 'empty'],
    ['white space', Buffer.from(' \n'), 'parseError', 'not-json'],
    ['cut JSON', Buffer.from(request.slice(0, -1)), 'parseError', 'not-json'],
    ['JSON with a comment', Buffer.from(`/**/${request}`), 'parseError', 'not-json'],
    ['a second document', Buffer.from(request + request), 'parseError', 'trailing-bytes'],
    ['a second document on a new line', Buffer.from(`${request}\n${request}`), 'parseError', 'trailing-bytes'],
    ['trailing text', Buffer.from(`${request}x`), 'parseError', 'trailing-bytes'],
    ['a trailing NUL', Buffer.from(`${request}\0`), 'parseError', 'trailing-bytes'],
    ['a byte order mark', Buffer.from(`\ufeff${request}`), 'parseError', 'not-json'],
    ['UTF-16', Buffer.from(request, 'utf16le'), 'parseError', 'not-json'],
    ['UTF-16 with a byte order mark', Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(request, 'utf16le')]), 'parseError', 'not-utf8'],
    ['an overlong slash', Buffer.from(`{"jsonrpc":"2.0","id":1,"method":"\xc0\xaf"}`, 'latin1'), 'parseError', 'not-utf8'],
    ['an encoded surrogate', Buffer.from(`{"jsonrpc":"2.0","id":1,"method":"\xed\xa0\x80"}`, 'latin1'), 'parseError', 'not-utf8'],
    ['a cut character', Buffer.from(`{"jsonrpc":"2.0","id":1,"method":"\xe2\x82"}`, 'latin1'), 'parseError', 'not-utf8'],
    ['an empty batch', Buffer.from('[ ]'), 'invalidRequest', 'empty-batch'],
    ['a number', Buffer.from('1'), 'invalidRequest', 'not-an-object'],
    ['a string', Buffer.from('"eth_call"'), 'invalidRequest', 'not-an-object'],
    ['null', Buffer.from('null'), 'invalidRequest', 'not-an-object'],
    ['an empty object', Buffer.from('{}'), 'invalidRequest', 'bad-version'],
  ]
  test.each(refused)('%s', (_, bytes, name, why) => {
    expect(decode(bytes, options)).toMatchObject({ isBatch: false, entries: [{ id: 'null', name, why }] })
  })
})

describe('a request that readers could read differently is refused', () => {
  const refused: readonly (readonly [what: string, text: string, why: string, id: string])[] = [
    ['a case variant of a member', '{"jsonrpc":"2.0","id":1,"method":"eth_call","Method":"debug_traceCall"}', 'unknown-member', '1'],
    ['only a case variant of a member', '{"jsonrpc":"2.0","id":1,"METHOD":"eth_call"}', 'unknown-member', '1'],
    ['a name that folds to params (U+017F)', '{"jsonrpc":"2.0","id":1,"method":"m","paramſ":[]}', 'unknown-member', '1'],
    ['a method that stands twice', '{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}', 'duplicate-member', '1'],
    ['params that stand twice, alike', '{"jsonrpc":"2.0","id":1,"method":"a","params":[],"params":[]}', 'duplicate-member', '1'],
    ['an id that stands twice', '{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}', 'duplicate-member', 'null'],
    ['a version that stands twice', '{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"a"}', 'duplicate-member', '1'],
    ['an escaped member name', '{"jsonrpc":"2.0","id":1,"\\u006dethod":"eth_call"}', 'escaped-member', '1'],
    ['an escaped twin of a member', '{"jsonrpc":"2.0","id":1,"method":"eth_call","\\u006dethod":"debug_traceCall"}', 'escaped-member', '1'],
    ['an escaped id', '{"jsonrpc":"2.0","\\u0069d":1,"method":"m"}', 'escaped-member', 'null'],
    ['an escaped twin of the id', '{"jsonrpc":"2.0","id":1,"i\\u0064":2,"method":"m"}', 'escaped-member', 'null'],
    ['an unknown member', '{"jsonrpc":"2.0","id":1,"method":"m","x":0}', 'unknown-member', '1'],
    ['__proto__', '{"jsonrpc":"2.0","id":1,"method":"m","__proto__":{"method":"x"}}', 'unknown-member', '1'],
    ['an empty member name', '{"jsonrpc":"2.0","id":1,"method":"m","":0}', 'unknown-member', '1'],
    ['a member that only an answer has', '{"jsonrpc":"2.0","id":1,"result":1}', 'unknown-member', '1'],
    ['no version', '{"id":1,"method":"m"}', 'bad-version', '1'],
    ['another version', '{"jsonrpc":"1.0","id":1,"method":"m"}', 'bad-version', '1'],
    ['a version that is a number', '{"jsonrpc":2.0,"id":1,"method":"m"}', 'bad-version', '1'],
    ['an escaped version', '{"jsonrpc":"\\u0032.0","id":1,"method":"m"}', 'bad-version', '1'],
    ['no method', '{"jsonrpc":"2.0","id":1}', 'bad-method', '1'],
    ['an empty method', '{"jsonrpc":"2.0","id":1,"method":""}', 'bad-method', '1'],
    ['a method that is a number', '{"jsonrpc":"2.0","id":1,"method":1}', 'bad-method', '1'],
    ['a method that is an array', '{"jsonrpc":"2.0","id":1,"method":["eth_call"]}', 'bad-method', '1'],
    ['a method that is null', '{"jsonrpc":"2.0","id":1,"method":null}', 'bad-method', '1'],
    ['a method with half a surrogate pair', '{"jsonrpc":"2.0","id":1,"method":"eth_\\ud800"}', 'bad-method', '1'],
    ['params that are a string', '{"jsonrpc":"2.0","id":1,"method":"m","params":"x"}', 'bad-params', '1'],
    ['params that are null', '{"jsonrpc":"2.0","id":1,"method":"m","params":null}', 'bad-params', '1'],
    ['params that are a number', '{"jsonrpc":"2.0","id":1,"method":"m","params":0}', 'bad-params', '1'],
    ['an id that is an object', '{"jsonrpc":"2.0","id":{},"method":"m"}', 'bad-id', 'null'],
    ['an id that is an array', '{"jsonrpc":"2.0","id":[1],"method":"m"}', 'bad-id', 'null'],
    ['an id that is true', '{"jsonrpc":"2.0","id":true,"method":"m"}', 'bad-id', 'null'],
    ['an id that is false', '{"jsonrpc":"2.0","id":false,"method":"m"}', 'bad-id', 'null'],
  ]
  test.each(refused)('%s', (_, text, why, id) => {
    expect(fault(text)).toMatchObject({ name: 'invalidRequest', why, id })
  })

  test('an unknown member is named in the message, shortened', () => {
    expect(fault(`{"jsonrpc":"2.0","id":1,"method":"m","${'x'.repeat(100)}":0}`).message).toContain(`"${'x'.repeat(32)}…"`)
  })
})

describe('with strict: false', () => {
  test.each([
    ['unknown members are dropped', '{"jsonrpc":"2.0","id":1,"method":"m","x":{"method":"y"}}'],
    ['case variants are dropped like any unknown member', '{"jsonrpc":"2.0","id":1,"Method":"debug_traceCall","method":"m","ID":2}'],
  ])('%s', (_, text) => {
    expect(request(text, { strict: false })).toMatchObject({ id: '1', method: 'm', paramsText: undefined })
  })

  test.each([
    ['a duplicate is refused all the same', '{"jsonrpc":"2.0","id":1,"method":"m","method":"n"}', 'duplicate-member'],
    ['an escaped member name is refused all the same', '{"jsonrpc":"2.0","id":1,"m\\u0065thod":"m"}', 'escaped-member'],
    ['an escaped twin is refused all the same', '{"jsonrpc":"2.0","id":1,"method":"m","m\\u0065thod":"n"}', 'escaped-member'],
  ])('%s', (_, text, why) => {
    expect(fault(text, { strict: false })).toMatchObject({ why, id: '1' })
  })
})

describe('a batch', () => {
  test('keeps the order of its entries, bad ones in their places', () => {
    const frame = decodeText(
      '[ {"jsonrpc":"2.0","id":1,"method":"a"} , 1, {"jsonrpc":"2.0","method":"b"},[],{"foo":"boo"}, {"jsonrpc":"2.0","id":1,"method":"c"}]',
    )
    expect(frame.isBatch).toBe(true)
    expect(frame.entries.map((entry) => (entry instanceof RpcRequest ? entry.method : entry.why))).toEqual([
      'a',
      'not-an-object',
      'b',
      'not-an-object',
      'unknown-member',
      'c',
    ])
  })

  test('of one is still a batch', () => {
    expect(decodeText('[{"jsonrpc":"2.0","id":1,"method":"a"}]').isBatch).toBe(true)
  })

  test('that is cut anywhere is a single parse error', () => {
    const text = '[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","id":2,"method":"b"}]'
    for (let end = 0; end < text.length; end++) expect(fault(text.slice(0, end)).name).toBe('parseError')
  })
})

describe('limits', () => {
  const call = (id: number) => `{"jsonrpc":"2.0","id":${id},"method":"m"}`
  const batch = (calls: number) => `[${Array.from({ length: calls }, (_, i) => call(i)).join(',')}]`

  test('a batch of maxBatch calls is taken, one more is refused as a whole', () => {
    expect(decodeText(batch(100)).entries).toHaveLength(100)
    expect(fault(batch(101))).toMatchObject({ name: 'invalidRequest', why: 'batch-too-large', id: 'null' })
  })

  test('maxDepth counts the containers that are open at once, the request object among them', () => {
    const nested = (depth: number) => `{"jsonrpc":"2.0","id":1,"method":"m","params":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`
    expect(request(nested(64)).paramsText).toBe('['.repeat(63) + ']'.repeat(63))
    expect(fault(nested(65))).toMatchObject({ name: 'invalidRequest', why: 'too-deep', id: 'null' })
  })

  test('a method of maxMethodLength characters is taken, one more is refused', () => {
    const named = (length: number) => `{"jsonrpc":"2.0","id":1,"method":"${'é'.repeat(length)}"}`
    expect(request(named(128)).method).toHaveLength(128)
    expect(fault(named(129))).toMatchObject({ why: 'method-too-long', id: '1' })
  })

  test('an id of maxIdBytes is taken, one more is refused and not sent back', () => {
    const identified = (bytes: number) => `{"jsonrpc":"2.0","id":${'9'.repeat(bytes)},"method":"m"}`
    expect(request(identified(256)).id).toHaveLength(256)
    expect(fault(identified(257))).toMatchObject({ why: 'id-too-long', id: 'null' })
  })

  test.each([
    ['100 000 levels', '['.repeat(100_000)],
    ['100 000 objects in each other', '{"a":'.repeat(100_000)],
    ['100 000 levels in params', `{"jsonrpc":"2.0","id":1,"method":"m","params":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
  ])('%s are refused without recursion', (_, text) => {
    expect(fault(text).why).toBe('too-deep')
  })

  test('32 members are judged, one more spoils the document', () => {
    const extra = (count: number) => `{${Array.from({ length: count }, (_, i) => `"x${i}":0,`).join('')}"jsonrpc":"2.0","id":1,"method":"m"}`
    expect(request(extra(29), { strict: false }).method).toBe('m')
    expect(fault(extra(29))).toMatchObject({ why: 'unknown-member', id: '1' })
    expect(fault(extra(30), { strict: false })).toMatchObject({ name: 'invalidRequest', why: 'too-many-members', id: 'null' })
    expect(fault(extra(100_000)).why).toBe('too-many-members')
  })

  test('100 000 values are taken, in all calls of a batch together, one more spoils the document', () => {
    const call = (values: number) => `{"jsonrpc":"2.0","id":1,"method":"m","params":[${'0,'.repeat(values - 1)}0]}`
    const OTHERS = 4 // the three other members, and the list itself
    expect(request(call(100_000 - OTHERS)).method).toBe('m')
    expect(fault(call(100_001 - OTHERS))).toMatchObject({ name: 'invalidRequest', why: 'too-many-values', id: 'null' })
    const batch = (last: number) => `[${Array.from({ length: 9 }, () => call(10_000 - OTHERS)).join(',')},${call(last - OTHERS)}]`
    expect(decodeText(batch(10_000)).entries).toHaveLength(10)
    expect(fault(batch(10_001)).why).toBe('too-many-values')
    expect(fault(`[${call(50_000)},${'[],'.repeat(60_000)}0]`, { maxBatch: 100_000 }).why).toBe('too-many-values')
  })
})
