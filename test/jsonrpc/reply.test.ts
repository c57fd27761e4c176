import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ReplyReader, decodeReplies } from '../../core/jsonrpc/reply.ts'
import { mutatedBytes } from './arbitraries.ts'
import { toWire } from '../../core/jsonrpc/wire.ts'

function decodeText(text: string) {
  return decodeReplies(Buffer.from(text))
}

/** The one member of a document that is no batch. */
function member(text: string) {
  const replies = decodeText(text)
  expect(replies).toMatchObject({ isBatch: false })
  expect(replies!.members).toHaveLength(1)
  return replies!.members[0]
}

describe('an answer', () => {
  test.each([
    ['with a result', '{"jsonrpc":"2.0","id":1,"result":"0x1"}', { id: '1', result: '"0x1"', error: undefined }],
    ['with the result null', '{"jsonrpc":"2.0","id":1,"result":null}', { result: 'null', error: undefined }],
    ['with an error', '{"jsonrpc":"2.0","id":1,"error":{"code":3,"data":"0x"}}', { result: undefined, error: '{"code":3,"data":"0x"}' }],
    ['with an error and the id null', '{"id":null,"error":{}}', { id: 'null', error: '{}' }],
    ['with a result and the error null, as 1.0 has it', '{"id":1,"result":5,"error":null}', { result: '5', error: undefined }],
    ['with an error and the result null, as 1.0 has it', '{"id":1,"result":null,"error":{"code":1}}', { result: undefined, error: '{"code":1}' }],
    ['with both null', '{"id":1,"result":null,"error":null}', { result: 'null', error: undefined }],
    ['with white space and members of its own', ' {\n"x" : [1] , "result" :  [ 1 , 2 ] ,"id":"a" }\r\n', { id: '"a"', result: '[ 1 , 2 ]' }],
    [
      'with digits and escapes that no number or string type keeps',
      '{"id":1,"result":[1234567890123456789012345678901234567890,-0,1E+2,"\\ud800\\/"]}',
      { result: '[1234567890123456789012345678901234567890,-0,1E+2,"\\ud800\\/"]' },
    ],
    ['outside ASCII', '{"id":1,"result":"é😀"}', { result: toWire('"é😀"') }],
  ])('%s', (_, text, expected) => {
    expect(member(text)).toMatchObject(expected)
  })

  test('with a result over 64 KiB keeps it as bytes', () => {
    const result = `"${'é'.repeat(40_000)}"`
    const reply = member(`{"jsonrpc":"2.0","id":12,"result": ${result} }`)
    expect(reply!.id).toBe('12')
    expect(Buffer.isBuffer(reply!.result)).toBe(true)
    expect((reply!.result as Buffer).toString()).toBe(result)
  })

  test('beside a large one keeps its text', () => {
    const replies = decodeText(`[{"id":1,"result":"${'x'.repeat(70_000)}"},{"id":2,"result":{"a":"é"}}]`)
    expect(replies!.members[1]).toMatchObject({ id: '2', result: toWire('{"a":"é"}') })
  })
})

test('a subscription notification has a method and params', () => {
  expect(member('{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0x1","result":{}}}')).toMatchObject({
    id: undefined,
    method: '"eth_subscription"',
    params: '{"subscription":"0x1","result":{}}',
  })
})

describe('no answer', () => {
  test.each([
    ['neither result nor error', '{"jsonrpc":"2.0","id":1}'],
    ['both result and error', '{"id":1,"result":1,"error":{}}'],
    ['an empty object', '{}'],
    ['an id twice', '{"id":1,"id":2,"result":1}'],
    ['a result twice', '{"id":1,"result":1,"result":1}'],
    ['an error twice', '{"id":1,"error":{},"error":{}}'],
    ['an error that is a string', '{"id":1,"error":"boom"}'],
    ['an error that is a long string', `{"id":1,"error":"${'x'.repeat(70_000)}"}`],
    ['an error that is a number', '{"id":1,"error":5}'],
    ['a case variant of result', '{"id":1,"Result":1}'],
  ])('%s', (_, text) => {
    expect(member(text)).toBeUndefined()
  })

  test('members of a batch that are none stand in their places', () => {
    const replies = decodeText('[{"id":2,"result":2},1,{"id":1},[],{"id":1,"result":1}]')
    expect(replies!.isBatch).toBe(true)
    expect(replies!.members.map((reply) => reply?.id)).toEqual(['2', undefined, undefined, undefined, '1'])
  })

  test('an empty batch has no members', () => {
    expect(decodeText('[]')).toEqual({ isBatch: true, members: [] })
  })
})

describe('a document that is no JSON-RPC', () => {
  test.each([
    ['nothing', ''],
    ['HTML', '<html><body>502 Bad Gateway</body></html>'],
    ['a number', '1'],
    ['a string', '"ok"'],
    ['null', 'null'],
    ['a cut answer', '{"jsonrpc":"2.0","id":1,"result":"0x'],
    ['a cut batch', '[{"id":1,"result":1},'],
    ['two answers', '{"id":1,"result":1}{"id":2,"result":2}'],
    ['a byte order mark', '\ufeff{"id":1,"result":1}'],
    ['a trailing comma', '{"id":1,"result":1,}'],
    ['a missing colon', '{"id" 1}'],
    ['a missing comma', '[{"id":1,"result":1}{"id":2,"result":2}]'],
    ['an unquoted name', '{id:1}'],
    ['100 000 levels', '['.repeat(100_000)],
  ])('%s', (_, text) => {
    expect(decodeText(text)).toBeUndefined()
  })

  test('bytes that are not UTF-8', () => {
    expect(decodeReplies(Buffer.from('{"id":1,"result":"\xff"}', 'latin1'))).toBeUndefined()
  })

  test('an answer cut anywhere', () => {
    const text = '{"jsonrpc":"2.0","id":1,"result":[true,{"a":-1.5e3}]}'
    for (let end = 0; end < text.length; end++) expect(decodeText(text.slice(0, end))).toBeUndefined()
  })
})

describe('a document in pieces', () => {
  /** What a reader makes of these bytes, cut at these positions. */
  function readPieces(bytes: Buffer, cuts: readonly number[]): ReturnType<typeof decodeReplies> {
    const reader = new ReplyReader()
    const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]
    for (let i = 1; i < at.length; i++) reader.push(bytes.subarray(at[i - 1], at[i]))
    return reader.end(bytes)
  }

  const member = fc.oneof(
    fc.constantFrom('"id":1', '"id" : "a"', '"result":{"a":[1,"\\u00e9"]}', '"result":null', '"error":{"code":-1}', '"method":"m"', '"params":[1]'),
    fc.constantFrom('"jsonrpc":"2.0"', '"resultat":1', '"r":1', '"":1', '"i\\u0064":1', '"id":-1.5e3 ', '"other":{"result":1}'),
  )
  const object = fc.array(member, { maxLength: 5 }).map((members) => `{${members.join(' ,')}}`)
  const document = fc.oneof(
    object,
    fc.array(fc.oneof(object, fc.constantFrom('1', '"id"', 'null')), { maxLength: 4 }).map((all) => ` [${all.join(', ')}]\n`),
  )

  test('is read as it is in one piece', () => {
    const bytes = fc.oneof(
      document.map((text) => Buffer.from(text)),
      mutatedBytes,
    )
    fc.assert(
      fc.property(bytes, fc.array(fc.nat(), { maxLength: 10 }), (bytes, cuts) => {
        expect(readPieces(bytes, cuts)).toEqual(decodeReplies(bytes))
      }),
      { numRuns: 3000 },
    )
  })

  test('is read whichever bytes it is cut between', () => {
    const bytes = Buffer.from('[{"jsonrpc":"2.0","id":12,"result":{"é":[true,-1.5e3,"\\"\\u00e9"]}},{"id":null,"error":{"code":-32000}}]')
    const whole = decodeReplies(bytes)
    expect(whole!.members.map((reply) => reply?.id)).toEqual(['12', 'null'])
    for (let cut = 0; cut <= bytes.length; cut++) expect(readPieces(bytes, [cut])).toEqual(whole)
    expect(
      readPieces(
        bytes,
        Array.from(bytes, (_, i) => i),
      ),
    ).toEqual(whole)
  })
})

test('a batch of more answers than any request can have calls is none', () => {
  const batch = (count: number): string => `[${Array.from({ length: count }, () => '{}').join(',')}]`
  expect(decodeText(batch(100_000))!.members).toHaveLength(100_000)
  expect(decodeText(batch(100_001))).toBeUndefined()
})
