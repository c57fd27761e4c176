/**
 * A JSON scanner (RFC 8259) over bytes: it validates and finds ends, and builds nothing. A value may come in pieces.
 * Total: all bytes have an answer, none throws. Depth is counted, never recursed into.
 * Bytes, not wire text: V8 14 reads a byte in 0.6 ns and a character of a string in 12 ns.
 */
import { machine } from './scan/machine.ts'
import {
  ACT_CLOSE_OBJECT,
  ACT_COMMA,
  ACT_END,
  ACT_END_NUMBER,
  ACT_OPEN_ARRAY,
  ACT_OPEN_OBJECT,
  ACT_WRONG,
  AFTER_VALUE,
  AT_FIRST,
  AT_FIRST_NAME,
  AT_NAME,
  AT_VALUE,
  BACKSLASH,
  IN_ARRAY,
  IN_NAME,
  IN_OBJECT,
  IN_STRING,
  MAX_SCAN_DEPTH,
  MORE,
  QUOTE,
  SPACE,
  SYNTAX,
  TOO_DEEP,
  TOO_MANY,
} from './scan/states.ts'
import { TABLE } from './scan/table.ts'

export { MAX_SCAN_DEPTH, MORE, QUOTE, SYNTAX, TOO_DEEP, TOO_MANY } from './scan/states.ts'

export const COMMA = 0x2c
export const COLON = 0x3a
export const OPEN_BRACKET = 0x5b
export const CLOSE_BRACKET = 0x5d
export const OPEN_BRACE = 0x7b
export const CLOSE_BRACE = 0x7d

/** The byte at a position; 0 past the end, which no JSON text has room for either. */
export function byteAt(bytes: Uint8Array, at: number): number {
  return at < bytes.length ? bytes[at]! : 0
}

/** The first position at or after `at` that is not JSON white space. */
export function skipSpace(bytes: Uint8Array, at: number): number {
  for (;;) {
    const c = byteAt(bytes, at)
    if (c !== SPACE && c !== 0x0a && c !== 0x0d && c !== 0x09) return at
    at++
  }
}

/** So many bytes of a value, and smaller pieces, are not worth setting the machine up, which takes half a microsecond. */
const SOON_BYTES = 1024
/** What the machine is given first, and how much more each time, so that little is copied for nothing where a value ends soon. */
const FIRST_WINDOW_BYTES = 4096
const WINDOW_GROWTH = 4
const MOST_VALUES = 0x7fffffff

/** Scans one value that may come in pieces. */
export class ValueScan {
  /** Values that were passed since the scan was made, in all that it has scanned. */
  values = 0
  private state: number = AT_VALUE
  private depth = 0
  private maxDepth = MAX_SCAN_DEPTH
  private maxValues = Infinity
  /** IN_OBJECT where the open container is an object. */
  private stack: Uint8Array = new Uint8Array(64)

  /** The next byte is the first of a value (no white space before it). */
  begin(maxDepth: number, maxValues = Infinity): void {
    this.state = AT_VALUE
    this.depth = 0
    this.maxDepth = Math.min(maxDepth, MAX_SCAN_DEPTH)
    this.maxValues = this.values + maxValues
    this.values++
  }

  /** Begins at `at` and scans. Answers as `scan` does. */
  start(bytes: Uint8Array, at: number, maxDepth: number, maxValues = Infinity): number {
    const plainEnd = maxValues > 0 ? skipPlainString(bytes, at) : MORE
    if (plainEnd !== MORE) {
      this.values++
      return plainEnd
    }
    this.begin(maxDepth, maxValues)
    const soon = Math.min(bytes.length, at + SOON_BYTES)
    const end = this.scanSmall(bytes, at, soon)
    return end === MORE && soon < bytes.length ? this.scanLarge(bytes, soon) : end
  }

  /**
   * Scans on at `at`. Returns the position after the value, MORE where it goes on after these bytes, SYNTAX, TOO_DEEP when
   * more than `maxDepth` containers are open at once, or TOO_MANY when it holds more than `maxValues` values.
   */
  scan(bytes: Uint8Array, at: number): number {
    return bytes.length - at > SOON_BYTES ? this.scanLarge(bytes, at) : this.scanSmall(bytes, at, bytes.length)
  }

  private scanSmall(bytes: Uint8Array, at: number, end: number): number {
    const table = TABLE
    const { maxDepth, maxValues } = this
    let { state, depth, values, stack } = this
    while (at < end) {
      const next = table[(state << 8) | bytes[at]!]!
      at++
      if (next < ACT_WRONG) {
        state = next
        if (next === IN_STRING || next === IN_NAME) at = skipPlain(bytes, at, end)
        continue
      }
      if (next === ACT_COMMA) {
        if (depth === 0) return this.ended(at - 1, values) // of a number
        if (++values > maxValues) return TOO_MANY
        state = stack[depth] === IN_OBJECT ? AT_NAME : AT_VALUE
      } else if (next === ACT_OPEN_OBJECT || next === ACT_OPEN_ARRAY) {
        if (++depth > maxDepth) return TOO_DEEP
        if (depth === stack.length) stack = this.grow()
        stack[depth] = next === ACT_OPEN_OBJECT ? IN_OBJECT : IN_ARRAY
        state = next === ACT_OPEN_OBJECT ? AT_FIRST_NAME : AT_FIRST
        values++ // the first in it
      } else if (next === ACT_WRONG) {
        return SYNTAX
      } else {
        if (next === ACT_END_NUMBER) at--
        else if (next !== ACT_END) {
          if (depth === 0) return this.ended(at - 1, values) // of a number
          if ((stack[depth] === IN_OBJECT) !== (next === ACT_CLOSE_OBJECT)) return SYNTAX
          if (state === AT_FIRST || state === AT_FIRST_NAME) values-- // there was none
          depth--
        }
        state = AFTER_VALUE
        if (depth === 0) return this.ended(at, values)
      }
    }
    this.state = state
    this.depth = depth
    this.values = values
    return MORE
  }

  private scanLarge(bytes: Uint8Array, at: number): number {
    machine.load(this.state, this.stack, this.depth)
    for (let size = FIRST_WINDOW_BYTES; at < bytes.length; size *= WINDOW_GROWTH) {
      const taken = machine.take(bytes, at, size)
      const end = machine.scan(taken, this.maxDepth, Math.min(this.maxValues - this.values, MOST_VALUES))
      this.values += machine.values
      if (end >= 0) return this.ended(at + end, this.values)
      if (end !== MORE) return end
      at += taken
    }
    this.state = machine.state
    this.depth = machine.depth
    while (this.depth >= this.stack.length) this.grow()
    machine.store(this.stack)
    return MORE
  }

  /** Answers as `scan` does where nothing follows: `at` is the end of the text. A number has no end of its own. */
  finish(at: number): number {
    return this.depth === 0 && TABLE[this.state << 8] === ACT_END_NUMBER ? this.ended(at, this.values) : SYNTAX
  }

  private ended(at: number, values: number): number {
    this.values = values
    return values > this.maxValues ? TOO_MANY : at
  }

  private grow(): Uint8Array {
    const stack = new Uint8Array(this.stack.length * 2)
    stack.set(this.stack)
    return (this.stack = stack)
  }
}

/** The first position at or after `at` that is no plain character of a string: a quote, a backslash, a control character, or the end. */
function skipPlain(bytes: Uint8Array, at: number, end: number): number {
  for (; at < end; at++) {
    const c = bytes[at]!
    if (c === QUOTE || c === BACKSLASH || c < SPACE) return at
  }
  return at
}

/** Where a short string without escapes ends that starts at `at`, as most values of a call are: after its closing quote. MORE where it takes a whole scan. */
function skipPlainString(bytes: Uint8Array, at: number): number {
  if (byteAt(bytes, at) !== QUOTE) return MORE
  const end = skipPlain(bytes, at + 1, Math.min(bytes.length, at + SOON_BYTES))
  return byteAt(bytes, end) === QUOTE ? end + 1 : MORE
}

/** Scans are synchronous, so one serves all that have their value in one piece. */
const scan = new ValueScan()

/** See `skipValue`; what many scans of one document pass together is the difference of two of these. */
export function valuesPassed(): number {
  return scan.values
}

/** Skips one JSON value, all of which is there, that starts at `at` (no white space before it). Answers as `ValueScan.scan` does, but for MORE. */
export function skipValue(bytes: Uint8Array, at: number, maxDepth: number, maxValues = Infinity): number {
  const end = scan.start(bytes, at, maxDepth, maxValues)
  return end === MORE ? scan.finish(bytes.length) : end
}

const nameScan = new ValueScan()

/** `at` stands on the opening quote. Returns the position after the closing one, or SYNTAX. */
export function skipString(bytes: Uint8Array, at: number): number {
  const end = nameScan.start(bytes, at, 0)
  return end === MORE ? SYNTAX : end
}
