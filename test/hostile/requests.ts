/** HTTP requests, written byte by byte, that one reader takes for something else than another, or that are more than fits. */

export const CALL = '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}'

/** A request as text: by default a call that is served. */
export function call({
  line = 'POST /eth HTTP/1.1',
  headers = '',
  body = CALL,
  host = 'Host: x\r\n',
  length,
}: Partial<Record<'line' | 'headers' | 'body' | 'host' | 'length', string>> = {}): string {
  return `${line}\r\n${host}Apikey: free-key\r\n${length ?? `Content-Length: ${body.length}\r\n`}${headers}\r\n${body}`
}

const chunked = (size = CALL.length.toString(16), rest = '0\r\n\r\n') => ({ length: 'Transfer-Encoding: chunked\r\n', body: `${size}\r\n${CALL}\r\n${rest}` })

/** A request that must never be read, in the body of another. */
export const SMUGGLED = call({ body: CALL.replace('eth_blockNumber', 'eth_chainId') })

/** By what is wrong with it: the request, and how it is refused. */
export const ambiguous: Record<string, readonly [request: string, status: number, reason: string]> = {
  'two Hosts': [call({ headers: 'Host: y\r\n' }), 400, 'duplicate-header'],
  'two Hosts in different spelling': [call({ headers: 'hOST: x\r\n' }), 400, 'duplicate-header'],
  'two Authorizations': [call({ headers: 'Authorization: Bearer a\r\nauthorization: Bearer b\r\n' }), 400, 'duplicate-header'],
  'two Content-Types': [call({ headers: 'Content-Type: application/json\r\nContent-Type: text/plain\r\n' }), 400, 'duplicate-header'],
  'two Content-Encodings': [call({ headers: 'Content-Encoding: identity\r\nContent-Encoding: identity\r\n' }), 400, 'duplicate-header'],
  'two equal Content-Lengths': [call({ headers: `Content-Length: ${CALL.length}\r\n` }), 400, 'bad-http'],
  'two Content-Lengths': [call({ headers: 'Content-Length: 0\r\n' }), 400, 'bad-http'],
  'a list of Content-Lengths': [call({ length: `Content-Length: ${CALL.length}, ${CALL.length}\r\n` }), 400, 'bad-http'],
  'a Content-Length with a sign': [call({ length: `Content-Length: +${CALL.length}\r\n` }), 400, 'bad-http'],
  'a Content-Length of 40 digits': [call({ length: `Content-Length: ${'9'.repeat(40)}\r\n` }), 400, 'bad-http'],
  'a Content-Length in hexadecimal': [call({ length: 'Content-Length: 0x33\r\n' }), 400, 'bad-http'],
  'a space before the colon': [call({ length: `Content-Length : ${CALL.length}\r\n` }), 400, 'bad-http'],
  'a length and chunks': [call({ ...chunked(), headers: 'Content-Length: 5\r\n' }), 400, 'bad-http'],
  'chunks and a length': [call({ body: '0\r\n\r\n', length: 'Content-Length: 5\r\n', headers: 'Transfer-Encoding: chunked\r\n' }), 400, 'bad-http'],
  'chunks in HTTP/1.0': [call({ ...chunked(), line: 'POST /eth HTTP/1.0' }), 400, 'transfer-encoding'],
  'chunks twice': [call({ ...chunked(), headers: 'Transfer-Encoding: chunked\r\n' }), 400, 'bad-http'],
  'chunks within gzip': [call({ ...chunked(), length: 'Transfer-Encoding: gzip, chunked\r\n' }), 400, 'transfer-encoding'],
  'chunks that are not last': [call({ ...chunked(), length: 'Transfer-Encoding: chunked, identity\r\n' }), 400, 'bad-http'],
  'a coding that is none': [call({ ...chunked(), length: 'Transfer-Encoding: xchunked\r\n' }), 400, 'transfer-encoding'],
  'a coding behind a control character': [call({ ...chunked(), length: 'Transfer-Encoding: \x0bchunked\r\n' }), 400, 'bad-http'],
  'a chunk whose size has a prefix': [call(chunked(`0x${CALL.length.toString(16)}`)), 400, 'bad-http'],
  'a chunk whose size overflows': [call(chunked(`ffffffffffffffff${CALL.length.toString(16)}`)), 400, 'bad-http'],
  'a chunk whose size is negative': [call(chunked('-33')), 400, 'bad-http'],
  'chunks that end with a bare line feed': [call({ ...chunked(), body: `33\n${CALL}\n0\n\n` }), 400, 'bad-http'],
  'a chunk that is longer than it says': [call(chunked('10')), 400, 'bad-http'],
  'a folded header': [call({ headers: 'X-Folded: a\r\n b\r\n' }), 400, 'bad-http'],
  'a folded Host': [call({ host: 'Host: x\r\n\ty\r\n' }), 400, 'bad-http'],
  'a header name with a space': [call({ headers: 'X Y: a\r\n' }), 400, 'bad-http'],
  'a header without a name': [call({ headers: ': a\r\n' }), 400, 'bad-http'],
  'a NUL in a header': [call({ headers: 'X: a\0b\r\n' }), 400, 'bad-http'],
  'a bare carriage return in a header': [call({ headers: 'X: a\rApikey: paid-key\r\n' }), 400, 'bad-http'],
  'line feeds alone': [call().replaceAll('\r\n', '\n'), 400, 'bad-http'],
  'no Host': [call({ host: '' }), 400, 'bad-target'],
  'an empty Host': [call({ host: 'Host:\r\n' }), 400, 'bad-target'],
  'a list of Hosts': [call({ host: 'Host: x, y\r\n' }), 400, 'bad-target'],
  'a Host with a path': [call({ host: 'Host: x/y\r\n' }), 400, 'bad-target'],
  'a Host with a user': [call({ host: 'Host: user@x\r\n' }), 400, 'bad-target'],
  'an absolute target that disagrees with Host': [call({ line: 'POST http://y/eth HTTP/1.1' }), 400, 'bad-target'],
  'an absolute target with a user': [call({ line: 'POST http://u@x/eth HTTP/1.1' }), 400, 'bad-target'],
  'an absolute target of another scheme': [call({ line: 'POST ftp://x/eth HTTP/1.1' }), 400, 'bad-target'],
  'a target that is no path': [call({ line: 'POST eth HTTP/1.1' }), 400, 'bad-http'],
  'an asterisk': [call({ line: 'OPTIONS * HTTP/1.1' }), 400, 'bad-target'],
  'a target with a fragment': [call({ line: 'POST /eth#x HTTP/1.1' }), 400, 'bad-target'],
  'a target with a space': [call({ line: 'POST /eth /x HTTP/1.1' }), 400, 'bad-http'],
  'a target that is no ASCII': [call({ line: 'POST /eth\xe9 HTTP/1.1' }), 400, 'bad-http'],
  'HTTP/2.0': [call({ line: 'POST /eth HTTP/2.0' }), 400, 'http-version'],
  'HTTP/1.2': [call({ line: 'POST /eth HTTP/1.2' }), 400, 'bad-http'],
  'the preface of HTTP/2': ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'bad-http'],
  'a method of its own': [call({ line: 'POSTX /eth HTTP/1.1' }), 400, 'bad-http'],
  'a TLS handshake': ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400, 'bad-http'],
  'an expectation that nobody can meet': [call({ headers: 'Expect: 200-ok\r\n' }), 417, 'expectation'],
  'two expectations': [call({ headers: 'Expect: 100-continue, 200-ok\r\n' }), 417, 'expectation'],
  'an upgrade by POST': [call({ headers: 'Connection: upgrade\r\nUpgrade: h2c\r\n' }), 400, 'bad-upgrade'],
  'a WebSocket by POST': [call({ headers: 'Connection: upgrade\r\nUpgrade: websocket\r\n' }), 405, 'http-method'],
  'an upgrade that the connection does not know of': [call({ headers: 'Upgrade: websocket\r\n' }), 405, 'http-method'],
  CONNECT: [call({ line: 'CONNECT x:80 HTTP/1.1', length: '', body: '' }), 405, 'http-method'],
  TRACE: [call({ line: 'TRACE /eth HTTP/1.1', length: '', body: '' }), 405, 'http-method'],
  PUT: [call({ line: 'PUT /eth HTTP/1.1' }), 405, 'http-method'],
  GET: [call({ line: 'GET /eth HTTP/1.1', length: '', body: '' }), 405, 'http-method'],
  'a foreign content type': [call({ headers: 'Content-Type: text/plain\r\n' }), 415, 'content-type'],
  'a body that is compressed': [call({ headers: 'Content-Encoding: gzip\r\n' }), 415, 'content-encoding'],
  '101 headers': [call({ headers: 'X: y\r\n'.repeat(98) }), 431, 'headers-too-large'],
  '2 500 headers': [call({ headers: 'X:\r\n'.repeat(2_497) }), 431, 'headers-too-large'],
  'headers of 16 KiB': [call({ headers: `X: ${'y'.repeat(16_384)}\r\n` }), 431, 'headers-too-large'],
  'a target of 16 KiB': [call({ line: `POST /eth?${'y'.repeat(16_384)} HTTP/1.1` }), 431, 'headers-too-large'],
  'trailers of 16 KiB': [call(chunked(undefined, `0\r\n${`X: ${'y'.repeat(1000)}\r\n`.repeat(20)}\r\n`)), 431, 'headers-too-large'],
}
