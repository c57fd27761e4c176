import { describe, expect, test } from 'vitest'
import { documentBytes, encodeBatch, encodeError, encodeErrorText, encodeRequest, encodeResult, joinBatch } from '../../core/jsonrpc/encode.ts'
import { toWire } from '../../core/jsonrpc/wire.ts'
import type { Document } from '../../core/jsonrpc/encode.ts'

/** The bytes that a document is on the wire. */
function bytesOf(document: Document): Buffer {
  const pieces = typeof document === 'string' ? [document] : document
  return Buffer.concat(pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece)))
}

describe('towards a node', () => {
  test('a request carries our id and the texts of method and params', () => {
    expect(encodeRequest(7, { methodText: '"eth_call"', paramsText: '[ 1.0 ]' })).toBe('{"jsonrpc":"2.0","id":7,"method":"eth_call","params":[ 1.0 ]}')
  })

  test('no params stay no params', () => {
    expect(encodeRequest(7, { methodText: '"m"', paramsText: undefined })).toBe('{"jsonrpc":"2.0","id":7,"method":"m"}')
  })

  test('a batch is its requests in order', () => {
    expect(encodeBatch(['{}', '[]'])).toBe('[{},[]]')
    expect(encodeBatch(['{}'])).toBe('[{}]')
  })
})

describe('towards a client', () => {
  test('a result is spliced in, its text and the text of the id untouched', () => {
    expect(encodeResult('-0', '{"a": 1e400}')).toBe('{"jsonrpc":"2.0","id":-0,"result":{"a": 1e400}}')
  })

  test('a large result is not copied', () => {
    const result = Buffer.from('"0xff"')
    const document = encodeResult('1', result)
    expect(document).toContain(result)
    expect(bytesOf(document).toString()).toBe('{"jsonrpc":"2.0","id":1,"result":"0xff"}')
  })

  test("a node's error is spliced in", () => {
    expect(encodeErrorText('"x"', '{"code":3,"message":"execution reverted","data":"0x08c379a0"}')).toBe(
      '{"jsonrpc":"2.0","id":"x","error":{"code":3,"message":"execution reverted","data":"0x08c379a0"}}',
    )
  })

  test('an error of ours is JSON whatever its message holds', () => {
    const document = bytesOf(encodeError('null', -32600, 'a "quoted" é\n\ud800 message', { reason: '€' }))
    expect(JSON.parse(document.toString())).toEqual({
      jsonrpc: '2.0',
      id: null,
      error: { code: -32600, message: 'a "quoted" é\n\ud800 message', data: { reason: '€' } },
    })
  })

  test('answers of strings make a batch that is one string', () => {
    expect(joinBatch(['1', '2'])).toBe('[1,2]')
  })

  test.each([[['1', ['2', Buffer.from('3'), '4'], '5']], [[[Buffer.from('1'), '2']]], [['1', [Buffer.from('2')]]]] as Document[][][])(
    'answers that hold bytes make a batch of pieces: %j',
    (answers) => {
      expect(bytesOf(joinBatch(answers)).toString()).toBe(`[${answers.map((answer) => bytesOf(answer).toString()).join(',')}]`)
    },
  )

  test('the size of a document is counted in bytes', () => {
    for (const document of [toWire('"é€"'), ['[', Buffer.from('é'), ']']] as Document[]) expect(documentBytes(document)).toBe(bytesOf(document).length)
  })
})
