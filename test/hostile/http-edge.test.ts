/**
 * What arrives as HTTP and is meant to be read two ways, to arrive never, or to be more than fits: refused with the right
 * status, its connection ended, and nothing of it at the node.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { build } from '../config/fixtures.ts'
import { RawHttp, exchange } from '../support/raw-http.ts'
import { OPCODE, RawWebSocket, frame } from '../support/raw-web-socket.ts'
import { answer, startScriptedNode } from '../support/scripted-node.ts'
import { startScriptedSocketNode } from '../support/scripted-socket-node.ts'
import { CALL, SMUGGLED, ambiguous, call } from './requests.ts'
import type { TestGateway } from '../support/gateway.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'

let node: ScriptedNode
let gateway: TestGateway
let port: number
beforeAll(async () => {
  node = await startScriptedNode()
  gateway = await startTestGateway(basic({ nodeUrl: node.url, top: { limits: { max_body: 10_000 } } }), { files: basicFiles })
  port = gateway.gateway.address.port
})
afterEach(() => node.script(undefined))
afterAll(async () => {
  await gateway.stop()
  await node.stop()
})

const reasonOf = (body: string): string => (JSON.parse(body) as { error: { data: { reason: string } } }).error.data.reason

describe('a request that could be read two ways is refused, and its connection ended', () => {
  test.each(Object.entries(ambiguous))('%s', async (_, [request, status, reason]) => {
    const before = node.requests.length
    const [first, ...more] = await exchange(port, request + SMUGGLED)
    expect(first).toMatchObject({ status, headers: { connection: 'close', 'content-type': 'application/json' } })
    expect(reasonOf(first!.body)).toBe(reason)
    expect(more).toEqual([])
    expect(node.requests.length).toBe(before)
  })

  test.each(['CONNECT x:80', 'TRACE /eth', 'PUT /eth', 'GET /eth', 'HEAD /eth', 'DELETE /eth', 'PATCH /eth', 'OPTIONS /eth', 'PROPFIND /eth'])(
    '405 to %s says what is allowed',
    async (line) => {
      const client = (await RawHttp.connect(port)).send(call({ line: `${line} HTTP/1.1`, length: 'Connection: close\r\n', body: '' }))
      const refused = line.startsWith('HEAD') ? await client.head() : await client.answer()
      expect(refused).toMatchObject({ status: 405, headers: { allow: 'POST, OPTIONS' } })
      client.end()
    },
  )

  test('what is refused is counted by a closed word', async () => {
    const before = await gateway.metric('tollgate_http_refusals_total', { why: 'duplicate-header' })
    await exchange(port, call({ headers: 'Host: x\r\n' }))
    expect(await gateway.metric('tollgate_http_refusals_total', { why: 'duplicate-header' })).toBe(before + 1)
  })
})

describe('a handshake that could be read two ways is refused as a request is', () => {
  const handshake = (more = '', line = 'GET /eth HTTP/1.1'): string =>
    `${line}\r\nHost: x\r\nApikey: free-key\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${more}\r\n`

  test.each<[string, number, string, string]>([
    ['two Hosts', 400, 'duplicate-header', handshake('Host: y\r\n')],
    ['two Authorizations', 400, 'duplicate-header', handshake('Authorization: Bearer a\r\nAuthorization: Bearer b\r\n')],
    ['two API keys', 401, 'invalid-key', handshake('Apikey: free-key\r\n')],
    ['two keys of its own', 400, 'websocket-key', handshake('Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n')],
    ['two versions', 426, 'websocket-version', handshake('Sec-WebSocket-Version: 13\r\n')],
    ['two upgrades', 400, 'bad-upgrade', handshake('Upgrade: h2c\r\n')],
    ['a body', 400, 'bad-upgrade', `${handshake('Content-Length: 5\r\n')}hello`],
    ['a body in chunks', 400, 'bad-upgrade', `${handshake('Transfer-Encoding: chunked\r\n')}0\r\n\r\n`],
    ['HTTP/1.0', 400, 'bad-upgrade', handshake('', 'GET /eth HTTP/1.0')],
    ['an absolute target that disagrees with Host', 400, 'bad-target', handshake('', 'GET http://y/eth HTTP/1.1')],
    ['a target with a fragment', 400, 'bad-target', handshake('', 'GET /eth#x HTTP/1.1')],
    ['a target with dots', 400, 'bad-target', handshake('', 'GET /eth/../eth HTTP/1.1')],
    ['101 headers', 431, 'headers-too-large', handshake('X: y\r\n'.repeat(95))],
    ['headers of 16 KiB', 431, 'headers-too-large', handshake(`X: ${'y'.repeat(16_384)}\r\n`)],
  ])('%s: %i', async (_, status, reason, request) => {
    const [refused, ...more] = await exchange(port, request + SMUGGLED)
    expect(refused).toMatchObject({ status, headers: { connection: 'close' } })
    expect(reasonOf(refused!.body)).toBe(reason)
    expect(more).toEqual([])
  })
})

describe('up to its limit a request is served, and beyond it refused', () => {
  const CLOSE = 'Connection: close\r\n'
  /** So that the request line and all headers come to so many bytes. */
  const head = (bytes: number): string => {
    const rest = call({ headers: `X: \r\n${CLOSE}`, body: '' }).length - '\r\n'.length
    return call({ headers: `X: ${'y'.repeat(bytes - rest - CALL.length.toString().length + 1)}\r\n${CLOSE}` })
  }
  const body = (bytes: number): string => CALL + ' '.repeat(bytes - CALL.length)
  const inChunks = (text: string): string =>
    `${(5).toString(16)};x=y\r\n${text.slice(0, 5)}\r\n${(text.length - 5).toString(16)}\r\n${text.slice(5)}\r\n0\r\n\r\n`
  const CHUNKED = { length: 'Transfer-Encoding: chunked\r\n', headers: CLOSE }

  test.each<[string, number, string]>([
    ['100 headers', 200, call({ headers: 'X: y\r\n'.repeat(96) + CLOSE })],
    ['101 headers', 431, call({ headers: 'X: y\r\n'.repeat(97) + CLOSE })],
    ['headers just within 16 KiB', 200, head(16_300)],
    ['headers just beyond 16 KiB', 431, head(16_500)],
    ['a target just within 16 KiB', 200, call({ line: `POST /eth?${'y'.repeat(16_200)} HTTP/1.1`, headers: CLOSE })],
    ['a body of as many bytes as there may be', 200, call({ body: body(10_000), headers: CLOSE })],
    ['a body of a byte more', 413, call({ body: body(10_001), headers: CLOSE })],
    ['chunks of as many bytes as there may be', 200, call({ ...CHUNKED, body: inChunks(body(10_000)) })],
    ['chunks of a byte more', 413, call({ ...CHUNKED, body: inChunks(body(10_001)) })],
    ['one Content-Encoding, identity', 200, call({ headers: `Content-Encoding: identity\r\n${CLOSE}` })],
    ['one Content-Encoding, Identity', 200, call({ headers: `Content-Encoding: Identity\r\n${CLOSE}` })],
    ['an empty Content-Encoding', 415, call({ headers: `Content-Encoding:\r\n${CLOSE}` })],
    ['a list of Content-Encodings', 415, call({ headers: `Content-Encoding: identity, gzip\r\n${CLOSE}` })],
    ['the type with a charset', 200, call({ headers: `Content-Type: application/json; charset=utf-8\r\n${CLOSE}` })],
    ['an empty type', 415, call({ headers: `Content-Type:\r\n${CLOSE}` })],
    ['a list of types', 415, call({ headers: `Content-Type: text/plain, application/json\r\n${CLOSE}` })],
    ['an absolute target that agrees with Host', 200, call({ line: 'POST http://X/eth HTTP/1.1', headers: CLOSE })],
    ['HTTP/1.0', 200, call({ line: 'POST /eth HTTP/1.0' })],
  ])('%s: %i', async (_, status, request) => {
    const before = node.requests.length
    expect((await exchange(port, request)).map((answered) => answered.status)).toEqual([status])
    expect(node.requests.length).toBe(before + (status === 200 ? 1 : 0))
  })

  test('of calls that wait on one connection a hundred are served', async () => {
    const waiting: (() => void)[] = []
    node.script((request, socket, of) => {
      waiting.push(() => answer(request, socket, of))
      if (waiting.length === 100) for (const run of waiting) run()
    })
    const answers = await exchange(port, call().repeat(99) + call({ headers: CLOSE }))
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 100 }, () => 200))
  })
})

test('nobody but the machine itself is listened to, for calls and for operators, unless the configuration says so', async () => {
  const { snapshot } = await build({ 'gateway.yaml': '{}' })
  expect(snapshot!.settings).toMatchObject({ listen: { host: '127.0.0.1', port: 9080 }, adminListen: { host: '127.0.0.1', port: 9180 } })
})

test('what operators are shown is not on the listener of clients', async () => {
  for (const page of ['/metrics', '/healthz', '/readyz', '/upstreams']) {
    const [refused] = await exchange(port, call({ line: `GET ${page} HTTP/1.1`, length: '', body: '' }))
    expect(refused!.status).toBe(405)
    expect(refused!.body).not.toContain('tollgate_')
  }
})

describe('paths', () => {
  test.each([
    '/eth/../eth',
    '/eth/%2e%2e/eth',
    '/eth/%2E%2e/eth',
    '/./eth',
    '/eth/..',
    '/%2e%2e/eth',
    '/eth%2f..%2feth',
    '/eth/..%5ceth',
    '/eth\\..\\eth',
    '/eth%00',
    '/%00eth',
    '/eth%0d%0aHost:%20y',
    '/eth%7f',
    '/eth%',
    '/eth%2',
    '/eth%zz',
    '/eth%c0%ae',
    '/eth%ff',
    '/eth%u0065',
    '/eth%ed%a0%80',
  ])('%s is refused with 400', async (path) => {
    const [refused, ...more] = await exchange(port, call({ line: `POST ${path} HTTP/1.1` }) + SMUGGLED)
    expect(refused!.status).toBe(400)
    expect(reasonOf(refused!.body)).toBe('bad-target')
    expect(more).toEqual([])
  })

  test.each(['//eth', '/ETH', '/eth%20', '/%65th%2545', '/%252e%252e/eth', '/__proto__', '/constructor', '/eth;x=1', '/.eth', '/eth./', '/'])(
    '%s is refused with 404',
    async (path) => {
      const [refused] = await exchange(port, call({ line: `POST ${path} HTTP/1.1` }))
      expect(refused!.status).toBe(404)
      expect(reasonOf(refused!.body)).toBe('no-route')
    },
  )
})

describe('many requests on one connection', () => {
  /** A call with an id and a parameter that the scripted node waits for. */
  const numbered = (id: number, last = ''): string => call({ body: CALL.replace('"id":1', `"id":${id}`), headers: last })
  const ids = (answers: readonly { readonly body: string }[]): unknown[] => answers.map(({ body }) => (JSON.parse(body) as { id: unknown }).id)

  test('are answered in order, however late the first answer comes', async () => {
    const late: (() => void)[] = []
    node.next((request, socket, of) => late.push(() => answer(request, socket, of)))
    node.next((request, socket, of) => {
      answer(request, socket, of)
      for (const run of late) run()
    })
    const answers = await exchange(port, numbered(1) + numbered(2) + numbered(3, 'Connection: close\r\n'))
    expect(ids(answers)).toEqual([1, 2, 3])
  })

  test('what follows garbage is not read, and what came before it is answered first', async () => {
    let release = (): void => undefined
    node.next((request, socket, of) => (release = () => answer(request, socket, of)))
    const client = await RawHttp.connect(port)
    const before = node.requests.length
    client.send(`${numbered(1)}garbage\r\n\r\n${SMUGGLED}`)
    await node.arrived(before + 1)
    release()
    const answers = await client.answers()
    expect(answers.map(({ status }) => status)).toEqual([200, 400])
    expect(node.requests.length).toBe(before + 1)
  })

  test.each([
    [
      'an upgrade',
      'GET /eth HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
      400,
    ],
    ['CONNECT', 'CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n', 405],
    ['TRACE', 'TRACE /eth HTTP/1.1\r\nHost: x\r\n\r\n', 405],
  ])('%s behind a call that is under way waits for its answer and is refused', async (_, text, status) => {
    let release = (): void => undefined
    node.next((request, socket, of) => (release = () => answer(request, socket, of)))
    const client = await RawHttp.connect(port)
    const before = node.requests.length
    client.send(numbered(1) + text + SMUGGLED)
    await node.arrived(before + 1)
    release()
    expect((await client.answers()).map((answered) => answered.status)).toEqual([200, status])
    expect(node.requests.length).toBe(before + 1)
  })

  test('what follows a Connection: close of the client is not read', async () => {
    const before = node.requests.length
    expect(ids(await exchange(port, numbered(1, 'Connection: close\r\n') + SMUGGLED))).toEqual([1])
    expect(node.requests.length).toBe(before + 1)
  })

  test('a connection outlives errors of JSON-RPC', async () => {
    const client = await RawHttp.connect(port)
    const tried = [call({ body: 'garbage' }), call().replace('free-key', 'no-such-key'), call({ body: '[]' }), call()]
    const statuses: unknown[] = []
    for (const request of tried) statuses.push((await client.send(request).answer())?.status)
    client.end()
    expect(statuses).toEqual([200, 401, 200, 200])
  })

  test('more than a hundred that wait are refused', async () => {
    const before = node.requests.length
    const waiting: (() => void)[] = []
    node.script((request, socket, of) => {
      waiting.push(() => answer(request, socket, of))
      if (waiting.length === 100) for (const run of waiting) run()
    })
    const answers = await exchange(port, Array.from({ length: 120 }, (_, at) => numbered(at)).join(''))
    expect(answers.map(({ status }) => status)).toEqual([...Array.from({ length: 100 }, () => 200), 503])
    expect(answers.at(-1)!.headers['retry-after']).toBe('1')
    expect(node.requests.length).toBe(before + 100)
  })
})

describe('Expect: 100-continue', () => {
  const expecting = (key = 'free-key'): string =>
    `POST /eth HTTP/1.1\r\nHost: x\r\nApikey: ${key}\r\nExpect: 100-continue\r\nContent-Length: ${CALL.length}\r\n\r\n`

  test('is met for a caller who may come in', async () => {
    const client = await RawHttp.connect(port)
    expect((await client.send(expecting()).answer())?.status).toBe(100)
    expect((await client.send(CALL).answer())?.status).toBe(200)
    client.end()
  })

  test('is not met for one who may not: the body need not be sent', async () => {
    const client = await RawHttp.connect(port)
    const refused = await client.send(expecting('no-such-key')).answer()
    expect(refused).toMatchObject({ status: 401, headers: { connection: 'close' } })
    client.end()
  })

  test('is not met for a body that is too large', async () => {
    const client = await RawHttp.connect(port)
    const refused = await client.send(expecting().replace(`Content-Length: ${CALL.length}`, 'Content-Length: 10001')).answer()
    expect(refused?.status).toBe(413)
    client.end()
  })
})

test('a client that goes on sending a body that is too large still reads the answer', async () => {
  const client = await RawHttp.connect(port)
  client.send(call({ length: `Content-Length: 4000000\r\n`, body: ' '.repeat(4_000_000) }))
  expect((await client.answers()).map(({ status }) => status)).toEqual([413])
})

test('of what a client sends a node sees the call and nothing else', async () => {
  const before = node.requests.length
  const secrets = ['Cookie: session=1', 'Authorization: Bearer abc', 'X-Api-Key: other', 'X-Forwarded-For: 10.0.0.1', 'X-Forwarded-Host: y', 'Forwarded: for=1']
  const hops = [
    'TE: trailers',
    'Via: 1.1 x',
    'Max-Forwards: 1',
    'Proxy-Authorization: Basic eA==',
    'Range: bytes=0-1',
    'X-HTTP-Method-Override: GET',
    'Accept-Encoding: br',
  ]
  const [served] = await exchange(
    port,
    call({ line: 'POST /eth?apikey=free-key&x=%0d%0ay HTTP/1.1', headers: [...secrets, ...hops, 'Connection: close', ''].join('\r\n') }),
  )
  expect(served!.status).toBe(200)
  const [request] = node.requests.slice(before)
  expect([...request!.headerNames].map((name) => name.toLowerCase()).sort()).toEqual([
    'accept',
    'accept-encoding',
    'connection',
    'content-length',
    'content-type',
    'host',
    'user-agent',
  ])
  expect(request!.headers['host']).toBe(new URL(node.url).host)
  expect(request!.headers['accept-encoding']).toBe('gzip')
  expect(request).toMatchObject({ httpMethod: 'POST', path: '/' })
})

test.each(['dedicated', 'shared', 'http'])('of what a client sends with its handshake a node sees nothing (%s)', async (mode) => {
  const socketNode = await startScriptedSocketNode()
  const config = basic({ nodeUrl: socketNode.url, nodeWsUrl: socketNode.wsUrl, plugins: { 'ws-jsonrpc-proxy': { mode } } })
  const asked = await startTestGateway(config, { files: basicFiles })
  const { client } = await RawWebSocket.handshake(asked.gateway.address.port, '/eth?apikey=free-key&x=s3cret', {
    Cookie: 's3cret',
    Authorization: 'Bearer s3cret',
    'X-Forwarded-For': 's3cret',
    Origin: 'https://s3cret.example',
    'User-Agent': 's3cret',
    'Sec-WebSocket-Protocol': 'jsonrpc, bearer.s3cret',
    Apikey: 'free-key',
  })
  client.send(frame(OPCODE.text, CALL))
  expect((await client.next())?.payload.toString()).toContain('"result"')
  expect(socketNode.calls.length).toBeGreaterThan(0)
  const seen = socketNode.handshakes.map(({ url, headers }) => `${url} ${JSON.stringify(headers)}`).join()
  expect(seen).not.toMatch(/s3cret|free-key|cookie|authorization|forwarded|origin|protocol/i)
  client.end()
  await asked.stop()
  await socketNode.stop()
})
