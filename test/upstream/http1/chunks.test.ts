/** Chunked bodies, however they are cut into packets. */
import { array, assert, boolean, nat, property, string } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Chunks } from '../../../core/upstream/http1/chunks.ts'

/** What a body holds, in how many of its bytes, and whether it has ended; undefined for what is none. */
function read(text: string, cuts: readonly number[] = []): { data: string; used: number; isOver: boolean } | undefined {
  const bytes = Buffer.from(text, 'latin1')
  const edges = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]
  const chunks = new Chunks()
  let data = ''
  let total = 0
  for (let i = 1; i < edges.length && !chunks.isOver; i++) {
    const used = chunks.push(bytes.subarray(edges[i - 1], edges[i]), (piece) => (data += piece.toString('latin1')))
    if (used === -1) return undefined
    total += used
  }
  return { data, used: total, isOver: chunks.isOver }
}

test('chunks are joined, whatever their packets', () => {
  assert(
    property(array(string({ minLength: 1, maxLength: 40, unit: 'binary-ascii' })), array(nat()), boolean(), (parts, cuts, hasTrailers) => {
      const body = parts.map((part) => `${part.length.toString(16)}${hasTrailers ? ';a=b' : ''}\r\n${part}\r\n`).join('')
      const text = `${body}0\r\n${hasTrailers ? 'x: y\r\nz: \r\n' : ''}\r\n`
      expect(read(text, cuts)).toEqual({ data: parts.join(''), used: text.length, isOver: true })
    }),
  )
})

test('what follows the last chunk is not the body’s', () => {
  expect(read('1\r\na\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n')).toEqual({ data: 'a', used: '1\r\na\r\n0\r\n\r\n'.length, isOver: true })
})

test('a body that breaks off has not ended', () => {
  expect(read('5\r\nab')).toEqual({ data: 'ab', used: 5, isOver: false })
  expect(read('2\r\nab\r\n0\r\n')).toMatchObject({ isOver: false })
})

describe('no chunks', () => {
  test.each([
    ['no size', '\r\n'],
    ['a size that is none', 'x\r\n'],
    ['a size with a sign', '+1\r\na\r\n'],
    ['a size with 0x', '0x1\r\na\r\n'],
    ['a size before a bare line feed', '1\na\r\n'],
    ['a size without an end', 'fffffffffffff\r\n'],
    ['more data than the size', '1\r\nab\r\n'],
    ['a NUL in an extension', '1;\0\r\na\r\n'],
    ['a trailer that is none', '0\r\nx\r\n\r\n'],
    ['an endless line', '1'.repeat(2000)],
    ['endless trailers', `0\r\n${'x: y\r\n'.repeat(5000)}`],
  ])('%s', (_, text) => {
    expect(read(text)).toBeUndefined()
  })
})
