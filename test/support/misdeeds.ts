/**
 * What a node may do wrong with one call, and what becomes of the call: the table that tests of an upstream and of a whole
 * gateway share. Each script spoils the request that it is given, and no other.
 */
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { answer, drip, endless, hang, http, raw, reply, reset } from './scripted-node.ts'
import type { Script } from './scripted-node.ts'

/** `outcome` is the row of the table of errors, and its word. */
type Misdeed = readonly [what: string, script: Script, outcome: string]

export const HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n'
export const CHUNKED = `${HEAD}transfer-encoding: chunked\r\n\r\n`
export const RESULT = '{"jsonrpc":"2.0","id":{id},"result":"0x1"}'
export const ERROR = '{"code":3,"message":"execution reverted","data":"0x08c379a0"}'
const SPACES = Buffer.alloc(65_536, 0x20)

/** A compressed answer; `compress` may spoil the bytes. */
export function compressed(compress: (text: string) => Buffer, encoding = 'gzip'): Script {
  return (request, socket) => {
    const bytes = compress(RESULT.replace('{id}', request.calls[0]!.id!))
    socket.write(http(bytes.toString('latin1'), 200, { 'content-encoding': encoding }), 'latin1')
  }
}

/** The right answer, and this text right behind it. */
function followedBy(text: string): Script {
  return (request, socket, node) => {
    socket.cork()
    answer(request, socket, node)
    raw(text)(request, socket, node)
    socket.uncork()
  }
}

/** At once. */
export const misdeeds: readonly Misdeed[] = [
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
  ['gzip that is cut short', compressed((text) => gzipSync(text).subarray(0, -4)), 'upstreamUnavailable bad-encoding'],
  ['gzip that is none', compressed(() => Buffer.from('not gzip')), 'upstreamUnavailable bad-encoding'],
  ['gzip of nothing at all', compressed(() => Buffer.alloc(0)), 'upstreamUnavailable bad-encoding'],
  ['Brotli, which nobody asks for', compressed(brotliCompressSync, 'br'), 'upstreamUnavailable bad-encoding'],
  ['deflate, which nobody asks for', compressed(deflateSync, 'deflate'), 'upstreamUnavailable bad-encoding'],
  ['two encodings', reply(RESULT, 200, { 'content-encoding': 'gzip, gzip' }), 'upstreamUnavailable bad-encoding'],
  ['a Content-Length above the cap', raw(`${HEAD}content-length: 99999999\r\n\r\n`), 'upstreamUnavailable too-large'],
  ['an endless body', endless(`${HEAD}\r\n`, SPACES), 'upstreamUnavailable too-large'],
  [
    'endless gzip',
    endless(`${HEAD}content-encoding: gzip\r\n\r\n`, Buffer.concat(Array.from({ length: 500 }, () => gzipSync(SPACES)))),
    'upstreamUnavailable too-large',
  ],
  ['a small gzip bomb', compressed(() => gzipSync(Buffer.alloc(8 << 20, 0x20))), 'upstreamUnavailable too-large'],
  ['a body that is shorter than it said', raw(`${HEAD}content-length: 100\r\n\r\n{"jsonrpc":"2.0",`, true), 'upstreamUnavailable connection-lost'],
  ['a body that is longer than it said', raw(`${HEAD}content-length: 2\r\n\r\n${RESULT}`), 'upstreamUnavailable not-json'],
  ['a chunk that is cut short', raw(`${CHUNKED}ff\r\n{"id"`, true), 'upstreamUnavailable connection-lost'],
  ['a chunk without a size', raw(`${CHUNKED}zz\r\n{"id"`), 'upstreamUnavailable not-http'],
  ['Content-Length and chunks at once', raw(`${HEAD}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`), 'upstreamUnavailable not-http'],
  ['a Content-Length that is none', raw(`${HEAD}content-length: five\r\n\r\n`), 'upstreamUnavailable not-http'],
  ['no HTTP', raw('SSH-2.0-OpenSSH_9.6\r\n'), 'upstreamUnavailable not-http'],
  ['endless headers', endless('HTTP/1.1 200 OK\r\n', Buffer.from(`x: ${'y'.repeat(1000)}\r\n`)), 'upstreamUnavailable not-http'],
  ['an upgrade', raw('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'), 'upstreamUnavailable not-http'],
  ['a connection that is closed', (_request, socket) => socket.end(), 'upstreamUnavailable connection-lost'],
  ['a connection that is reset', reset, 'upstreamUnavailable connection-lost'],
]

/** Until nobody waits any more. Outcomes are those of a read timeout that is shorter than the total timeout. */
export const delays: readonly Misdeed[] = [
  ['silence', hang, 'upstreamTimeout read-timeout'],
  ['silence after the headers', raw(`${HEAD}content-length: 9\r\n\r\n`), 'upstreamTimeout read-timeout'],
  ['silence within the body', raw(`${HEAD}content-length: 90\r\n\r\n{"jsonrpc"`), 'upstreamTimeout read-timeout'],
  ['silence within gzip', raw(`${HEAD}content-encoding: gzip\r\n\r\n\u001f\u008b`), 'upstreamTimeout read-timeout'],
  ['a body that drips', drip(`${HEAD}\r\n`, ' ', 10), 'upstreamTimeout total-timeout'],
]

const STRAY = http('{"jsonrpc":"2.0","id":4711,"result":"stray"}')

/** The right answer, and on the same connection what nobody asked for: the call has its answer, and the next one has its own. */
export const leftovers: readonly (readonly [what: string, script: Script])[] = [
  ['another answer', followedBy(STRAY)],
  ['the same answer once more', followedBy(http(RESULT))],
  ['an answer to the call that comes next', followedBy(http('{"jsonrpc":"2.0","id":{id+1},"result":"early"}'))],
  ['half an answer', followedBy(STRAY.slice(0, 60))],
  ['what is no HTTP', followedBy('\u0000\u0001\u0002')],
  [
    'another answer a moment later',
    (request, socket, node) => {
      answer(request, socket, node)
      setTimeout(() => socket.write(STRAY), 5)
    },
  ],
  [
    'the end of the connection',
    (request, socket, node) => {
      answer(request, socket, node)
      socket.end()
    },
  ],
]
