/**
 * What a node sent, decoded: answers and subscription notifications. A node is not trusted: what is not
 * JSON-RPC is told from what is, duplicates and contradictions are no answer. Total: never throws.
 */
import { isUtf8 } from 'node:buffer'
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
} from './scan.ts'
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

/** What a node's document holds. */
export interface Replies {
  readonly isBatch: boolean
  /** In the node's order; undefined where a member is no answer and no notification. */
  readonly members: readonly (Reply | undefined)[]
}

/** Decodes one document of a node's, in one pass; undefined when it is not JSON-RPC. */
export function decodeReplies(bytes: Buffer): Replies | undefined {
  return isUtf8(bytes) ? new Reader(bytes).replies() : undefined
}

/** The source texts of an object's members while it is read; a member that stands twice spoils the object. */
interface Members {
  id: Wire | undefined
  result: Payload | undefined
  error: Payload | undefined
  method: Wire | undefined
  params: Wire | undefined
  hasTwins: boolean
}

/** Reads one document from front to back. A method that answers undefined or false has met what is not JSON. */
class Reader {
  private readonly bytes: Buffer
  /** What is cut out of a small document is cut from its text; a large one never becomes a string as a whole. */
  private readonly text: Wire | undefined
  private at = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
    this.text = bytes.length > KEEP_BYTES_OVER ? undefined : bytes.toString('latin1')
  }

  replies(): Replies | undefined {
    const members: (Reply | undefined)[] = []
    this.at = skipSpace(this.bytes, 0)
    const opener = byteAt(this.bytes, this.at)
    if (opener === OPEN_BRACKET ? !this.batch(members) : opener !== OPEN_BRACE || !this.member(members)) return undefined
    return skipSpace(this.bytes, this.at) === this.bytes.length ? { isBatch: opener === OPEN_BRACKET, members } : undefined
  }

  private batch(members: (Reply | undefined)[]): boolean {
    this.at = skipSpace(this.bytes, this.at + 1)
    if (byteAt(this.bytes, this.at) === CLOSE_BRACKET) {
      this.at++
      return true
    }
    for (;;) {
      if (!this.member(members)) return false
      this.at = skipSpace(this.bytes, this.at)
      const c = byteAt(this.bytes, this.at++)
      if (c === CLOSE_BRACKET) return true
      if (c !== COMMA) return false
      this.at = skipSpace(this.bytes, this.at)
    }
  }

  private member(members: (Reply | undefined)[]): boolean {
    if (byteAt(this.bytes, this.at) !== OPEN_BRACE) {
      members.push(undefined)
      this.at = skipValue(this.bytes, this.at, MAX_SCAN_DEPTH)
      return this.at >= 0
    }
    const found = this.object()
    if (found === undefined) return false
    members.push(toReply(found))
    return true
  }

  private object(): Members | undefined {
    const { bytes } = this
    const members: Members = { id: undefined, result: undefined, error: undefined, method: undefined, params: undefined, hasTwins: false }
    this.at = skipSpace(bytes, this.at + 1)
    if (byteAt(bytes, this.at) === CLOSE_BRACE) {
      this.at++
      return members
    }
    for (;;) {
      const nameEnd = byteAt(bytes, this.at) === QUOTE ? skipString(bytes, this.at) : SYNTAX
      if (nameEnd === SYNTAX) return undefined
      const name = this.cut(this.at + 1, nameEnd - 1)
      this.at = skipSpace(bytes, nameEnd)
      if (byteAt(bytes, this.at) !== COLON) return undefined
      const valueAt = skipSpace(bytes, this.at + 1)
      this.at = skipValue(bytes, valueAt, MAX_SCAN_DEPTH)
      if (this.at < 0) return undefined
      this.place(members, name, valueAt, this.at)
      this.at = skipSpace(bytes, this.at)
      const c = byteAt(bytes, this.at++)
      if (c === CLOSE_BRACE) return members
      if (c !== COMMA) return undefined
      this.at = skipSpace(bytes, this.at)
    }
  }

  private place(members: Members, name: Wire, from: number, to: number): void {
    if (name !== 'id' && name !== 'result' && name !== 'error' && name !== 'method' && name !== 'params') return
    if (members[name] !== undefined) members.hasTwins = true
    else if (name === 'result' || name === 'error') members[name] = to - from > KEEP_BYTES_OVER ? this.bytes.subarray(from, to) : this.cut(from, to)
    else members[name] = this.cut(from, to)
  }

  private cut(from: number, to: number): Wire {
    return this.text === undefined ? this.bytes.toString('latin1', from, to) : this.text.slice(from, to)
  }
}

function toReply({ id, result, error, method, params, hasTwins }: Members): Reply | undefined {
  if (hasTwins) return undefined
  // JSON-RPC 1.0 habit: both members, one of them null.
  if (error === 'null') error = undefined
  if (error !== undefined && result === 'null') result = undefined
  if (error !== undefined && (result !== undefined || !isObject(error))) return undefined
  if (error === undefined && result === undefined && method === undefined) return undefined
  return { id, result, error, method, params }
}

function isObject(source: Payload): boolean {
  return typeof source === 'string' ? source.startsWith('{') : source[0] === OPEN_BRACE
}
