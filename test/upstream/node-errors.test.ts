/** What a node's error is about, row by row. Messages as the nodes write them. */
import { describe, expect, test } from 'vitest'
import { isKnownTransaction, nodeFault } from '../../core/upstream/node-errors.ts'

function faultOf(code: number, message: string, status = 200): string {
  return nodeFault(JSON.stringify({ code, message }), status)?.why ?? 'answer'
}

describe('an error about the call is an answer', () => {
  test.each<[code: number, message: string]>([
    [3, 'execution reverted: ERC20: transfer amount exceeds balance'],
    [-32000, 'execution reverted'],
    [-32015, 'VM execution error.'],
    [-32603, 'execution reverted: too many requests'],
    [-32603, 'VM Exception while processing transaction: revert'],
    [-32000, 'out of gas'],
    [-32000, 'invalid opcode: INVALID'],
    [-32000, 'gas required exceeds allowance (21000)'],
    [-32000, 'nonce too low: next nonce 5, tx nonce 4'],
    [-32000, 'nonce too high'],
    [-32000, 'already known'],
    [-32000, 'replacement transaction underpriced'],
    [-32000, 'transaction underpriced: gas tip cap 0, minimum needed 1'],
    [-32000, 'insufficient funds for gas * price + value: balance 0, tx cost 1'],
    [-32000, 'intrinsic gas too low'],
    [-32000, 'max fee per gas less than block base fee'],
    [-32000, 'exceeds block gas limit'],
    [-32602, 'invalid argument 0: hex string without 0x prefix'],
    [-32602, 'too many requests in params'],
    [-32601, 'the method eth_syncing does not exist/is not available'],
    [-32600, 'invalid request'],
    [-32003, 'transaction rejected'],
    [-32005, 'query returned more than 10000 results'],
    [-32000, 'exceed maximum block range: 5000'],
    [-32000, 'block range is too large'],
    [-32002, 'request timed out'],
    [-32000, 'tracing failed: execution timeout'],
    [-32003, 'response too large'],
    [-32000, 'filter not found'],
    [-32000, 'transaction indexing is in progress'],
    [-32000, 'something that nobody has heard of'],
  ])('%i %s', (code, message) => expect(faultOf(code, message)).toBe('answer'))
})

describe('an error about the node is held against it', () => {
  test.each<[code: number, message: string, why: string]>([
    [-32000, 'header not found', 'behind'],
    [-32000, 'header for hash not found', 'behind'],
    [-32001, 'Unknown block', 'behind'],
    [-32000, 'block not found', 'behind'],
    [-32602, 'block 0x10 not found', 'answer'],
    [-32000, 'missing trie node 1a2b3c (path ) state 0x1a is not available', 'no-history'],
    [-32000, 'historical state 0x1a is not available', 'no-history'],
    [-32000, 'required historical state unavailable (reexec=128)', 'no-history'],
    [-32002, 'No state available for block 1, state is pruned', 'no-history'],
    [4444, 'pruned history unavailable', 'no-history'],
    [-32000, 'distance to target block exceeds maximum proof window', 'no-history'],
    [-32000, 'node is not synced', 'not-synced'],
    [-32000, 'node is still syncing', 'not-synced'],
    [-32005, 'limit exceeded', 'rate-limited'],
    [-32005, 'daily request count exceeded, request rate limited', 'rate-limited'],
    [429, 'Your app has exceeded its compute units per second capacity.', 'rate-limited'],
    [-32000, 'Too Many Requests', 'rate-limited'],
    [-32016, 'over rate limit', 'rate-limited'],
    [-32603, 'Internal error', 'node-internal'],
    [-32603, 'method handler crashed', 'node-internal'],
    [-32000, 'Internal server error', 'node-internal'],
  ])('%i %s: %s', (code, message, why) => expect(faultOf(code, message)).toBe(why))

  test('whatever it says, when its HTTP status is 429', () => expect(faultOf(-32000, 'no', 429)).toBe('rate-limited'))
})

test('an error of many bytes is not looked into', () => {
  expect(nodeFault(JSON.stringify({ code: -32603, message: 'internal error', data: 'x'.repeat(10_000) }), 200)).toBeUndefined()
})

test('an error without a code or a message, or with others than these, is an answer', () => {
  for (const text of ['{}', '{"code":null,"message":{}}', '{"code":"x","message":1}']) expect(nodeFault(text, 200)).toBeUndefined()
})

test('text of other writings does not hide what an error says', () => {
  expect(nodeFault(Buffer.from('{"code":-32000,"message":"ヘッダー: header not found"}', 'utf8'), 200)?.why).toBe('behind')
})

test.each([
  'already known',
  'AlreadyKnown',
  'ALREADY_EXISTS: already known',
  'known transaction: 1a2b',
  'Transaction with the same hash was already imported.',
])('a node has the transaction that says: %s', (message) => expect(isKnownTransaction(JSON.stringify({ code: -32000, message }))).toBe(true))

test('a node does not have the transaction that says: nonce too low', () => {
  expect(isKnownTransaction('{"code":-32000,"message":"nonce too low"}')).toBe(false)
})
