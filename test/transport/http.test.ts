/** What HTTP itself lets through: requests that are no JSON-RPC call never reach the node, however they are dressed. */
import { request } from 'node:http'
import { connect } from 'node:net'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { reply, startScriptedNode } from '../support/scripted-node.ts'
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'
import type { TestGateway } from '../support/gateway.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'

const CALL = '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}'
const JSON_TYPE = { 'content-type': 'application/json' }

let node: ScriptedNode
let gateway: TestGateway
beforeAll(async () => {
  node = await startScriptedNode()
  gateway = await startTestGateway(basic({ nodeUrl: node.url, top: { limits: { max_body: 10_000 } } }), { files: basicFiles })
})
afterAll(async () => {
  await gateway.stop()
  await node.stop()
})

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** Sends any request at all. */
function send(method: string, path: string, headers: OutgoingHttpHeaders, body: string | Buffer = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(gateway.url, { method, path, headers: { apikey: 'free-key', ...headers }, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) }))
    })
    sent.on('upgrade', (response) => resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.alloc(0) }))
    sent.on('error', reject)
    sent.end(body)
  })
}

/** Writes bytes to the gateway and reads until it closes the connection. */
function sendRaw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let heard = ''
    const socket = connect(gateway.gateway.address.port, '127.0.0.1', () => socket.write(text, 'latin1'))
    socket.on('data', (chunk: Buffer) => (heard += chunk.toString('latin1')))
    socket.on('close', () => resolve(heard))
    socket.on('error', reject)
  })
}

const length = { 'content-length': CALL.length }

describe('what is no JSON-RPC over HTTP is refused with a JSON-RPC error and reaches no node', () => {
  const refused: readonly (readonly [
    name: string,
    status: number,
    reason: string,
    method: string,
    path: string,
    headers: OutgoingHttpHeaders,
    body: string | Buffer,
  ])[] = [
    ['GET', 405, 'http-method', 'GET', '/eth', {}, ''],
    ['PUT', 405, 'http-method', 'PUT', '/eth', { ...JSON_TYPE, ...length }, CALL],
    ['DELETE', 405, 'http-method', 'DELETE', '/eth', {}, ''],
    ['TRACE', 405, 'http-method', 'TRACE', '/eth', {}, ''],
    ['OPTIONS without a plugin that answers it', 405, 'http-method', 'OPTIONS', '/eth', {}, ''],
    ['POST with Upgrade: websocket', 405, 'http-method', 'POST', '/eth', { ...JSON_TYPE, ...length, connection: 'upgrade', upgrade: 'websocket' }, CALL],
    ['POST with Upgrade: h2c', 400, 'bad-upgrade', 'POST', '/eth', { ...JSON_TYPE, ...length, connection: 'upgrade', upgrade: 'h2c' }, CALL],
    ['a text', 415, 'content-type', 'POST', '/eth', { 'content-type': 'text/plain' }, CALL],
    ['a form', 415, 'content-type', 'POST', '/eth', { 'content-type': 'application/x-www-form-urlencoded' }, CALL],
    ['a type that only begins like JSON', 415, 'content-type', 'POST', '/eth', { 'content-type': 'application/jsonx' }, CALL],
    ['a gzipped body', 415, 'content-encoding', 'POST', '/eth', { ...JSON_TYPE, 'content-encoding': 'gzip' }, gzipSync(CALL)],
    ['a brotli body', 415, 'content-encoding', 'POST', '/eth', { ...JSON_TYPE, 'content-encoding': 'br' }, CALL],
    ['a body that says it is too large', 413, 'body-too-large', 'POST', '/eth', JSON_TYPE, Buffer.alloc(10_001, 0x20)],
    ['a chunked body that is too large', 413, 'body-too-large', 'POST', '/eth', { ...JSON_TYPE, 'transfer-encoding': 'chunked' }, Buffer.alloc(10_001, 0x20)],
    ['an unknown path', 404, 'no-route', 'POST', '/', JSON_TYPE, CALL],
    ['an unknown network', 404, 'no-route', 'POST', '/no-such-network', JSON_TYPE, CALL],
    ['a path with a part too many', 404, 'no-route', 'POST', '/eth/x', JSON_TYPE, CALL],
    ['a path that climbs', 400, 'bad-target', 'POST', '/eth/..%2feth', JSON_TYPE, CALL],
    ['a path with a bad escape', 400, 'bad-target', 'POST', '/eth%zz', JSON_TYPE, CALL],
    ['a path with a NUL', 400, 'bad-target', 'POST', '/eth%00', JSON_TYPE, CALL],
  ]
  test.each(refused)('%s', async (...[, status, reason, method, path, headers, body]) => {
    const answer = await send(method, path, headers, body)
    expect(answer.status).toBe(status)
    expect(answer.headers['content-type']).toBe('application/json')
    expect(JSON.parse(answer.body.toString())).toMatchObject({ jsonrpc: '2.0', id: null, error: { code: -32600, data: { reason } } })
    expect(node.requests).toEqual([])
  })

  test('405 says what is allowed', async () => {
    expect((await send('PUT', '/eth', {})).headers['allow']).toBe('POST, OPTIONS')
  })

  test.each([
    ['two lengths', `POST /eth HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: ${CALL.length}\r\n\r\n${CALL}`],
    ['a length and chunks', `POST /eth HTTP/1.1\r\nHost: x\r\nContent-Length: ${CALL.length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['no host', `POST /eth HTTP/1.1\r\nContent-Length: ${CALL.length}\r\n\r\n${CALL}`],
    ['a header that is folded', `POST /eth HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n`],
    ['headers over the limit', `POST /eth HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(40_000)}\r\n\r\n`],
    ['no HTTP', 'hello\r\n\r\n'],
  ])('a request with %s is refused and its connection closed', async (_, text) => {
    expect(await sendRaw(text)).toMatch(/^HTTP\/1\.1 4\d\d /)
    expect(node.requests).toEqual([])
  })
})

describe('what is JSON-RPC over HTTP is taken', () => {
  test.each([
    ['application/json', JSON_TYPE],
    ['application/json with a charset', { 'content-type': 'application/json; charset=utf-8' }],
    ['application/json-rpc', { 'content-type': 'application/json-rpc' }],
    ['application/jsonrequest', { 'content-type': 'Application/JSONRequest' }],
    ['no type', {}],
    ['the encoding identity', { ...JSON_TYPE, 'content-encoding': 'identity' }],
    ['chunks', { ...JSON_TYPE, 'transfer-encoding': 'chunked' }],
  ])('%s', async (_, headers) => {
    expect((await send('POST', '/eth', headers, CALL)).status).toBe(200)
  })

  test('a body in pieces is one frame', async () => {
    const text = await sendRaw(
      `POST /eth HTTP/1.1\r\nHost: x\r\nApikey: free-key\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n${CALL.slice(0, 5)}\r\n${(CALL.length - 5).toString(16)}\r\n${CALL.slice(5)}\r\n0\r\n\r\n`,
    )
    expect(text).toContain('"result":{"method":"eth_blockNumber"')
  })

  test('pipelined requests are answered in order', async () => {
    const one = (id: number, last: string) =>
      `POST /eth HTTP/1.1\r\nHost: x\r\nApikey: free-key\r\n${last}Content-Length: ${CALL.length}\r\n\r\n${CALL.replace('"id":1', `"id":${id}`)}`
    const text = await sendRaw(one(7, '') + one(8, '') + one(9, 'Connection: close\r\n'))
    expect(text.match(/"id":\d/g)).toEqual(['"id":7', '"id":8', '"id":9'])
  })
})

describe('answers are compressed', () => {
  const large = `"${'abcdefgh'.repeat(500)}"`

  test('when they are large and the client asks', async () => {
    node.next(reply(`{"jsonrpc":"2.0","id":{id},"result":${large}}`))
    const answer = await send('POST', '/eth', { ...JSON_TYPE, 'accept-encoding': 'gzip, br' }, CALL)
    expect(answer.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'Accept-Encoding' })
    expect(gunzipSync(answer.body).toString()).toBe(`{"jsonrpc":"2.0","id":1,"result":${large}}`)
  })

  test.each([
    ['small', '"0x1"', 'gzip'],
    ['not asked for', large, undefined],
    ['refused', large, 'gzip;q=0'],
    ['asked for in Brotli only', large, 'br'],
  ])('not when they are %s', async (_, result, accepted) => {
    node.next(reply(`{"jsonrpc":"2.0","id":{id},"result":${result}}`))
    const answer = await send('POST', '/eth', { ...JSON_TYPE, ...(accepted !== undefined && { 'accept-encoding': accepted }) }, CALL)
    expect(answer.headers['content-encoding']).toBeUndefined()
    expect(answer.body.toString()).toBe(`{"jsonrpc":"2.0","id":1,"result":${result}}`)
  })
})
