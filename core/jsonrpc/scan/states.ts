/**
 * What both loops of the scanner know, the one in TypeScript and the one in AssemblyScript, which compiles this file too: numbers and
 * nothing else.
 */

/** No document is scanned deeper than this, whatever the caller asks. */
export const MAX_SCAN_DEPTH = 16_384

// What ends a plain run of a string.
export const QUOTE = 0x22
export const BACKSLASH = 0x5c
/** What is below it is a control character. */
export const SPACE = 0x20

// What a scan answers instead of an end position.
export const SYNTAX = -1
export const TOO_DEEP = -2
export const TOO_MANY = -3
/** The value goes on in the next piece. */
export const MORE = -4

// States: what is expected next. The table has more of them.
export const AT_VALUE = 0
/** A value, or the end of the array. */
export const AT_FIRST = 1
/** A name, or the end of the object. */
export const AT_FIRST_NAME = 2
export const AT_NAME = 3
/** A comma, or the end of the container. */
export const AFTER_VALUE = 5
/** Each is followed by the states after a backslash, and where so many hexadecimal digits of a \uXXXX are missing. */
export const IN_STRING = 32
export const IN_NAME = 40

// Acts: what more than a change of state a byte asks for. All above the states.
export const ACT_WRONG = 64
export const ACT_OPEN_OBJECT = 65
export const ACT_OPEN_ARRAY = 66
export const ACT_CLOSE_OBJECT = 67
export const ACT_CLOSE_ARRAY = 68
export const ACT_COMMA = 69
/** The byte is the last one of a string or a literal. */
export const ACT_END = 70
/** The byte is the first one after a number, and may be anything. */
export const ACT_END_NUMBER = 71

/** In the stack of open containers. */
export const IN_ARRAY = 0
export const IN_OBJECT = 1

// Where the loop in AssemblyScript has what in its memory, of which it takes two pages of 64 KiB. Its constants come first.
export const TABLE_AT = 4096
/** State, depth and values, as signed words. */
export const REGISTERS_AT = 24_576
export const STACK_AT = 32_768
export const WINDOW_AT = 65_536
export const WINDOW_BYTES = 65_536
