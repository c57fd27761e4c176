/**
 * What must never be seen: keys and tokens of callers, right or wrong, wherever they stand; and of the configuration the
 * secrets of consumers and what the URLs of nodes hold. Looked for in all that a gateway emits while it is used, abused,
 * misconfigured and stopped: log at debug, standard error, metrics, admin pages, answers, and requests to nodes.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SignJWT } from 'jose'
import { basic, basicFiles } from '../support/gateway.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { RawHttp } from '../support/raw-http.ts'
import { OPCODE, RawWebSocket, closeFrame, frame } from '../support/raw-web-socket.ts'
import { drip, hang, raw, reply, reset, startScriptedNode } from '../support/scripted-node.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'

const KEY = 'k3y-of-frank-0123456789'
const HASHED_KEY = 'k3y-known-by-its-hash'
const WRONG_KEY = 'wr0ng-key-9876543210'
const JWT_SECRET = 'jwt-s3cret-of-at-least-thirty-two-bytes'
const COOKIE = 'c00kie-of-somebody'
const node = { user: 'n0de-user', password: 'n0de-passw0rd', path: 'n0de-path-key', query: 'n0de-query-key' }
const ENV_SECRET = 'env-s3cret-value'

const CALL = '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":["s3cret-param"]}'

let upstream: ScriptedNode
let gateway: GatewayProcess
let token = ''
/** All that clients received. */
let received = ''

beforeAll(async () => {
  upstream = await startScriptedNode()
  token = await new SignJWT({ key: 'ann-app', exp: Math.floor(Date.now() / 1000) + 3600 }).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(JWT_SECRET))
  gateway = await startGatewayProcess(config(), { files: basicFiles, env: { NODE_KEY: ENV_SECRET } })
})
afterAll(async () => {
  await gateway.stop()
  await upstream.stop()
})

function config(more: Record<string, unknown> = {}): Record<string, unknown> {
  const url = (port: number): string => `http://${node.user}:${node.password}@127.0.0.1:${port}/${node.path}?key=${node.query}&env=\${NODE_KEY}`
  const hash = '7b0a4b2bd0e4c7cd0a8d0b8b28b55e1b3b2b6b0f2a9ce4e9ad6d9f1ff9a1e2c3'
  const timeout = { connect: '500ms', read: '200ms', total: '500ms' }
  return basic({
    nodeUrl: url(upstream.port),
    plugins: { 'key-auth': { required: false }, 'jwt-auth': { required: false }, 'request-id': {}, cors: {}, 'ws-jsonrpc-proxy': { mode: 'http' } },
    top: {
      log: { level: 'debug' },
      limits: { max_body: 10_000, headers_timeout: '300ms', request_timeout: '400ms' },
      upstreams: [
        { id: 'eth', nodes: [{ url: url(upstream.port), ws_url: url(upstream.port).replace('http', 'ws') }], timeout, retries: 1 },
        { id: 'gone', nodes: [{ url: url(1) }], timeout, retries: 1 },
        { id: 'lost', nodes: [{ url: url(1).replace('127.0.0.1', 'no-such-host.invalid') }], timeout },
        { id: 'tls', nodes: [{ url: url(upstream.port).replace('http', 'https') }], timeout },
      ],
      consumers: [
        { username: 'frank', plan: 'free', plugins: { 'key-auth': { key: [KEY, `sha256:${hash}`] } } },
        { username: 'ann', plan: 'free', plugins: { 'jwt-auth': { key: 'ann-app', secret: JWT_SECRET } } },
        { username: 'gone', disabled: true, plugins: { 'key-auth': { key: HASHED_KEY } } },
      ],
      ...more,
    },
  })
}

/** Sends a request as text; keeps all that comes back. */
async function send(request: string): Promise<void> {
  const client = (await RawHttp.connect(Number(new URL(gateway.url).port))).send(request)
  client.socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')))
  await client.answers()
}

const post = (path: string, headers: string, body = CALL): Promise<void> =>
  send(`POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${body.length}\r\n${headers}\r\n${body}`)

/** Every place that a credential may stand in, and some that it may not. */
const places: Record<string, (credential: string) => readonly [path: string, headers: string]> = {
  'a header': (credential) => ['/eth', `Apikey: ${credential}\r\n`],
  'another header': (credential) => ['/eth', `X-API-Key: ${credential}\r\n`],
  Authorization: (credential) => ['/eth', `Authorization: Bearer ${credential}\r\n`],
  'Authorization of another scheme': (credential) => ['/eth', `Authorization: Basic ${credential}\r\n`],
  'the query': (credential) => [`/eth?apikey=${credential}`, ''],
  'the query as a token': (credential) => [`/eth?jwt=${credential}`, ''],
  'the path': (credential) => [`/eth/v1/${credential}`, ''],
  'a path of no route': (credential) => [`/nowhere/v1/${credential}/x`, ''],
  'a path that climbs': (credential) => [`/eth/v1/${credential}/..`, ''],
  'a path with a bad escape': (credential) => [`/eth/v1/${credential}%zz`, ''],
  'two headers': (credential) => ['/eth', `Apikey: ${credential}\r\nApikey: ${credential}\r\n`],
  'two Authorizations': (credential) => ['/eth', `Authorization: Bearer ${credential}\r\nAuthorization: Bearer ${credential}\r\n`],
  'a request id': (credential) => ['/eth', `Apikey: ${KEY}\r\nX-Request-Id: ${credential} ${credential}\r\n`],
  'an origin': (credential) => ['/eth', `Apikey: ${KEY}\r\nOrigin: https://${credential}.example\r\n`],
  'a subprotocol': (credential) => ['/eth', `Sec-WebSocket-Protocol: bearer.${credential}\r\n`],
  'a header that breaks HTTP': (credential) => ['/eth', `Apikey: ${credential}\0\r\n`],
  'a header that is too long': (credential) => ['/eth', `Apikey: ${credential.repeat(1000)}\r\n`],
}

describe('callers say who they are, truly and falsely', () => {
  test.each(Object.entries(places))('in %s', async (name, place) => {
    const isEchoed = name === 'an origin' || name === 'a request id'
    for (const credential of isEchoed ? [WRONG_KEY] : [KEY, WRONG_KEY, HASHED_KEY, token, `${token}x`]) await post(...place(credential))
    if (name === 'an origin') received = received.replaceAll(`https://${WRONG_KEY}.example`, '') // CORS answers to whom it was asked for
    await post('/eth', `Apikey: ${KEY}\r\nCookie: session=${COOKIE}\r\nProxy-Authorization: Basic ${WRONG_KEY}\r\n`)
  })

  test('on a WebSocket, whatever comes of it', async () => {
    const port = Number(new URL(gateway.url).port)
    for (const [path, headers] of [
      ['/eth', { apikey: KEY }],
      ['/eth', { apikey: WRONG_KEY }],
      [`/eth/v1/${KEY}`, {}],
      [`/eth/v1/${WRONG_KEY}`, {}],
      [`/eth?apikey=${KEY}`, {}],
      ['/eth', { 'Sec-WebSocket-Protocol': `jsonrpc, bearer.${KEY}` }],
      ['/eth', { 'Sec-WebSocket-Protocol': `bearer.${KEY},,` }],
      ['/eth', { Authorization: `Bearer ${token}` }],
    ] as const) {
      const { client, status, head } = await RawWebSocket.handshake(port, path, headers)
      received += head
      if (status !== 101) {
        received += await client.rest()
        continue
      }
      client.send(frame(OPCODE.text, CALL), frame(OPCODE.text, `not json ${KEY}`))
      for (let at = 0; at < 2; at++) received += (await client.next())!.payload.toString('latin1')
      client.send(closeFrame(4000, KEY))
      await client.closeCode()
      client.end()
    }
  })

  test('in what they call, and how', async () => {
    for (const body of [KEY, `{"${KEY}":1}`, CALL.replace('"2.0"', `"${KEY}"`), CALL.replace('}', `,"apikey":"${KEY}"}`)])
      await post('/eth', `Apikey: ${KEY}\r\n`, body)
    await send(`POST /eth/v1/${KEY} HTTP/1.1\r\nHost: x\r\nApikey: ${KEY}\r\nContent-Length: 100\r\n\r\n{`) // too slow
    await send(`GET /eth/v1/${KEY} HTTP/1.1\r\nHost: x\r\nApikey: ${KEY}\r\n\r\n`)
    await send(`POST /eth/v1/${KEY}`) // too slow
  })
})

describe('nodes fail', () => {
  test.each([
    ['by a reset', reset],
    ['by silence', hang],
    ['by dripping', drip('HTTP/1.1 200 OK\r\nX: ', 'x', 50)],
    ['with HTML', reply('<html>no</html>', 502)],
    ['with a redirect to themselves', raw(`HTTP/1.1 301 Moved\r\nLocation: http://${node.user}:${node.password}@127.0.0.1/\r\nContent-Length: 0\r\n\r\n`)],
    ['with no HTTP', raw('garbage\r\n\r\n', true)],
    ['with a wrong id', reply('{"jsonrpc":"2.0","id":77777,"result":1}')],
  ])('%s', async (_, script) => {
    upstream.script(script)
    await post('/eth', `Apikey: ${KEY}\r\n`)
    upstream.script(undefined)
  })

  test.each(['gone', 'lost', 'tls'])('by being %s', async (network) => {
    await post(`/${network}`, `Apikey: ${KEY}\r\n`)
    const { client } = await RawWebSocket.handshake(Number(new URL(gateway.url).port), `/${network}`, { apikey: KEY })
    received += await Promise.race([client.rest(), new Promise<string>((resolve) => setTimeout(() => resolve(''), 300))])
    client.end()
  })
})

describe('the configuration is wrong', () => {
  const consumer = (config: unknown): Record<string, unknown> => ({ consumers: [{ username: 'frank', plugins: { 'key-auth': config } }] })
  const wrong: Record<string, Record<string, unknown> | string> = {
    'a key that is a number of things': consumer({ key: { a: KEY } }),
    'a key with a space': consumer({ key: `${KEY} ${KEY}` }),
    'a key under another name': consumer({ apikey: KEY }),
    'a hash that is none': consumer({ key: `sha256:${KEY}` }),
    'two consumers of one key': { consumers: ['a', 'b'].map((username) => ({ username, plugins: { 'key-auth': { key: KEY } } })) },
    'a secret that is too short': { consumers: [{ username: 'ann', plugins: { 'jwt-auth': { key: 'ann-app', secret: JWT_SECRET.slice(0, 20) } } }] },
    'a key that is no PEM': { consumers: [{ username: 'ann', plugins: { 'jwt-auth': { key: 'ann-app', algorithm: 'RS256', public_key: JWT_SECRET } } }] },
    'a node URL that is none': { upstreams: [{ id: 'eth', nodes: [{ url: `http://${node.user}:${node.password}@[/${node.path}` }] }] },
    'a node URL of another scheme': { upstreams: [{ id: 'eth', nodes: [{ url: `ftp://${node.user}:${node.password}@x/${node.path}` }] }] },
    'a node URL with a space': { upstreams: [{ id: 'eth', nodes: [{ url: `http://${node.user}:${node.password}@x/ ${node.path}` }] }] },
    'a store with a password': { store: `redis:/${node.password}@x` },
    'a variable that holds no number': { limits: { max_body: '${NODE_KEY}' } },
    'YAML that breaks off at a secret': `consumers: [{ username: frank, plugins: { key-auth: { key: "${KEY}`,
    'YAML in which a secret stands alone': `consumers:\n  - ${KEY}\n  ${KEY}\n`,
  }
  test.each(Object.entries(wrong))('%s', async (_, change) => {
    const before = gateway.log.filter(({ msg }) => msg === 'configuration refused, the last good one serves on').length
    await gateway.write('gateway.yaml', typeof change === 'string' ? change : config(change))
    await expect.poll(() => gateway.log.filter(({ msg }) => msg === 'configuration refused, the last good one serves on').length).toBeGreaterThan(before)
  })
})

test('of all of it nothing is seen', async () => {
  const pages = await Promise.all(
    ['/metrics', '/readyz', '/healthz', '/upstreams', `/${KEY}`].map(async (page) => (await fetch(gateway.adminUrl + page)).text()),
  )
  await gateway.stop()
  const secrets = [
    KEY,
    HASHED_KEY,
    WRONG_KEY,
    token,
    token.split('.')[2]!,
    JWT_SECRET,
    JWT_SECRET.slice(0, 20),
    COOKIE,
    ...Object.values(node),
    ENV_SECRET,
    's3cret-param',
  ]
  const basicCredentials = Buffer.from(`${node.user}:${node.password}`).toString('base64')
  const seen = (text: string): string[] => [...secrets, basicCredentials].filter((secret) => text.includes(secret))

  expect(seen(gateway.output)).toEqual([])
  expect(seen(pages.join('\n'))).toEqual([])
  const echoed = new Set(['s3cret-param', KEY]) // what a caller calls, and with which params, is told to that caller
  expect(seen(received).filter((secret) => !echoed.has(secret))).toEqual([])

  expect(upstream.requests.length).toBeGreaterThan(20)
  const own = new Set<string>([...Object.values(node), ENV_SECRET, basicCredentials])
  for (const request of upstream.requests) {
    expect(seen(JSON.stringify(request.headers) + request.path).filter((secret) => !own.has(secret))).toEqual([])
    expect(request.headers['authorization']).toBe(`Basic ${basicCredentials}`)
  }
})
