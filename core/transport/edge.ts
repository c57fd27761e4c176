/**
 * What is refused before it is a session: what node:http takes and two readers could take for two things (RFC 9112
 * sections 3 and 6, RFC 9110 section 5.3), and what is over a limit. Each refusal ends its connection.
 */
import { errors } from '../jsonrpc/errors.ts'
import { encodeRefusal, refusalHeaders } from '../pipeline/answer.ts'
import { HeaderList } from '../pipeline/header-list.ts'
import { refuse } from '../plugin/outcome.ts'
import { STATUS_CODES } from './node-http.ts'
import type { IncomingMessage } from 'node:http'
import type { Refusal, RefusalDetails } from '../plugin/outcome.ts'

const invalid = (why: string, status: number, message: string, details?: RefusalDetails): Refusal =>
  refuse('invalidRequest', why, { status, message, ...details })

export const edge = {
  badHttp: invalid('bad-http', 400, 'This is not HTTP/1.1'),
  badTarget: invalid('bad-target', 400, 'Bad request target or Host header'),
  version: invalid('http-version', 400, 'Only HTTP/1.1 and HTTP/1.0 are spoken here'),
  twin: invalid('duplicate-header', 400, 'A header that may stand once stands twice'),
  transferEncoding: invalid('transfer-encoding', 400, 'The only Transfer-Encoding is chunked, in HTTP/1.1'),
  upgrade: invalid(
    'bad-upgrade',
    400,
    'This is not a WebSocket handshake: send GET with Upgrade: websocket on a connection of its own, or POST without Upgrade',
  ),
  crumbled: invalid('crumbled', 400, 'The body comes in too many pieces for its size'),
  noRoute: invalid('no-route', 404, 'No such network or path'),
  method: invalid('http-method', 405, 'Send JSON-RPC with POST', { headers: { Allow: 'POST, OPTIONS' } }),
  handshake: invalid('http-method', 405, 'A WebSocket handshake is a GET', { headers: { Allow: 'GET' } }),
  tooSlow: invalid('too-slow', 408, 'The request did not arrive in time'),
  mediaType: invalid('content-type', 415, 'Content-Type must be application/json'),
  encoding: invalid('content-encoding', 415, 'Send the body without a Content-Encoding', { headers: { 'Accept-Encoding': 'identity' } }),
  expectation: invalid('expectation', 417, 'The only expectation that can be met is 100-continue'),
  headers: invalid('headers-too-large', 431, 'The headers are too many or too large'),
  connections: refuse('limited', 'too-many-connections', {
    message: 'Your address has too many connections open; use those that you have',
    retryAfterMs: 1000,
  }),
  pipelined: refuse('overloaded', 'too-many-pipelined', { message: 'Too many requests wait on this connection; read their answers first', retryAfterMs: 1000 }),
} satisfies Record<string, Refusal>

/**
 * What is wrong with the head of a request; undefined when nothing is. The server joins headers that stand twice
 * (`joinDuplicateHeaders`), so that without a comma nothing does.
 */
export function wrongWithHead(request: IncomingMessage, maxHeaders: number): Refusal | undefined {
  const { rawHeaders, headers, httpVersion } = request
  const { host, authorization, expect, 'content-type': type, 'content-encoding': encoding, 'transfer-encoding': coding } = headers
  if (rawHeaders.length > maxHeaders * 2) return edge.headers
  if ((hasComma(host) || hasComma(authorization) || hasComma(type) || hasComma(encoding)) && hasTwins(rawHeaders)) return edge.twin
  const isCurrent = httpVersion === '1.1'
  if (!isCurrent && httpVersion !== '1.0') return edge.version
  if (isCurrent && !host) return edge.badTarget
  if (coding !== undefined && (!isCurrent || coding.toLowerCase() !== 'chunked')) return edge.transferEncoding
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') return edge.expectation
  return undefined
}

function hasComma(value: string | undefined): boolean {
  return value !== undefined && value.includes(',')
}

/** Headers of which one reader takes the first and another the last. Lengths and codings are the parser's to refuse, and others match nothing once they are joined. */
const SINGLE = new Set(['host', 'authorization', 'content-type', 'content-encoding'])

function hasTwins(rawHeaders: readonly string[]): boolean {
  const names = rawHeaders.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase())
  const single = names.filter((name) => SINGLE.has(name))
  return new Set(single).size < single.length
}

/** A refusal as a whole HTTP answer that ends its connection: for sockets that node:http has no response for. */
export function bareAnswer(refusal: Refusal): string {
  const text = encodeRefusal('null', refusal, '')
  const headers = new HeaderList()
  headers.setAll({ Connection: 'close', 'Content-Type': 'application/json', 'Content-Length': String(text.length), ...refusalHeaders(refusal) })
  return `${headOf(refusal.status ?? errors[refusal.name].status, headers)}${text}`
}

/** The head of an HTTP answer. */
export function headOf(status: number, headers: HeaderList): string {
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${headers.text}\r\n`
}
