/**
 * AssemblyScript: the loop of `ValueScan.scan` for what is large, 16 bytes at a time within strings. It goes by the same table, and a
 * test holds it to the same answers. `npm run docs` compiles it into ../wasm.ts.
 */
import {
  ACT_CLOSE_ARRAY,
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
  IN_ARRAY,
  IN_NAME,
  IN_OBJECT,
  IN_STRING,
  MORE,
  REGISTERS_AT,
  STACK_AT,
  SYNTAX,
  TABLE_AT,
  TOO_DEEP,
  TOO_MANY,
  WINDOW_AT,
} from '../states.ts'

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const BACKSLASH = 0x5c
const SPACE = 0x20

/** Scans so many bytes of the window, from the state in the registers on. Answers as `ValueScan.scan` does, positions counted from the window's beginning. */
export function scan(length: i32, maxDepth: i32, maxValues: i32): i32 {
  const end = WINDOW_AT + length
  let at = WINDOW_AT
  let state = load<i32>(REGISTERS_AT)
  let depth = load<i32>(REGISTERS_AT, 4)
  let values = load<i32>(REGISTERS_AT, 8)
  if (state == IN_STRING || state == IN_NAME) at = skipPlain(at, end)
  while (at < end) {
    // What most of a large document is, past the table: a comma, and a string or a name with a string.
    if (state == AFTER_VALUE && depth > 0 && values < maxValues && at + 1 < end && load<u8>(at) == COMMA && load<u8>(at, 1) == QUOTE) {
      values++
      at = skipPlain(at + 2, end)
      state = IN_STRING
      if (load<u8>(STACK_AT + depth) == IN_OBJECT) {
        if (at + 2 < end && load<u8>(at) == QUOTE && load<u8>(at, 1) == COLON && load<u8>(at, 2) == QUOTE) at = skipPlain(at + 3, end)
        else state = IN_NAME
      }
      if (at == end) break
    }
    const next = <i32>load<u8>(TABLE_AT + ((state << 8) | load<u8>(at)))
    at++
    if (next < ACT_WRONG) {
      state = next
      if (next == IN_STRING || next == IN_NAME) at = skipPlain(at, end)
      continue
    }
    switch (next) {
      case ACT_END_NUMBER:
        at--
        if (depth == 0) return leave(at - WINDOW_AT, state, depth, values)
        state = AFTER_VALUE
        continue
      case ACT_COMMA:
        if (depth == 0) return leave(at - 1 - WINDOW_AT, state, depth, values) // of a number
        if (++values > maxValues) return TOO_MANY
        state = load<u8>(STACK_AT + depth) == IN_OBJECT ? AT_NAME : AT_VALUE
        continue
      case ACT_OPEN_OBJECT:
      case ACT_OPEN_ARRAY:
        if (++depth > maxDepth) return TOO_DEEP
        store<u8>(STACK_AT + depth, next == ACT_OPEN_OBJECT ? IN_OBJECT : IN_ARRAY)
        state = next == ACT_OPEN_OBJECT ? AT_FIRST_NAME : AT_FIRST
        values++ // the first in it
        continue
      case ACT_CLOSE_OBJECT:
      case ACT_CLOSE_ARRAY:
        if (depth == 0) return leave(at - 1 - WINDOW_AT, state, depth, values) // of a number
        if ((load<u8>(STACK_AT + depth) == IN_OBJECT) != (next == ACT_CLOSE_OBJECT)) return SYNTAX
        if (state == AT_FIRST || state == AT_FIRST_NAME) values-- // there was none
        depth--
        break
      case ACT_END:
        break
      default:
        return SYNTAX
    }
    state = AFTER_VALUE
    if (depth == 0) return leave(at - WINDOW_AT, state, depth, values)
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
function skipPlain(at: i32, end: i32): i32 {
  while (at + 16 <= end) {
    const x = v128.load(at)
    // What is below a space, or a quote: the bit in which a quote differs from a space turned, at most a space.
    const turned = v128.xor(x, i8x16.splat(<i8>(QUOTE ^ SPACE)))
    const isLow = i8x16.eq(turned, i8x16.min_u(turned, i8x16.splat(<i8>SPACE)))
    const marks = i8x16.bitmask(v128.or(isLow, i8x16.eq(x, i8x16.splat(<i8>BACKSLASH))))
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
