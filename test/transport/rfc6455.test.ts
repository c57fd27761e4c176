import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { OPCODE, RawWebSocket, closeFrame, frame } from '../support/raw-web-socket.ts'
import { startScriptedNode } from '../support/scripted-node.ts'
import type { TestGateway } from '../support/gateway.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'

let node: ScriptedNode
let gateway: TestGateway

beforeAll(async () => {
  node = await startScriptedNode()
  gateway = await startTestGateway(
    basic({ nodeUrl: node.url, plugins: { 'ws-jsonrpc-proxy': { mode: 'http', max_errors: 3, max_message_bytes: 4096, origins: ['https://good.example'] } } }),
    { files: basicFiles },
  )
})
afterAll(async () => {
  await gateway.stop()
  await node.stop()
})

const call = (id: number): string => JSON.stringify({ jsonrpc: '2.0', id, method: 'eth_blockNumber' })

async function open(): Promise<RawWebSocket> {
  const { client, status } = await RawWebSocket.handshake(gateway.gateway.address.port, '/eth', { apikey: 'paid-key' })
  expect(status).toBe(101)
  return client
}

describe('messages (RFC 6455 section 5)', () => {
  const good: Record<string, readonly Buffer[]> = {
    'a text message': [frame(OPCODE.text, call(7))],
    'a binary message that holds UTF-8 JSON': [frame(OPCODE.binary, call(7))],
    'a message in three fragments': [
      frame(OPCODE.text, call(7).slice(0, 5), { fin: false }),
      frame(OPCODE.continuation, call(7).slice(5, 9), { fin: false }),
      frame(OPCODE.continuation, call(7).slice(9)),
    ],
    'a message in fragments of nothing': [
      frame(OPCODE.text, '', { fin: false }),
      frame(OPCODE.continuation, call(7), { fin: false }),
      frame(OPCODE.continuation),
    ],
    'a message with a pong in the middle': [
      frame(OPCODE.text, call(7).slice(0, 5), { fin: false }),
      frame(OPCODE.pong, 'x'),
      frame(OPCODE.continuation, call(7).slice(5)),
    ],
    'a message of 300 bytes, in the 16 bit length': [frame(OPCODE.text, call(7) + ' '.repeat(300))],
  }
  for (const [name, frames] of Object.entries(good)) {
    test(`${name} is answered in one text frame`, async () => {
      const client = await open()
      client.send(...frames)
      const received = await client.next()
      expect(received).toMatchObject({ opcode: OPCODE.text, fin: true })
      expect(JSON.parse(received!.payload.toString())).toMatchObject({ jsonrpc: '2.0', id: 7 })
      client.end()
    })
  }

  test('a message that arrives a byte at a time is one message', async () => {
    const client = await open()
    for (const byte of frame(OPCODE.text, call(7))) {
      client.socket.write(Buffer.of(byte))
      await new Promise(setImmediate)
    }
    expect((await client.next())?.payload.toString()).toContain('"id":7')
    client.end()
  })

  test('two messages in one packet are two frames', async () => {
    const client = await open()
    client.send(frame(OPCODE.text, call(1)), frame(OPCODE.text, call(2)))
    const ids = [(await client.next())!, (await client.next())!].map(({ payload }) => (JSON.parse(payload.toString()) as { id: number }).id)
    expect(new Set(ids)).toEqual(new Set([1, 2]))
    client.end()
  })

  test('a ping between fragments is answered at once with its payload', async () => {
    const client = await open()
    client.send(frame(OPCODE.text, '{"jso', { fin: false }), frame(OPCODE.ping, 'hello'))
    const pong = await client.next()
    expect(pong?.opcode).toBe(OPCODE.pong)
    expect(pong?.payload.toString()).toBe('hello')
    client.end()
  })

  const bad: Record<string, readonly [readonly Buffer[], number]> = {
    'a frame without a mask': [[frame(OPCODE.text, call(1), { masked: false })], 1002],
    'a reserved bit': [[frame(OPCODE.text, call(1), { rsv: 4 })], 1002],
    'opcode 3': [[frame(3, call(1))], 1002],
    'opcode 11': [[frame(11)], 1002],
    'a ping in fragments': [[frame(OPCODE.ping, 'x', { fin: false })], 1002],
    'a ping of 126 bytes': [[frame(OPCODE.ping, 'x'.repeat(126))], 1002],
    'a continuation of nothing': [[frame(OPCODE.continuation, 'x')], 1002],
    'a new message inside a fragmented one': [[frame(OPCODE.text, '{', { fin: false }), frame(OPCODE.text, '{}')], 1002],
    'text that is not UTF-8': [[frame(OPCODE.text, Buffer.from([0x22, 0xc3, 0x28, 0x22]))], 1007],
    'UTF-8 cut in the middle of a character': [[frame(OPCODE.text, Buffer.from([0x22, 0xe2, 0x82]))], 1007],
    'a message over the limit': [[frame(OPCODE.text, 'x'.repeat(5000))], 1009],
    'a length over the limit, before the bytes': [[frame(OPCODE.text, '', { claims: 0x7fffffff })], 1009],
    'a close with one byte': [[frame(OPCODE.close, 'x')], 1002],
    'a close with a reserved code': [[closeFrame(1005)], 1002],
    'a close with a code below 1000': [[closeFrame(999)], 1002],
    'a close whose reason is not UTF-8': [[frame(OPCODE.close, Buffer.from([0x03, 0xe8, 0xc3, 0x28]))], 1007],
    'a normal close': [[closeFrame(1000, 'bye')], 1000],
    'a close without a code': [[frame(OPCODE.close)], 1005],
    'a close with an application code': [[closeFrame(4321)], 4321],
  }
  for (const [name, [frames, code]] of Object.entries(bad)) {
    test(`${name} closes with ${code}`, async () => {
      const client = await open()
      client.send(...frames)
      expect(await client.closeCode()).toBe(code)
      client.end()
    })
  }

  test('UTF-8 that is split over fragments in the middle of a character is whole again', async () => {
    const client = await open()
    const bytes = Buffer.from('{"jsonrpc":"2.0","id":"€","method":"eth_blockNumber"}')
    const cut = bytes.indexOf(0xe2) + 1
    client.send(frame(OPCODE.text, bytes.subarray(0, cut), { fin: false }), frame(OPCODE.continuation, bytes.subarray(cut)))
    expect(JSON.parse((await client.next())!.payload.toString())).toMatchObject({ id: '€' })
    client.end()
  })

  test('what is not JSON-RPC gets an error frame, and the socket stays open until it happens too often', async () => {
    const client = await open()
    client.send(frame(OPCODE.text, 'x'), frame(OPCODE.binary, Buffer.from([0xff, 0xfe])), frame(OPCODE.text, call(3)))
    const texts = [(await client.next())!, (await client.next())!, (await client.next())!].map(({ payload }) => payload.toString())
    expect(texts.filter((text) => text.includes('-32700'))).toHaveLength(2)
    expect(texts.filter((text) => text.includes('"id":3'))).toHaveLength(1)
    client.send(frame(OPCODE.text, '[]'))
    expect(await client.closeCode()).toBe(1008)
    client.end()
  })

  test('a notification is met with silence', async () => {
    const client = await open()
    client.send(
      frame(OPCODE.text, '{"jsonrpc":"2.0","method":"eth_blockNumber"}'),
      frame(OPCODE.text, '{"jsonrpc":"2.0","method":"nope"}'),
      frame(OPCODE.text, call(9)),
    )
    expect((await client.next())?.payload.toString()).toContain('"id":9')
    client.end()
  })
})

describe('the handshake (RFC 6455 section 4)', () => {
  const cases: readonly (readonly [name: string, path: string, headers: Record<string, string>, status: number, requestLine?: string])[] = [
    ['with a key in a header', '/eth', { apikey: 'paid-key' }, 101],
    ['with a key in the path', '/eth/v1/paid-key', {}, 101],
    ['with a key in the query', '/eth?apikey=paid-key', {}, 101],
    ['with a bearer token', '/eth', { Authorization: 'Bearer paid-key' }, 101],
    ['with a key as a subprotocol', '/eth', { 'Sec-WebSocket-Protocol': 'bearer.paid-key' }, 101],
    ['with upgrade in another case', '/eth/v1/paid-key', { Upgrade: 'WebSocket', Connection: 'keep-alive, upgrade' }, 101],
    ['from an allowed origin', '/eth/v1/paid-key', { Origin: 'https://good.example' }, 101],
    ['from a foreign origin', '/eth/v1/paid-key', { Origin: 'https://evil.example' }, 403],
    ['without a key', '/eth', {}, 401],
    ['with a wrong key', '/eth/v1/wrong', {}, 401],
    ['to an unknown network', '/nowhere/v1/paid-key', {}, 404],
    ['to a path of no route', '/a/b/c/d', {}, 404],
    ['with an old version', '/eth/v1/paid-key', { 'Sec-WebSocket-Version': '8' }, 426],
    ['without Sec-WebSocket-Key', '/eth/v1/paid-key', { 'Sec-WebSocket-Key': '' }, 400],
    ['with a malformed Sec-WebSocket-Key', '/eth/v1/paid-key', { 'Sec-WebSocket-Key': 'abc' }, 400],
    ['to another protocol', '/eth/v1/paid-key', { Upgrade: 'h2c' }, 400],
    ['by POST', '/eth/v1/paid-key', {}, 405, 'POST /eth/v1/paid-key HTTP/1.1'],
    ['with a dot segment', '/eth/../eth/v1/paid-key', {}, 400],
  ]
  for (const [name, path, headers, status, requestLine] of cases) {
    test(`${name} is answered with ${status}`, async () => {
      const { client, status: got } = await RawWebSocket.handshake(gateway.gateway.address.port, path, headers, requestLine)
      expect(got).toBe(status)
      client.end()
    })
  }

  test('that is refused gets a body that says why', async () => {
    const { client, head } = await RawWebSocket.handshake(gateway.gateway.address.port, '/eth')
    expect(head.toLowerCase()).toContain('content-type: application/json')
    expect(JSON.parse(await client.rest())).toMatchObject({ id: null, error: { code: -32002, message: 'Missing API key found in request' } })
  })

  test('prefers a subprotocol that holds no key, and echoes the key only where nothing else is offered', async () => {
    const two = await RawWebSocket.handshake(gateway.gateway.address.port, '/eth', { 'Sec-WebSocket-Protocol': 'bearer.paid-key, jsonrpc' })
    expect(two.head.toLowerCase()).toContain('sec-websocket-protocol: jsonrpc')
    two.client.end()
  })

  test('is refused with 502 when no node can be reached', async () => {
    const dead = await startTestGateway(basic({ nodeUrl: 'http://127.0.0.1:9', plugins: { 'ws-jsonrpc-proxy': { mode: 'http' } } }), { files: basicFiles })
    const { client, status } = await RawWebSocket.handshake(dead.gateway.address.port, '/eth/v1/paid-key')
    expect(status).toBe(502)
    client.end()
    await dead.stop()
  })
})
