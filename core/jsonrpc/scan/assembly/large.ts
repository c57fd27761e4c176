/**
 * AssemblyScript: the loop of `ValueScan.scan` for what is large, 16 bytes at a time within strings. It goes by the same table, and a
 * test holds it to the same answers. `npm run docs` compiles it into ../wasm.ts.
 */
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
  MORE,
  QUOTE,
  REGISTERS_AT,
  SPACE,
  STACK_AT,
  SYNTAX,
  TABLE_AT,
  TOO_DEEP,
  TOO_MANY,
  WINDOW_AT,
} from '../states.ts'

/** A quote's difference to a space, a space, a backslash. Loaded once for each scan: V8 makes a constant anew wherever it is used. */
const PLAIN = memory.data<u8>([<u8>(QUOTE ^ SPACE), <u8>SPACE, <u8>BACKSLASH])

/** Scans so many bytes of the window, from the state in the registers on. Answers as `ValueScan.scan` does, positions counted from the window's beginning. */
export function scan(length: i32, maxDepth: i32, maxValues: i32): i32 {
  const toSpace = v128.load8_splat(PLAIN)
  const space = v128.load8_splat(PLAIN, 1)
  const backslash = v128.load8_splat(PLAIN, 2)
  const end = WINDOW_AT + length
  let at = WINDOW_AT
  let state = load<i32>(REGISTERS_AT)
  let depth = load<i32>(REGISTERS_AT, 4)
  let values = load<i32>(REGISTERS_AT, 8)
  if (state == IN_STRING || state == IN_NAME) at = skipPlain(at, end, toSpace, space, backslash)
  while (at < end) {
    const next = <i32>load<u8>(TABLE_AT + ((state << 8) | load<u8>(at)))
    at++
    if (next < ACT_WRONG) {
      state = next
      if (next == IN_STRING || next == IN_NAME) at = skipPlain(at, end, toSpace, space, backslash)
      continue
    }
    if (next == ACT_COMMA) {
      if (depth == 0) return leave(at - 1 - WINDOW_AT, state, depth, values) // of a number
      if (++values > maxValues) return TOO_MANY
      state = load<u8>(STACK_AT + depth) == IN_OBJECT ? AT_NAME : AT_VALUE
    } else if (next == ACT_OPEN_OBJECT || next == ACT_OPEN_ARRAY) {
      if (++depth > maxDepth) return TOO_DEEP
      store<u8>(STACK_AT + depth, next == ACT_OPEN_OBJECT ? IN_OBJECT : IN_ARRAY)
      state = next == ACT_OPEN_OBJECT ? AT_FIRST_NAME : AT_FIRST
      values++ // the first in it
    } else if (next == ACT_WRONG) {
      return SYNTAX
    } else {
      if (next == ACT_END_NUMBER) at--
      else if (next != ACT_END) {
        if (depth == 0) return leave(at - 1 - WINDOW_AT, state, depth, values) // of a number
        if ((load<u8>(STACK_AT + depth) == IN_OBJECT) != (next == ACT_CLOSE_OBJECT)) return SYNTAX
        if (state == AT_FIRST || state == AT_FIRST_NAME) values-- // there was none
        depth--
      }
      state = AFTER_VALUE
      if (depth == 0) return leave(at - WINDOW_AT, state, depth, values)
    }
  }
  return leave(MORE, state, depth, values)
}

function leave(answer: i32, state: i32, depth: i32, values: i32): i32 {
  store<i32>(REGISTERS_AT, state)
  store<i32>(REGISTERS_AT, depth, 4)
  store<i32>(REGISTERS_AT, values, 8)
  return answer
}

/** The first position at or after `at` that is no plain character of a string: a quote, a backslash, a control character, or the end. */
function skipPlain(at: i32, end: i32, toSpace: v128, space: v128, backslash: v128): i32 {
  while (at + 16 <= end) {
    const x = v128.load(at)
    // At most a space is then what was below a space, or a quote.
    const turned = v128.xor(x, toSpace)
    const isLow = i8x16.eq(turned, i8x16.min_u(turned, space))
    const marks = i8x16.bitmask(v128.or(isLow, i8x16.eq(x, backslash)))
    if (marks != 0) return at + ctz(marks)
    at += 16
  }
  while (at < end) {
    const c = <i32>load<u8>(at)
    if (c == QUOTE || c == BACKSLASH || c < SPACE) return at
    at++
  }
  return at
}
