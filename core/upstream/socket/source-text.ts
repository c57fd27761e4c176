/** Cuts the source text of an object or an array into the source texts of its members: what is passed on is never rebuilt. */
import {
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  MAX_SCAN_DEPTH,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
  SYNTAX,
  byteAt,
  skipSpace,
  skipString,
  skipValue,
} from '../../jsonrpc/scan.ts'
import type { Payload } from '../../jsonrpc/encode.ts'
import type { Wire } from '../../jsonrpc/wire.ts'

/** An object's members by name as it is written, in order; undefined for what is no object, or has a member twice. */
export function membersOf(text: Wire): ReadonlyMap<Wire, Wire> | undefined {
  const bytes = Buffer.from(text, 'latin1')
  const members = new Map<Wire, Wire>()
  let count = 0
  const isWhole = walk(bytes, OPEN_BRACE, CLOSE_BRACE, (at) => {
    const nameEnd = byteAt(bytes, at) === QUOTE ? skipString(bytes, at) : SYNTAX
    if (nameEnd === SYNTAX) return SYNTAX
    const colonAt = skipSpace(bytes, nameEnd)
    if (byteAt(bytes, colonAt) !== COLON) return SYNTAX
    const from = skipSpace(bytes, colonAt + 1)
    const end = skipValue(bytes, from, MAX_SCAN_DEPTH)
    members.set(text.slice(at + 1, nameEnd - 1), text.slice(from, end))
    count++
    return end
  })
  return isWhole && members.size === count ? members : undefined
}

/** An array's elements, in order; undefined for what is no array. */
export function elementsOf(text: Wire): readonly Wire[] | undefined {
  const bytes = Buffer.from(text, 'latin1')
  const elements: Wire[] = []
  const isWhole = walk(bytes, OPEN_BRACKET, CLOSE_BRACKET, (at) => {
    const end = skipValue(bytes, at, MAX_SCAN_DEPTH)
    elements.push(text.slice(at, end))
    return end
  })
  return isWhole ? elements : undefined
}

/** Payload as wire text. */
export function textOf(payload: Payload): Wire {
  return typeof payload === 'string' ? payload : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('latin1')
}

/** Goes from member to member; `skip` answers where one ends, or below 0 where it is none. */
function walk(bytes: Uint8Array, opener: number, closer: number, skip: (at: number) => number): boolean {
  let at = skipSpace(bytes, 0)
  if (byteAt(bytes, at) !== opener) return false
  at = skipSpace(bytes, at + 1)
  if (byteAt(bytes, at) === closer) return skipSpace(bytes, at + 1) === bytes.length
  for (;;) {
    at = skip(at)
    if (at < 0) return false
    at = skipSpace(bytes, at)
    const c = byteAt(bytes, at)
    if (c === closer) return skipSpace(bytes, at + 1) === bytes.length
    if (c !== COMMA) return false
    at = skipSpace(bytes, at + 1)
  }
}
