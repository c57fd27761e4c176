/** The grammar of a JSON value (RFC 8259) as a table: the next state, or what to do, by state and byte. */
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
  IN_NAME,
  IN_STRING,
  SPACE,
} from './states.ts'

/** The states that only the table knows. */
const State = {
  colon: 4,
  minus: 6,
  zero: 7,
  integer: 8,
  point: 9,
  fraction: 10,
  exponent: 11,
  exponentSign: 12,
  exponentDigits: 13,
  /** Each begins with the states of `true`, `false` and `null`, a state a letter. */
  literals: 14,
} as const

const WHITE = ' \t\r\n'
const DIGITS = '0123456789'
const HEX = `${DIGITS}abcdefABCDEF`

/** At `state << 8 | byte`. */
export const TABLE = new Uint8Array(ACT_WRONG << 8).fill(ACT_WRONG)

function on(state: number, bytes: string, next: number): void {
  for (const c of bytes) TABLE[(state << 8) | c.charCodeAt(0)] = next
}

function string(inIt: number, end: number): void {
  TABLE.fill(inIt, (inIt << 8) | SPACE, (inIt + 1) << 8)
  const afterBackslash = inIt + 5
  on(inIt, '\\', afterBackslash)
  on(inIt, '"', end)
  on(afterBackslash, '"\\/bfnrt', inIt)
  on(afterBackslash, 'u', inIt + 4)
  for (let missing = 4; missing > 0; missing--) on(inIt + missing, HEX, inIt + missing - 1)
}

for (const state of [AT_VALUE, AT_FIRST, AT_FIRST_NAME, AT_NAME, State.colon, AFTER_VALUE]) on(state, WHITE, state)
for (const state of [AT_VALUE, AT_FIRST]) {
  on(state, '"', IN_STRING)
  on(state, '{', ACT_OPEN_OBJECT)
  on(state, '[', ACT_OPEN_ARRAY)
  on(state, '-', State.minus)
  on(state, '0', State.zero)
  on(state, DIGITS.slice(1), State.integer)
  let letters: number = State.literals
  for (const literal of ['true', 'false', 'null']) {
    on(state, literal.charAt(0), letters)
    for (const letter of literal.slice(1, -1)) on(letters, letter, ++letters)
    on(letters++, literal.at(-1)!, ACT_END)
  }
}
string(IN_STRING, ACT_END)
string(IN_NAME, State.colon)
on(AT_FIRST, ']', ACT_CLOSE_ARRAY)
on(AT_FIRST_NAME, '}', ACT_CLOSE_OBJECT)
for (const state of [AT_FIRST_NAME, AT_NAME]) on(state, '"', IN_NAME)
on(State.colon, ':', AT_VALUE)
on(AFTER_VALUE, ',', ACT_COMMA)
on(AFTER_VALUE, '}', ACT_CLOSE_OBJECT)
on(AFTER_VALUE, ']', ACT_CLOSE_ARRAY)
for (const state of [State.zero, State.integer, State.fraction, State.exponentDigits]) {
  TABLE.fill(ACT_END_NUMBER, state << 8, (state + 1) << 8)
  on(state, ',', ACT_COMMA)
  on(state, '}', ACT_CLOSE_OBJECT)
  on(state, ']', ACT_CLOSE_ARRAY)
}
on(State.minus, '0', State.zero)
on(State.minus, DIGITS.slice(1), State.integer)
on(State.integer, DIGITS, State.integer)
for (const state of [State.zero, State.integer]) on(state, '.', State.point)
for (const state of [State.point, State.fraction]) on(state, DIGITS, State.fraction)
for (const state of [State.zero, State.integer, State.fraction]) on(state, 'eE', State.exponent)
on(State.exponent, '+-', State.exponentSign)
for (const state of [State.exponent, State.exponentSign, State.exponentDigits]) on(state, DIGITS, State.exponentDigits)
