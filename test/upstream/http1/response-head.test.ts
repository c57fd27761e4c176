/** What counts as the head of a response, and what it says about the body that follows. */
import { describe, expect, test } from 'vitest'
import { readHead } from '../../../core/upstream/http1/response-head.ts'

function head(...lines: readonly string[]) {
  return readHead(lines.map((line) => `${line}\r\n`).join(''))
}

describe('a head', () => {
  test('tells status and length', () => {
    expect(head('HTTP/1.1 200 OK', 'Content-Type: application/json', 'Content-Length: 45', 'Date: Sat, 21 Nov 2026 03:25:26 GMT')).toEqual({
      status: 200,
      framing: 45,
      isKept: true,
      keptMs: undefined,
      encoding: undefined,
      retryAfter: undefined,
      date: 'Sat, 21 Nov 2026 03:25:26 GMT',
    })
  })

  test.each([
    [['HTTP/1.1 200 OK', 'content-length: 3'], 3, true],
    [['HTTP/1.1 200 OK', 'CONTENT-LENGTH:   3\t'], 3, true],
    [['HTTP/1.1 200', 'content-length: 0'], 0, true],
    [['HTTP/1.1 200 ', 'transfer-encoding: Chunked'], 'chunked', true],
    [['HTTP/1.1 200 OK'], 'until-close', false],
    [['HTTP/1.1 204 No Content'], 0, true],
    [['HTTP/1.1 304 Not Modified', 'content-length: 10'], 0, true],
    [['HTTP/1.1 100 Continue'], 0, true],
    [['HTTP/1.1 200 OK', 'content-length: 3', 'connection: close'], 3, false],
    [['HTTP/1.1 200 OK', 'content-length: 3', 'connection: x', 'connection: y, Close'], 3, false],
    [['HTTP/1.0 200 OK', 'content-length: 3'], 3, false],
    [['HTTP/1.0 200 OK', 'content-length: 3', 'connection: Keep-Alive'], 3, true],
  ])('%j has a body of %j, and another request may follow: %j', (lines, framing, isKept) => {
    expect(head(...lines)).toMatchObject({ framing, isKept })
  })

  test.each([
    ['timeout=5', 5000],
    ['timeout=5, max=100', 5000],
    ['max=100,timeout=75', 75_000],
    ['max=100', undefined],
    ['timeout=soon', undefined],
  ])('Keep-Alive: %s keeps an idle connection for %s ms', (value, ms) => {
    expect(head('HTTP/1.1 200 OK', 'content-length: 0', `keep-alive: ${value}`)?.keptMs).toBe(ms)
  })

  test('tells encodings as a list where there are several', () => {
    expect(head('HTTP/1.1 200 OK', 'content-encoding: gzip')?.encoding).toBe('gzip')
    expect(head('HTTP/1.1 200 OK', 'content-encoding: GZIP', 'content-encoding: br')?.encoding).toBe('gzip, br')
  })
})

describe('no head', () => {
  test.each([
    ['another protocol', 'SSH-2.0-x\r\n'],
    ['another version', 'HTTP/2 200 OK\r\n'],
    ['a version of one digit more', 'HTTP/1.10 200 OK\r\n'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\n'],
    ['a status over 599', 'HTTP/1.1 600 OK\r\n'],
    ['a bare line feed', 'HTTP/1.1 200 OK\nx: y\r\n'],
    ['a bare carriage return', 'HTTP/1.1 200 OK\r\nx: a\rb\r\n'],
    ['a NUL', 'HTTP/1.1 200 OK\r\nx: a\0b\r\n'],
    ['a folded line', 'HTTP/1.1 200 OK\r\nx: a\r\n b\r\n'],
    ['a space before the colon', 'HTTP/1.1 200 OK\r\ncontent-length : 3\r\n'],
    ['a line without a colon', 'HTTP/1.1 200 OK\r\nx\r\n'],
    ['a header without a name', 'HTTP/1.1 200 OK\r\n: x\r\n'],
    ['an empty line in the middle', 'HTTP/1.1 200 OK\r\n\r\nx: y\r\n'],
    ['a last line without an end', 'HTTP/1.1 200 OK\r\nx: y'],
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 3\r\n'],
    ['a list of lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 3, 3\r\n'],
    ['a negative length', 'HTTP/1.1 200 OK\r\ncontent-length: -3\r\n'],
    ['a length with a sign', 'HTTP/1.1 200 OK\r\ncontent-length: +3\r\n'],
    ['a hexadecimal length', 'HTTP/1.1 200 OK\r\ncontent-length: 0x3\r\n'],
    ['an endless length', 'HTTP/1.1 200 OK\r\ncontent-length: 9999999999999999\r\n'],
    ['no length after its name', 'HTTP/1.1 200 OK\r\ncontent-length:\r\n'],
    ['a length and chunks', 'HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n'],
    ['another coding', 'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n'],
    ['two codings', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n'],
    ['chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n'],
  ])('%s', (_, text) => {
    expect(readHead(text)).toBeUndefined()
  })

  test('is found out in no time, however long it is', () => {
    const startedAt = performance.now()
    const linesOnly = readHead(`HTTP/1.1 200 OK\r\n${'a:b\r\n'.repeat(3000)}`)
    const lineWithout = readHead(`HTTP/1.1 200 OK\r\n${'a'.repeat(16_000)}`)
    expect([linesOnly?.status, lineWithout]).toEqual([200, undefined])
    expect(performance.now() - startedAt).toBeLessThan(1000) // a reader that goes back and forth takes minutes
  })
})
