/** Methods that were read lately: each is the same string every time, which is made once, and whose hash is known to all who look it up. */
import { standsAt } from './names.ts'
import type { Wire } from './wire.ts'

/** A method, decoded, and as a JSON string. */
export interface Method {
  readonly name: string
  readonly text: Wire
}

interface Remembered extends Method {
  readonly bytes: Uint8Array
}

/** More than any node has methods. Two that meet in a place take turns. */
const PLACES = 1024
/** Of a text with its quotes. */
const MIN_BYTES = 4
const MAX_BYTES = 64

const places: (Remembered | undefined)[] = Array.from({ length: PLACES }, () => undefined)

/** The method whose text stands in [at, end), if it was read lately. */
export function findMethod(bytes: Uint8Array, at: number, end: number): Method | undefined {
  const length = end - at
  if (length < MIN_BYTES || length > MAX_BYTES) return undefined
  const method = places[placeOf(bytes, at, end)]
  return method !== undefined && method.bytes.length === length && standsAt(method.bytes, bytes, at) ? method : undefined
}

/** Reads a text that is ASCII and has no escapes, and remembers it. */
export function readMethod(source: Wire): Method {
  const { length } = source
  if (length < MIN_BYTES || length > MAX_BYTES) return { name: source.slice(1, -1), text: source }
  // Nothing that is remembered may be a part of something large: of a document, or of the memory that small buffers share.
  const bytes = Buffer.allocUnsafeSlow(length)
  bytes.write(source, 'latin1')
  const text = bytes.toString('latin1')
  const method = { name: text.slice(1, -1), text, bytes }
  places[placeOf(bytes, 0, length)] = method
  return method
}

/** Goes by what methods differ in: length, middle and end. */
function placeOf(bytes: Uint8Array, at: number, end: number): number {
  const middle = (at + end) >> 1
  return ((end - at) * 401 + bytes[middle]! * 61 + bytes[middle + 1]! * 17 + bytes[end - 2]! * 7 + bytes[end - 3]!) & (PLACES - 1)
}
