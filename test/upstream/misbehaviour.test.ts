/** What a node may do wrong, and what becomes of the calls. One row per lie. */
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { drip, endless, hang, http, raw, reply, reset } from '../support/scripted-node.ts'
import { ask, oneNode, upstreamOf } from './fixture.ts'
import type { Script } from '../support/scripted-node.ts'

const HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n'
const CHUNKED = `${HEAD}transfer-encoding: chunked\r\n\r\n`
const RESULT = '{"jsonrpc":"2.0","id":{id},"result":"0x1"}'
const ERROR = '{"code":3,"message":"execution reverted","data":"0x08c379a0"}'
const SPACES = Buffer.alloc(65_536, 0x20)

/** A compressed answer to call 1; `change` may spoil the bytes. */
function gzipped(change: (bytes: Buffer) => Buffer = (bytes) => bytes): Script {
  const bytes = change(gzipSync(RESULT.replace('{id}', '1')))
  return raw(http(bytes.toString('latin1'), 200, { 'content-encoding': 'gzip' }))
}

describe('a single call', () => {
  test.each<[what: string, script: Script, outcome: string]>([
    ['an answer', reply(RESULT), 'result "0x1"'],
    ['an answer in chunks', raw(`${CHUNKED}8\r\n{"id":1,\r\nb\r\n"result":7}\r\n0\r\n\r\n`), 'result 7'],
    ['an answer that ends with the connection', raw(`${HEAD}\r\n${RESULT}`, true), 'result "0x1"'],
    ['an answer after an early hint', raw(`HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n${http('{"id":1,"result":7}')}`), 'result 7'],
    ['an answer with white space around it', reply(` \r\n\t${RESULT} \n`), 'result "0x1"'],
    ['an answer with a foreign content type', reply(RESULT, 200, { 'content-type': 'text/plain' }), 'result "0x1"'],
    ['a null result', reply('{"id":{id},"result":null}'), 'result null'],
    ['a result beside a null error', reply('{"id":{id},"result":5,"error":null}'), 'result 5'],
    ['an error', reply(`{"jsonrpc":"2.0","id":{id},"error":${ERROR}}`), `error ${ERROR}`],
    ['an error with status 400', reply(`{"jsonrpc":"2.0","id":{id},"error":${ERROR}}`, 400), `error ${ERROR}`],
    ['an error with status 503', reply(`{"jsonrpc":"2.0","id":{id},"error":${ERROR}}`, 503), `error ${ERROR}`],
    ['a result with status 500', reply(RESULT, 500), 'upstreamUnavailable http-status'],
    ["another call's error with status 500", reply(`{"id":999,"error":${ERROR}}`, 500), 'upstreamUnavailable http-status'],
    ['an error of nobody with status 429', reply(`{"id":null,"error":${ERROR}}`, 429), 'upstreamUnavailable http-status'],
    ['an HTML page with status 502', reply('<html>Bad gateway</html>', 502), 'upstreamUnavailable http-status'],
    ['an HTML page with status 200', reply('<html>Welcome</html>', 200, { 'content-type': 'text/html' }), 'upstreamUnavailable not-json'],
    ['an empty page', reply(''), 'upstreamUnavailable not-json'],
    ['no content', raw('HTTP/1.1 204 No Content\r\n\r\n'), 'upstreamUnavailable not-json'],
    ['a redirect', reply('', 302, { location: 'http://127.0.0.1:1/' }), 'upstreamUnavailable redirect'],
    ['a redirect with an answer in it', reply(RESULT, 308, { location: '/' }), 'upstreamUnavailable redirect'],
    ['half an answer', reply('{"jsonrpc":"2.0","id":{id},"result":"0x'), 'upstreamUnavailable not-json'],
    ['two answers', reply(`${RESULT}${RESULT}`), 'upstreamUnavailable not-json'],
    ['a byte order mark', reply(`\u00ef\u00bb\u00bf${RESULT}`), 'upstreamUnavailable not-json'],
    ['invalid UTF-8', reply('{"jsonrpc":"2.0","id":{id},"result":"\u00ff"}'), 'upstreamUnavailable not-json'],
    ['a number', reply('42'), 'upstreamUnavailable not-json'],
    ['an object that is no answer', reply('{"id":{id},"status":"up"}'), 'upstreamUnavailable bad-answer'],
    ['a notification', reply('{"jsonrpc":"2.0","method":"eth_subscription","params":{}}'), 'upstreamUnavailable bad-answer'],
    ['a result and an error', reply(`{"id":{id},"result":1,"error":${ERROR}}`), 'upstreamUnavailable bad-answer'],
    ['two results', reply('{"id":{id},"result":1,"result":2}'), 'upstreamUnavailable bad-answer'],
    ['two ids', reply('{"id":{id},"id":{id},"result":1}'), 'upstreamUnavailable bad-answer'],
    ['an error that is a string', reply('{"id":{id},"error":"no"}'), 'upstreamUnavailable bad-answer'],
    ['a batch', reply(`[${RESULT}]`), 'upstreamUnavailable bad-answer'],
    ['a wrong id', reply('{"jsonrpc":"2.0","id":4711,"result":1}'), 'upstreamUnavailable wrong-id'],
    ['the id as a string', reply('{"jsonrpc":"2.0","id":"{id}","result":1}'), 'upstreamUnavailable wrong-id'],
    ['a result without an id', reply('{"jsonrpc":"2.0","result":1}'), 'upstreamUnavailable wrong-id'],
    ['a result with a null id', reply('{"jsonrpc":"2.0","id":null,"result":1}'), 'upstreamUnavailable wrong-id'],
    ['an error with a null id', reply(`{"jsonrpc":"2.0","id":null,"error":${ERROR}}`), 'upstreamUnavailable null-id'],
    ['an error without an id', reply(`{"jsonrpc":"2.0","error":${ERROR}}`), 'upstreamUnavailable null-id'],
    ['gzip', gzipped(), 'result "0x1"'],
    ['gzip in two members', gzipped(() => Buffer.concat([gzipSync('{"id":1,'), gzipSync('"result":2}')])), 'result 2'],
    ['gzip that is cut short', gzipped((bytes) => bytes.subarray(0, -4)), 'upstreamUnavailable bad-encoding'],
    ['gzip that is none', gzipped(() => Buffer.from('not gzip')), 'upstreamUnavailable bad-encoding'],
    ['gzip of nothing at all', gzipped(() => Buffer.alloc(0)), 'upstreamUnavailable bad-encoding'],
    ['an encoding that was not asked for', reply(RESULT, 200, { 'content-encoding': 'br' }), 'upstreamUnavailable bad-encoding'],
    ['two encodings', reply(RESULT, 200, { 'content-encoding': 'gzip, gzip' }), 'upstreamUnavailable bad-encoding'],
    ['the encoding identity', reply(RESULT, 200, { 'content-encoding': 'identity' }), 'result "0x1"'],
    ['a Content-Length above the cap', raw(`${HEAD}content-length: 99999999\r\n\r\n`), 'upstreamUnavailable too-large'],
    ['an endless body', endless(`${HEAD}\r\n`, SPACES), 'upstreamUnavailable too-large'],
    [
      'endless gzip',
      endless(`${HEAD}content-encoding: gzip\r\n\r\n`, Buffer.concat(Array.from({ length: 500 }, () => gzipSync(SPACES)))),
      'upstreamUnavailable too-large',
    ],
    ['a small gzip bomb', gzipped(() => gzipSync(Buffer.alloc(8 << 20, 0x20))), 'upstreamUnavailable too-large'],
    ['a body that is shorter than it said', raw(`${HEAD}content-length: 100\r\n\r\n{"jsonrpc":"2.0",`, true), 'upstreamUnavailable connection-lost'],
    ['a body that is longer than it said', raw(`${HEAD}content-length: 2\r\n\r\n${RESULT}`), 'upstreamUnavailable not-json'],
    ['a chunk that is cut short', raw(`${CHUNKED}ff\r\n{"id"`, true), 'upstreamUnavailable connection-lost'],
    ['a chunk without a size', raw(`${CHUNKED}zz\r\n{"id"`), 'upstreamUnavailable not-http'],
    [
      'Content-Length and chunks at once',
      raw(`${HEAD}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`),
      'upstreamUnavailable connection-lost',
    ],
    ['a Content-Length that is none', raw(`${HEAD}content-length: five\r\n\r\n`), 'upstreamUnavailable not-http'],
    ['no HTTP', raw('SSH-2.0-OpenSSH_9.6\r\n'), 'upstreamUnavailable not-http'],
    ['endless headers', endless('HTTP/1.1 200 OK\r\n', Buffer.from(`x: ${'y'.repeat(1000)}\r\n`)), 'upstreamUnavailable not-http'],
    ['an upgrade', raw('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'), 'upstreamUnavailable connection-lost'],
    ['a connection that is closed', (_request, socket) => socket.end(), 'upstreamUnavailable connection-lost'],
    ['a connection that is reset', reset, 'upstreamUnavailable connection-lost'],
  ])('is met with %s', async (_what, script, outcome) => {
    const node = await oneNode()
    node.next(script)
    const upstream = upstreamOf([node.url])
    expect(await ask(upstream, 'eth_call')).toEqual([outcome])
    expect(await ask(upstream, 'eth_call'), 'the next call has its own answer').toEqual(['result {"method":"eth_call","params":[]}'])
  })
})

describe('a single call, out of patience', () => {
  test.each<[what: string, script: Script, outcome: string]>([
    ['silence', hang, 'upstreamTimeout read-timeout'],
    ['silence after the headers', raw(`${HEAD}content-length: 9\r\n\r\n`), 'upstreamTimeout read-timeout'],
    ['silence within the body', raw(`${HEAD}content-length: 90\r\n\r\n{"jsonrpc"`), 'upstreamTimeout read-timeout'],
    ['silence within gzip', raw(`${HEAD}content-encoding: gzip\r\n\r\n\u001f\u008b`), 'upstreamTimeout read-timeout'],
    ['a body that drips', drip(`${HEAD}\r\n`, ' ', 10), 'upstreamTimeout total-timeout'],
  ])('is met with %s', async (_what, script, outcome) => {
    const node = await oneNode()
    node.next(script)
    const upstream = upstreamOf([node.url], { readTimeoutMs: 200, totalTimeoutMs: 350 })
    expect(await ask(upstream, 'eth_call')).toEqual([outcome])
    await node.deserted()
  })
})

describe('a batch', () => {
  const a = '{"jsonrpc":"2.0","id":{id},"result":"a"}'
  const b = '{"jsonrpc":"2.0","id":{id+1},"result":"b"}'
  const c = '{"jsonrpc":"2.0","id":{id+2},"result":"c"}'
  const missing = 'upstreamUnavailable missing-answer'

  test.each<[what: string, script: Script, outcomes: readonly string[]]>([
    ['all answers', reply(`[${a},${b},${c}]`), ['result "a"', 'result "b"', 'result "c"']],
    ['all answers in another order', reply(`[${c},${a},${b}]`), ['result "a"', 'result "b"', 'result "c"']],
    ['an error among them', reply(`[${a},{"id":{id+1},"error":${ERROR}},${c}]`), ['result "a"', `error ${ERROR}`, 'result "c"']],
    ['one too few', reply(`[${a},${c}]`), ['result "a"', missing, 'result "c"']],
    ['one too many', reply(`[${a},{"id":4711,"result":0},${b},${c}]`), ['result "a"', 'result "b"', 'result "c"']],
    ['one twice', reply(`[${a},${b},${b},${c}]`), ['result "a"', 'upstreamUnavailable duplicate-id', 'result "c"']],
    ['one three times', reply(`[${a},${b},${b},${c},${b}]`), ['result "a"', 'upstreamUnavailable duplicate-id', 'result "c"']],
    ['a fraction as an id', reply(`[${a},{"id":{id+1}.5,"result":0},${c}]`), ['result "a"', missing, 'result "c"']],
    ['a null id', reply(`[${a},{"id":null,"error":${ERROR}},${c}]`), ['result "a"', missing, 'result "c"']],
    ['a member that is no object', reply(`[${a},17,${c}]`), ['result "a"', missing, 'result "c"']],
    ['a member without a result', reply(`[${a},{"id":{id+1},"method":"m"},${c}]`), ['result "a"', 'upstreamUnavailable bad-answer', 'result "c"']],
    ['an empty batch', reply('[]'), [missing, missing, missing]],
    ['one answer', reply(a), ['upstreamUnavailable bad-answer', 'upstreamUnavailable bad-answer', 'upstreamUnavailable bad-answer']],
    [
      'an error of nobody',
      reply(`{"id":null,"error":${ERROR}}`),
      ['upstreamUnavailable null-id', 'upstreamUnavailable null-id', 'upstreamUnavailable null-id'],
    ],
    [
      'an error with status 413',
      reply('Too large', 413),
      ['upstreamUnavailable http-status', 'upstreamUnavailable http-status', 'upstreamUnavailable http-status'],
    ],
    [
      'errors and a result with status 500',
      reply(`[${a},{"id":{id+1},"error":${ERROR}}]`, 500),
      ['upstreamUnavailable http-status', `error ${ERROR}`, 'upstreamUnavailable http-status'],
    ],
    ['half of it', reply(`[${a},${b},{"id":`), ['upstreamUnavailable not-json', 'upstreamUnavailable not-json', 'upstreamUnavailable not-json']],
    ['a reset', reset, ['upstreamUnavailable connection-lost', 'upstreamUnavailable connection-lost', 'upstreamUnavailable connection-lost']],
  ])('is met with %s', async (_what, script, outcomes) => {
    const node = await oneNode()
    node.next(script)
    expect(await ask(upstreamOf([node.url]), 'eth_call', 'eth_getLogs', 'net_version')).toEqual(outcomes)
  })
})
