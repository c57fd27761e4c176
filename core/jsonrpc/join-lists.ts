/** One JSON array made of several, as text: their elements in order, each as it was written. */
import { CLOSE_BRACKET, OPEN_BRACKET, skipSpace } from './scan.ts'
import type { Payload } from './encode.ts'

/** The elements of all lists as one list; undefined where one of them is no list. Each is the source text of a value. */
export function joinLists(lists: readonly Payload[]): Payload | undefined {
  const pieces: Buffer[] = []
  let isText = true
  for (const list of lists) {
    isText &&= typeof list === 'string'
    const bytes = typeof list === 'string' ? Buffer.from(list, 'latin1') : Buffer.from(list.buffer, list.byteOffset, list.byteLength)
    if (bytes[0] !== OPEN_BRACKET || bytes.at(-1) !== CLOSE_BRACKET) return undefined
    const first = skipSpace(bytes, 1)
    if (first === bytes.length - 1) continue
    pieces.push(pieces.length === 0 ? OPEN : COMMA, bytes.subarray(first, -1))
  }
  const joined = pieces.length === 0 ? EMPTY : Buffer.concat([...pieces, CLOSE])
  return isText ? joined.toString('latin1') : joined
}

const OPEN = Buffer.from('[')
const COMMA = Buffer.from(',')
const CLOSE = Buffer.from(']')
const EMPTY = Buffer.from('[]')
