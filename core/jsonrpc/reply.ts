/**
 * What a node sent, decoded: answers and subscription notifications. A node is not trusted: what is not
 * JSON-RPC is told from what is, duplicates and contradictions are no answer. Total: never throws.
 */
import { isAscii, isUtf8 } from 'node:buffer'
import { MAX_SCAN_DEPTH, skipSpace, skipString, skipValue } from './scan.ts'
import type { Payload } from './encode.ts'
import type { Wire } from './wire.ts'

/** Results over this size stay bytes and are spliced without a copy; below it a string is cheaper. 64 KiB: where writing string and bytes cost the same. */
const KEEP_BYTES_OVER = 65_536

/** One object that a node sent. A well-formed answer has exactly one of `result` and `error`. */
export interface Reply {
  /** Source text of the id; undefined where there is none, as in a notification. */
  readonly id: Wire | undefined
  /** Source text of the result. */
  readonly result: Payload | undefined
  /** Source text of the error object. */
  readonly error: Payload | undefined
  /** Source text of the method, for notifications. */
  readonly method: Wire | undefined
  /** Source text of the params, for notifications. */
  readonly params: Wire | undefined
}

/** What a node's document holds; undefined when it is not JSON-RPC. */
export interface Replies {
  readonly isBatch: boolean
  /** In the node's order; undefined where a member is no answer and no notification. */
  readonly members: readonly (Reply | undefined)[]
}

/** Decodes one document of a node's. */
export function decodeReplies(bytes: Buffer): Replies | undefined {
  if (!isAscii(bytes) && !isUtf8(bytes)) return undefined
  const text = bytes.toString('latin1')
  const start = skipSpace(text, 0)
  const end = skipValue(text, start, MAX_SCAN_DEPTH)
  if (end < 0 || skipSpace(text, end) !== text.length) return undefined
  if (text[start] === '{') return { isBatch: false, members: [decodeMember(text, bytes, start)] }
  if (text[start] !== '[') return undefined
  const members: (Reply | undefined)[] = []
  let at = skipSpace(text, start + 1)
  while (text[at] !== ']') {
    members.push(text[at] === '{' ? decodeMember(text, bytes, at) : undefined)
    at = skipSpace(text, skipValue(text, at, MAX_SCAN_DEPTH))
    if (text[at] === ',') at = skipSpace(text, at + 1)
  }
  return { isBatch: true, members }
}

/** The object at `at` is known to be valid JSON. Duplicate members make it no answer. */
function decodeMember(text: Wire, bytes: Buffer, at: number): Reply | undefined {
  let id: Wire | undefined
  let result: Payload | undefined
  let error: Payload | undefined
  let method: Wire | undefined
  let params: Wire | undefined
  at = skipSpace(text, at + 1)
  while (text[at] !== '}') {
    const nameEnd = skipString(text, at)
    const name = text.slice(at + 1, nameEnd - 1)
    const valueAt = skipSpace(text, skipSpace(text, nameEnd) + 1)
    const valueEnd = skipValue(text, valueAt, MAX_SCAN_DEPTH)
    if (name === 'id') {
      if (id !== undefined) return undefined
      id = text.slice(valueAt, valueEnd)
    } else if (name === 'result') {
      if (result !== undefined) return undefined
      result = slice(text, bytes, valueAt, valueEnd)
    } else if (name === 'error') {
      if (error !== undefined) return undefined
      error = slice(text, bytes, valueAt, valueEnd)
    } else if (name === 'method') {
      if (method !== undefined) return undefined
      method = text.slice(valueAt, valueEnd)
    } else if (name === 'params') {
      if (params !== undefined) return undefined
      params = text.slice(valueAt, valueEnd)
    }
    at = skipSpace(text, valueEnd)
    if (text[at] === ',') at = skipSpace(text, at + 1)
  }
  if (error === 'null') error = undefined // JSON-RPC 1.0 habit: both members, one of them null
  if (error !== undefined && result === 'null') result = undefined
  if (error !== undefined && (result !== undefined || (typeof error === 'string' && error[0] !== '{'))) return undefined
  if (error === undefined && result === undefined && method === undefined) return undefined
  return { id, result, error, method, params }
}

function slice(text: Wire, bytes: Buffer, from: number, to: number): Payload {
  return to - from > KEEP_BYTES_OVER ? bytes.subarray(from, to) : text.slice(from, to)
}
