/**
 * A JSON scanner (RFC 8259) over wire text: it validates and finds ends, and builds nothing.
 * Total: every text has an answer, none throws. Depth is counted, never recursed into.
 */
import type { Wire } from './wire.ts'

/** What a scan answers instead of an end position. */
export const SYNTAX = -1
export const TOO_DEEP = -2

/** No document is scanned deeper than this, whatever the caller asks: the size of the container stack. */
export const MAX_SCAN_DEPTH = 16_384

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const MINUS = 0x2d
const DOT = 0x2e
const ZERO = 0x30
const NINE = 0x39

/** 1 where the open container is an object. Scans are synchronous, so one stack serves all. */
const stack = new Uint8Array(MAX_SCAN_DEPTH + 1)

/** The first position at or after `at` that is not JSON white space. */
export function skipSpace(text: Wire, at: number): number {
  for (;;) {
    const c = text.charCodeAt(at)
    if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return at
    at++
  }
}

/** `at` stands on the opening quote. Returns the position after the closing one, or SYNTAX. */
export function skipString(text: Wire, at: number): number {
  for (at++; ; at++) {
    const c = text.charCodeAt(at)
    if (c === QUOTE) return at + 1
    if (c === BACKSLASH) {
      at = skipEscape(text, at)
      if (at === SYNTAX) return SYNTAX
    } else if (!(c >= 0x20)) return SYNTAX // a control character, or NaN past the end
  }
}

/** `at` stands on the backslash. Returns the position of the escape's last character, or SYNTAX. */
function skipEscape(text: Wire, at: number): number {
  switch (text.charCodeAt(at + 1)) {
    case QUOTE:
    case BACKSLASH:
    case 0x2f: // /
    case 0x62: // b
    case 0x66: // f
    case 0x6e: // n
    case 0x72: // r
    case 0x74: // t
      return at + 1
    case 0x75: // uXXXX
      for (let i = at + 2; i < at + 6; i++) {
        const c = text.charCodeAt(i) | 0x20
        if (!((c >= ZERO && c <= NINE && text.charCodeAt(i) >= ZERO) || (c >= 0x61 && c <= 0x66))) return SYNTAX
      }
      return at + 5
    default:
      return SYNTAX
  }
}

function skipDigits(text: Wire, at: number): number {
  const from = at
  for (;;) {
    const c = text.charCodeAt(at)
    if (!(c >= ZERO && c <= NINE)) return at === from ? SYNTAX : at
    at++
  }
}

/** `at` stands on a minus or a digit. Returns the position after the number, or SYNTAX. */
function skipNumber(text: Wire, at: number): number {
  if (text.charCodeAt(at) === MINUS) at++
  at = text.charCodeAt(at) === ZERO ? at + 1 : skipDigits(text, at)
  if (at === SYNTAX) return SYNTAX
  if (text.charCodeAt(at) === DOT) {
    at = skipDigits(text, at + 1)
    if (at === SYNTAX) return SYNTAX
  }
  if ((text.charCodeAt(at) | 0x20) === 0x65) {
    const sign = text.charCodeAt(at + 1)
    at = skipDigits(text, sign === 0x2b || sign === MINUS ? at + 2 : at + 1)
  }
  return at
}

/** Skips a value that holds no other: string, number, literal. */
function skipScalar(text: Wire, at: number): number {
  const c = text.charCodeAt(at)
  if (c === QUOTE) return skipString(text, at)
  if (c === MINUS || (c >= ZERO && c <= NINE)) return skipNumber(text, at)
  if (text.startsWith('true', at) || text.startsWith('null', at)) return at + 4
  if (text.startsWith('false', at)) return at + 5
  return SYNTAX
}

/** Skips a member name and its colon. Returns the position of the value, or SYNTAX. */
function skipName(text: Wire, at: number): number {
  if (text.charCodeAt(at) !== QUOTE) return SYNTAX
  at = skipString(text, at)
  if (at === SYNTAX) return SYNTAX
  at = skipSpace(text, at)
  return text.charCodeAt(at) === COLON ? skipSpace(text, at + 1) : SYNTAX
}

/**
 * Skips one JSON value that starts at `at` (no white space before it). Returns the position after it, SYNTAX,
 * or TOO_DEEP when more than `maxDepth` containers are open at once.
 */
export function skipValue(text: Wire, at: number, maxDepth: number): number {
  let depth = 0
  for (;;) {
    const c = text.charCodeAt(at)
    if (c === OPEN_BRACE || c === OPEN_BRACKET) {
      if (++depth > maxDepth || depth > MAX_SCAN_DEPTH) return TOO_DEEP
      const isObject = c === OPEN_BRACE
      at = skipSpace(text, at + 1)
      if (text.charCodeAt(at) === (isObject ? CLOSE_BRACE : CLOSE_BRACKET)) {
        at++
        depth--
      } else {
        stack[depth] = isObject ? 1 : 0
        if (isObject && (at = skipName(text, at)) === SYNTAX) return SYNTAX
        continue
      }
    } else {
      at = skipScalar(text, at)
      if (at === SYNTAX) return SYNTAX
    }
    // A value has ended: close what closes, or go on to the next member.
    for (;;) {
      if (depth === 0) return at
      at = skipSpace(text, at)
      const d = text.charCodeAt(at)
      const isObject = stack[depth] === 1
      if (d === COMMA) {
        at = skipSpace(text, at + 1)
        if (isObject && (at = skipName(text, at)) === SYNTAX) return SYNTAX
        break
      }
      if (d !== (isObject ? CLOSE_BRACE : CLOSE_BRACKET)) return SYNTAX
      at++
      depth--
    }
  }
}
