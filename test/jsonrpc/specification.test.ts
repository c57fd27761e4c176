import { expect, test } from 'vitest'
import { decode } from '../../core/jsonrpc/decode.ts'
import { encodeError, encodeResult, joinBatch } from '../../core/jsonrpc/encode.ts'
import { errors } from '../../core/jsonrpc/errors.ts'
import { RpcFault, parseParams } from '../../core/jsonrpc/frame.ts'
import { jsonWire } from '../../core/jsonrpc/wire.ts'

/** The methods of the specification's examples. */
const methods: Readonly<Record<string, (params: never) => unknown>> = {
  subtract: (params: [number, number] | { minuend: number; subtrahend: number }) =>
    Array.isArray(params) ? params[0] - params[1] : params.minuend - params.subtrahend,
  sum: (params: number[]) => params.reduce((a, b) => a + b, 0),
  get_data: () => ['hello', 5],
  update: () => 0,
  notify_hello: () => 0,
  notify_sum: () => 0,
}

/** A server made of nothing but decode and encode: the answer, undefined where there is none. */
function serve(text: string): unknown {
  const frame = decode(Buffer.from(text), { strict: true, maxBatch: 100, maxDepth: 64, maxMethodLength: 128, maxIdBytes: 256 })
  const answers = []
  for (const entry of frame.entries) {
    if (entry instanceof RpcFault) answers.push(encodeError(entry.id, errors[entry.name].code, entry.message, {}))
    else if (entry.id !== undefined) {
      const method = methods[entry.method]
      answers.push(
        method === undefined
          ? encodeError(entry.id, errors.methodNotAllowed.code, errors.methodNotAllowed.message, {})
          : encodeResult(entry.id, jsonWire(method(parseParams(entry) as never))),
      )
    }
  }
  return answers.length === 0 ? undefined : JSON.parse(String(frame.isBatch ? joinBatch(answers) : answers[0]))
}

const failed = (id: number | string | null, code: number) => ({ jsonrpc: '2.0', id, error: expect.objectContaining({ code }) as unknown })

// https://www.jsonrpc.org/specification#examples, all of them, in its order and with its words.
const examples: readonly (readonly [title: string, request: string, answer: unknown])[] = [
  ['positional parameters', '{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}', { jsonrpc: '2.0', result: 19, id: 1 }],
  ['positional parameters, swapped', '{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}', { jsonrpc: '2.0', result: -19, id: 2 }],
  ['named parameters', '{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}', { jsonrpc: '2.0', result: 19, id: 3 }],
  [
    'named parameters, swapped',
    '{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}',
    { jsonrpc: '2.0', result: 19, id: 4 },
  ],
  ['a notification', '{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}', undefined],
  ['a notification of an unknown method', '{"jsonrpc": "2.0", "method": "foobar"}', undefined],
  ['a call of a non-existent method', '{"jsonrpc": "2.0", "method": "foobar", "id": "1"}', failed('1', -32601)],
  ['a call with invalid JSON', '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', failed(null, -32700)],
  ['a call with an invalid Request object', '{"jsonrpc": "2.0", "method": 1, "params": "bar"}', failed(null, -32600)],
  [
    'a call batch with invalid JSON',
    '[ {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method" ]',
    failed(null, -32700),
  ],
  ['a call with an empty array', '[]', failed(null, -32600)],
  ['a call with an invalid batch, but not empty', '[1]', [failed(null, -32600)]],
  ['a call with an invalid batch', '[1,2,3]', [failed(null, -32600), failed(null, -32600), failed(null, -32600)]],
  [
    'a call batch',
    `[
      {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
      {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
      {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
      {"foo": "boo"},
      {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
      {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
    ]`,
    [
      { jsonrpc: '2.0', result: 7, id: '1' },
      { jsonrpc: '2.0', result: 19, id: '2' },
      failed(null, -32600),
      failed('5', -32601),
      { jsonrpc: '2.0', result: ['hello', 5], id: '9' },
    ],
  ],
  [
    'a call batch of notifications only',
    '[{"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]}, {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}]',
    undefined,
  ],
]

test.each(examples)('the example "%s" is answered as the specification says', (_, request, expected) => {
  expect(serve(request)).toEqual(expected)
})

test('the codes that the specification reserves mean what it says', () => {
  expect(errors).toMatchObject({
    parseError: { code: -32700 },
    invalidRequest: { code: -32600 },
    methodNotAllowed: { code: -32601 },
    invalidParams: { code: -32602 },
    internal: { code: -32603 },
  })
})

test('no code is used twice, and those of our own lie in the range that the specification leaves to servers', () => {
  const codes = Object.values(errors).map((row) => row.code)
  expect(new Set(codes).size).toBe(codes.length)
  for (const code of codes) expect(code >= -32768 && code <= -32000).toBe(true)
})
