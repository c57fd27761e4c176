/**
 * One reading, through the whole gateway: whatever bytes a client sends, over HTTP or a WebSocket, what reaches the node means to a
 * Go node and to a Rust node what was judged, and just that was charged; else nothing reaches it, and nothing was.
 */
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { mutatedBytes } from '../jsonrpc/arbitraries.ts'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { goRead } from '../support/go-json.ts'
import { rustRead } from '../support/rust-json.ts'
import { OPCODE, RawWebSocket, frame } from '../support/raw-web-socket.ts'
import { startScriptedNode } from '../support/scripted-node.ts'
import type { TestGateway } from '../support/gateway.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'

const PRICES: Readonly<Record<string, number>> = basicFiles['cu-pricing.yaml'].methods
const offered = new Set<string>(basicFiles['whitelist.yaml'].networks.eth.free)
const HTTP_RUNS = 300
const SOCKET_RUNS = 150

let node: ScriptedNode
let gateway: TestGateway
beforeAll(async () => {
  node = await startScriptedNode()
  const unlimited = {
    plans: [{ id: 'free', tier: 'free', seconds_quota: -1, monthly_quota: -1 }],
    consumers: [{ username: 'frank', plan: 'free', plugins: { 'key-auth': { key: 'free-key' } } }],
  }
  const plugins = { 'ws-jsonrpc-proxy': { mode: 'http', max_errors: 100_000 }, 'access-log': undefined }
  gateway = await startTestGateway(basic({ nodeUrl: node.url, plugins, top: unlimited }), { files: basicFiles })
})
afterAll(async () => {
  await gateway.stop()
  await node.stop()
})

/** What an attacker is after: methods that are offered, changed into ones that are not. */
const documents = mutatedBytes.map((bytes) => {
  const text = bytes.toString('latin1')
  return Buffer.from(Math.random() < 0.5 ? text.replaceAll('"m"', '"eth_call"') : text, 'latin1')
})

/** All that reached the node since, as Go reads it, and Rust too; and what that costs. */
function reached(from: number): { methods: string[]; cu: number } {
  const methods = node.requests.slice(from).flatMap(({ body }) => {
    const go = goRead(Buffer.from(body, 'latin1'))
    expect(rustRead(Buffer.from(body, 'latin1'))).toEqual(go)
    return go?.map(({ method }) => method) ?? ['nothing that Go can read']
  })
  return { methods, cu: methods.reduce((sum, method) => sum + (PRICES[method] ?? 1), 0) }
}

async function expectOneReading(send: (bytes: Buffer) => Promise<unknown>, runs: number): Promise<void> {
  const from = node.requests.length
  const before = await gateway.metric('tollgate_cu_charged_total')
  await fc.assert(
    fc.asyncProperty(documents, async (bytes) => void (await send(bytes))),
    { numRuns: runs },
  )
  const { methods, cu } = reached(from)
  expect(methods.filter((method) => !offered.has(method))).toEqual([])
  await expect.poll(async () => (await gateway.metric('tollgate_cu_charged_total')) - before).toBe(cu)
}

const CALL = '{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[1]}'
const changed = (from: string, to: string): string => CALL.replace(from, to)
const bytesOf = (document: string | Buffer): Buffer => (typeof document === 'string' ? Buffer.from(document) : document)
const keys = (count: number, params: string): string => `{${Array.from({ length: count }, (_, at) => `"k${at}":0`).join(',')}${params}}`

/** Documents of which nothing may reach the node, and why it does not. */
const refused: Record<string, readonly [document: string | Buffer, reason: string]> = {
  'a method twice': [changed('"params"', '"method":"debug_traceCall","params"'), 'duplicate-member'],
  'params twice': [changed('[1]', '[1],"params":[2]'), 'duplicate-member'],
  'a method in another case': [changed('"params"', '"Method":"debug_traceCall","params"'), 'unknown-member'],
  'params that Go folds': [changed('[1]', '[1],"paramſ":[2]'), 'unknown-member'],
  'an id that Go folds': [changed('"id":1', '"id":1,"İd":2,"ID":3'), 'unknown-member'],
  'a method in escapes beside the plain one': [changed('"params"', '"\\u006dethod":"debug_traceCall","params"'), 'escaped-member'],
  'a method in escapes alone': [changed('"method"', '"\\u006dethod"'), 'escaped-member'],
  'a method in a prototype': [changed('"params"', '"__proto__":{"method":"debug_traceCall"},"params"'), 'unknown-member'],
  'a call in a call': [changed(CALL, `{"jsonrpc":"2.0","id":1,"method":${CALL}}`), 'bad-method'],
  'a method that is a list': [changed('"eth_call"', '["eth_call"]'), 'bad-method'],
  'a method that is a number': [changed('"eth_call"', '1'), 'bad-method'],
  'a method that is null': [changed('"eth_call"', 'null'), 'bad-method'],
  'a method with half a pair': [changed('eth_call', 'eth_call\\ud800'), 'bad-method'],
  'a method with half a pair in bytes': [Buffer.from(changed('eth_call', 'eth_call\xed\xa0\x80'), 'latin1'), 'not-utf8'],
  'a method that is overlong': [Buffer.from(changed('eth_call', 'eth_cal\xc1\xac'), 'latin1'), 'not-utf8'],
  'a quote that is overlong': [Buffer.from(changed('eth_call"', 'eth_call\xc0\xa2'), 'latin1'), 'not-utf8'],
  'a byte that is no UTF-8': [Buffer.from(changed('[1]', '["\xff"]'), 'latin1'), 'not-utf8'],
  'a byte order mark': [`\ufeff${CALL}`, 'not-json'],
  'UTF-16': [Buffer.from(CALL, 'utf16le'), 'not-json'],
  'UTF-16 with its mark': [Buffer.from(`\ufeff${CALL}`, 'utf16le'), 'not-utf8'],
  'UTF-16 the other way round': [Buffer.from(CALL, 'utf16le').swap16(), 'not-json'],
  'UTF-32': [Buffer.from(Array.from(CALL, (c) => `${c}\0\0\0`).join(''), 'latin1'), 'not-json'],
  'a NUL behind it': [`${CALL}\0`, 'trailing-bytes'],
  'a second document': [`${CALL}${changed('eth_call', 'debug_traceCall')}`, 'trailing-bytes'],
  'a second document in a line of its own': [`${CALL}\n${CALL}`, 'trailing-bytes'],
  'an id that is a list': [changed('"id":1', '"id":[1]'), 'bad-id'],
  'an id that is true': [changed('"id":1', '"id":true'), 'bad-id'],
  'an id of a million digits': [changed('"id":1', `"id":${'9'.repeat(1_000_000)}`), 'id-too-long'],
  'an id with a leading zero': [changed('"id":1', '"id":01'), 'not-json'],
  'an id that is no number': [changed('"id":1', '"id":NaN'), 'not-json'],
  'a comment': [changed('"id"', '/**/"id"'), 'not-json'],
  'a comma too many': [changed('[1]', '[1,]'), 'not-json'],
  '100 000 levels': ['['.repeat(100_000), 'too-deep'],
  '100 000 levels of objects': ['{"a":'.repeat(100_000), 'too-deep'],
  '100 000 levels in params': [changed('[1]', '['.repeat(100_000) + ']'.repeat(100_000)), 'too-deep'],
  '100 000 keys': [keys(75_000, `,"jsonrpc":"2.0","id":1,"method":"eth_call"`), 'too-many-members'],
  'half a million values': [changed('[1]', `[${'0,'.repeat(500_000)}0]`), 'too-many-values'],
  'half a million lists': [changed('[1]', `[${'[],'.repeat(333_000)}0]`), 'too-many-values'],
}

/** Documents that JSON allows, however odd: exactly this reaches the node as params. */
const odd: Record<string, string> = {
  'a prototype in params': '{"__proto__":{"a":1},"constructor":null}',
  'twins in params': '{"a":1,"a":2,"A":3}',
  'numbers that no machine holds': '[1e400,-0,123456789012345678901234567890.10,0.1e-7]',
  'half a pair in params': '["\\ud800","\\udc00\\ud800"]',
  '70 000 keys in params': keys(70_000, ''),
  'a text of a mebibyte of escapes': `["${'\\u0041'.repeat(170_000)}"]`,
  'as many values as there may be': `[${'0,'.repeat(99_990)}0]`,
}

test.each(Object.entries(refused))('of %s nothing reaches the node and nothing is charged, over HTTP and a WebSocket', async (_, [document, reason]) => {
  const from = node.requests.length
  const before = await gateway.metric('tollgate_cu_charged_total')
  const over = { error: { data: { reason } } }
  expect((await gateway.post('/eth', bytesOf(document), { apikey: 'free-key' })).json).toMatchObject(over)
  expect(await overSocket(bytesOf(document))).toMatchObject(over)
  expect(node.requests.length).toBe(from)
  expect(await gateway.metric('tollgate_cu_charged_total')).toBe(before)
})

test.each(Object.entries(odd))('%s: exactly that reaches the node', async (_, params) => {
  const from = node.requests.length
  const document = changed('[1]', params)
  expect((await gateway.post('/eth', document, { apikey: 'free-key' })).text).toContain(params.slice(0, 100))
  await overSocket(Buffer.from(document))
  const sent = node.requests.slice(from).map(({ body }) => goRead(Buffer.from(body, 'latin1')))
  expect(sent).toMatchObject([[{ method: 'eth_call', params }], [{ method: 'eth_call', params }]])
})

/** The answer to one message; its text where it comes in pieces that are no JSON. */
async function overSocket(bytes: Buffer): Promise<unknown> {
  const { client } = await RawWebSocket.handshake(gateway.gateway.address.port, '/eth', { apikey: 'free-key' })
  client.send(frame(OPCODE.binary, bytes))
  const received = (await client.next())?.payload.toString('latin1') ?? ''
  client.end()
  return received.endsWith('}') ? JSON.parse(received) : received
}

test('over HTTP', async () => {
  await expectOneReading((bytes) => gateway.post('/eth', bytes, { apikey: 'free-key' }), HTTP_RUNS)
  expect(node.requests.length).toBeGreaterThan(0)
})

test('over a WebSocket', async () => {
  const { client } = await RawWebSocket.handshake(gateway.gateway.address.port, '/eth', { apikey: 'free-key' })
  const probe = '{"jsonrpc":"2.0","id":"probe","method":"eth_chainId"}'
  await expectOneReading(async (bytes) => {
    client.send(frame(OPCODE.binary, bytes), frame(OPCODE.text, probe)) // a notification is met with silence, the probe is not
    for (;;) {
      const received = await client.next()
      if (received === undefined || received.payload.includes('"id":"probe"')) return
    }
  }, SOCKET_RUNS)
  client.end()
})
