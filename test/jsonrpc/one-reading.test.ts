/** For any bytes: either nothing reaches the node, or what reaches it means the same to every reader, and to us. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decode } from '../../core/jsonrpc/decode.ts'
import { encodeError, encodeRequest, encodeResult, joinBatch } from '../../core/jsonrpc/encode.ts'
import { RpcFault, RpcRequest } from '../../core/jsonrpc/frame.ts'
import { decodeReplies } from '../../core/jsonrpc/reply.ts'
import { fromWire, toWire } from '../../core/jsonrpc/wire.ts'
import { goRead } from '../support/go-json.ts'
import { rustRead, rustValue } from '../support/rust-json.ts'
import { documentText, mutatedBytes, plainRequest } from './arbitraries.ts'
import type { DecodeOptions } from '../../core/jsonrpc/decode.ts'

const strict: DecodeOptions = { strict: true, maxBatch: 100, maxDepth: 64, maxMethodLength: 128, maxIdBytes: 256 }
const lenient: DecodeOptions = { ...strict, strict: false }

type Plain = { jsonrpc: unknown; id?: unknown; method: unknown; params?: unknown }

const requestsOf = (bytes: Uint8Array, options: DecodeOptions) => decode(bytes, options).entries.filter((entry) => entry instanceof RpcRequest)

/** What goes to the node for a request of ours means this request to a Go node, to a Rust node and to JSON.parse. */
function expectOneReading(request: RpcRequest): void {
  const sent = Buffer.from(encodeRequest(7, request), 'latin1')
  const paramsText = request.paramsText === undefined ? undefined : fromWire(request.paramsText)
  expect(goRead(sent)).toEqual([{ id: '7', method: request.method, params: paramsText }])
  expect(rustRead(sent)).toEqual([{ id: '7', method: request.method, params: paramsText }])
  expectOneValue(paramsText)
  const parsed = JSON.parse(sent.toString()) as Plain
  expect(parsed).toMatchObject({ jsonrpc: '2.0', id: 7, method: request.method })
  expect(parsed.params).toEqual(paramsText === undefined ? undefined : JSON.parse(paramsText))
  expect(Object.keys(parsed)).toHaveLength(paramsText === undefined ? 3 : 4)
}

/** A strict reader has the values that JSON.parse has, or none. */
function expectOneValue(paramsText: string | undefined): void {
  if (paramsText === undefined) return
  const value = rustValue(paramsText)
  if ((value as { refused?: boolean } | null)?.refused !== true) expect(value).toEqual(JSON.parse(paramsText))
}

describe('one reading', () => {
  test('the imitation of a Go node reads what such a node reads', () => {
    const read = (text: string) => goRead(Buffer.from(text))
    expect(read('{"method":"eth_call","Method":"debug_traceCall"}')).toMatchObject([{ method: 'debug_traceCall' }])
    expect(read('{"METHOD":"a","paramſ":[1],"ID":5} trailing')).toEqual([{ method: 'a', params: '[1]', id: '5' }])
    expect(read('{"method":"a","method":"b"}')).toMatchObject([{ method: 'b' }])
    expect(read('{"method":"a","method":1}')).toMatchObject([{ method: 'a' }])
    expect(read('{"\\u006dethod":"\\u0061"}')).toMatchObject([{ method: 'a' }])
    expect(read('[{"method":"a"},1,{"method":"b"}]')).toMatchObject([{ method: 'a' }, { method: '' }, { method: 'b' }])
    for (const text of ['', '{', '{"method":}', '\ufeff{}', '['.repeat(20_000)]) expect(read(text)).toBeUndefined()
  })

  test('the imitation of a Rust node reads what such a node reads', () => {
    const read = (text: string) => rustRead(Buffer.from(text))
    const call = '{"jsonrpc":"2.0","method":"a"}'
    expect(read(' {"\\u006dethod":"\\u0061","params":[ 1e400 ],"jsonrpc":"2.0","id":5}\n')).toEqual([{ method: 'a', params: '[ 1e400 ]', id: '5' }])
    expect(read(`[${call},1,{},${call}]`)).toMatchObject([{ method: 'a' }, undefined, undefined, { method: 'a' }])
    for (const bad of [',"Method":"b"', ',"method":"a"', ',"x":1', ',"params":[}', ',"id":01', ',']) expect(read(`${call.slice(0, -1)}${bad}}`)).toBeUndefined()
    for (const text of ['', `${call} x`, `\ufeff${call}`, '{"jsonrpc":"2.0","method":1}', '{"jsonrpc":"2.0","method":"\\ud800"}', '['.repeat(20_000)])
      expect(read(text)).toBeUndefined()
    expect(rustRead(Buffer.from([0x22, 0xc0, 0xaf, 0x22]))).toBeUndefined()
    expect(rustValue('[{"a":1,"a":-0.5},"\\u00e9",null,true]')).toEqual([{ a: -0.5 }, 'é', null, true])
    for (const text of ['[1e400]', '["\\ud800"]', '["\\x"]', `${'['.repeat(128)}${']'.repeat(128)}`]) expect(rustValue(text)).toEqual({ refused: true })
  })

  test('what is sent for any bytes means to every reader the call that was judged', () => {
    let sent = 0
    fc.assert(
      fc.property(mutatedBytes, fc.constantFrom(strict, lenient), (bytes, options) => {
        for (const request of requestsOf(bytes, options)) {
          expectOneReading(request)
          sent++
        }
      }),
      { numRuns: 1500 },
    )
    expect(sent).toBeGreaterThan(100)
  })

  test('a document that is taken whole is read by every reader as we read it', () => {
    let taken = 0
    fc.assert(
      fc.property(mutatedBytes, (bytes) => {
        const { entries } = decode(bytes, strict)
        if (entries.some((entry) => entry instanceof RpcFault)) return
        taken++
        const requests = entries as readonly RpcRequest[]
        const text = (wire: string | undefined) => (wire === undefined ? undefined : fromWire(wire))
        const read = requests.map((request) => ({ id: text(request.id), method: request.method, params: text(request.paramsText) }))
        expect(goRead(bytes)).toEqual(read)
        expect(rustRead(bytes)).toEqual(read)
        const parsed = [JSON.parse(bytes.toString())].flat() as Plain[]
        expect(parsed.map(({ method, params }) => ({ method, params }))).toEqual(
          requests.map(({ method, paramsText }) => ({ method, params: paramsText === undefined ? undefined : JSON.parse(fromWire(paramsText)) })),
        )
      }),
      { numRuns: 1500 },
    )
    expect(taken).toBeGreaterThan(100)
  })

  test('no bytes make a decoder throw', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutatedBytes), (bytes) => {
        expect(decode(bytes, strict).entries.length).toBeGreaterThan(0)
        decode(bytes, lenient)
        decodeReplies(Buffer.from(bytes))
      }),
      { numRuns: 1500 },
    )
  })
})

describe('texts are kept', () => {
  test('of ids and params, character for character, with white space around them', () => {
    const space = fc.constantFrom('', ' ', '\n', ' \t\r\n')
    const id = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 20 }).map((value) => JSON.stringify(value)),
      fc.bigInt().map(String),
      fc.constantFrom('-0', '1e3', '1.50', '"\\u0000\\ud800\\/"', 'null'),
    )
    const params = fc
      .array(fc.oneof(fc.json(), fc.constantFrom('1.0', '-0', '1e400', '{"b":1,"a":2,"b":3}', '"\\u00E9é"', '98765432109876543210987654321')))
      .map((items) => `[${items.join(' ,')}]`)
    fc.assert(
      fc.property(id, params, space, space, (id, params, before, after) => {
        const [request] = requestsOf(Buffer.from(`{"jsonrpc":"2.0","params":${before}${params}${after},"id":${before}${id}${after},"method":"m"}`), strict)
        expect(request).toMatchObject({ id: toWire(id), paramsText: toWire(params) })
      }),
      { numRuns: 250 },
    )
  })

  test("of results and errors, on the way from a node's document to a client's", () => {
    fc.assert(
      fc.property(fc.json(), fc.boolean(), (result, isLarge) => {
        const text = isLarge ? `[${result},"${'x'.repeat(70_000)}"]` : result
        const reply = decodeReplies(Buffer.from(`{"jsonrpc":"2.0", "result": ${text} ,"id":7}`))!.members[0]!
        const document = encodeResult('-0', reply.result!)
        const pieces = typeof document === 'string' ? [document] : document
        const bytes = Buffer.concat(pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece)))
        expect(bytes.equals(Buffer.from(`{"jsonrpc":"2.0","id":-0,"result":${text}}`))).toBe(true)
      }),
      { numRuns: 500 },
    )
  })
})

describe('replies pair with calls', () => {
  test('every call of a batch but a notification has one answer, in order, with its own id text', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(plainRequest, documentText), { minLength: 1, maxLength: 8 }), (texts) => {
        const { entries, isBatch } = decode(Buffer.from(`[${texts.join(',')}]`), strict)
        if (!isBatch) return // a document in it was too deep
        const answers = entries
          .filter((entry) => entry instanceof RpcFault || entry.id !== undefined)
          .map((entry) => (entry instanceof RpcFault ? encodeError(entry.id, -32600, entry.message, {}) : encodeResult(entry.id!, `"${entry.method.length}"`)))
        const replies = decodeReplies(Buffer.from(joinBatch(answers) as string, 'latin1'))!
        const expected = entries.filter((entry) => entry.id !== undefined)
        expect(entries).toHaveLength(texts.length)
        expect(replies.members.map((reply) => reply!.id)).toEqual(expected.map((entry) => entry.id))
        expect(replies.members.map((reply) => reply!.error === undefined)).toEqual(expected.map((entry) => entry instanceof RpcRequest))
      }),
      { numRuns: 250 },
    )
  })

  test('a reply is found for each id of ours, whatever their order', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([1, 2, 3, 4, 5, 6, 7, 8]), (ids) => {
        const replies = decodeReplies(Buffer.from(JSON.stringify(ids.map((id) => ({ jsonrpc: '2.0', id, result: id * 2 })))))!
        expect(replies.members.map((reply) => [reply!.id, reply!.result])).toEqual(ids.map((id) => [String(id), String(id * 2)]))
      }),
      { numRuns: 200 },
    )
  })
})
