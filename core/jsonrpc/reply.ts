/**
 * What a node sent, decoded: answers and subscription notifications. A node is not trusted: what is not
 * JSON-RPC is told from what is, duplicates and contradictions are no answer. Total: never throws.
 */
import { isUtf8 } from 'node:buffer'
import { Names } from './names.ts'
import { CLOSE_BRACE, CLOSE_BRACKET, COLON, COMMA, MAX_SCAN_DEPTH, MORE, OPEN_BRACE, OPEN_BRACKET, QUOTE, ValueScan, skipSpace } from './scan.ts'
import type { Payload } from './encode.ts'
import type { Wire } from './wire.ts'

/** Results over this size stay bytes and are spliced without a copy; below it a string is cheaper. 64 KiB: where writing string and bytes cost the same. */
export const KEEP_BYTES_OVER = 65_536

/** So much of a document is to be read at a time, some milliseconds of work; then others have their turn. */
export const TURN_BYTES = 256 * 1024

/** Members of a batch. No request holds as many calls. */
const MAX_REPLIES = 100_000

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
  reader.begin()
  reader.push(bytes)
  return reader.end(bytes)
}

type Name = 'id' | 'result' | 'error' | 'method' | 'params'

const NAMES = new Names<Name>('id', 'result', 'error', 'method', 'params')
/** With its quotes. A longer one is none of the names. */
const LONGEST_NAME = '"result"'.length

/** Where in the document a value stands. */
interface Span {
  readonly from: number
  readonly to: number
}

/** The members of an object; one that stands twice spoils it. */
class Members {
  id: Span | undefined
  result: Span | undefined
  error: Span | undefined
  method: Span | undefined
  params: Span | undefined
  hasTwins = false
}

const Expected = {
  document: 0,
  reply: 1,
  /** A reply, or the end of the batch. */
  firstReply: 2,
  afterReply: 3,
  name: 4,
  /** A name, or the end of the object. */
  firstName: 5,
  restOfName: 6,
  colon: 7,
  value: 8,
  restOfValue: 9,
  afterValue: 10,
  /** Of a member of a batch that is no object. */
  restOfOther: 11,
  nothing: 12,
  /** What came is not JSON-RPC. */
  spoiled: 13,
} as const

/** Reads one document from front to back while it arrives: what is read of it has been looked at once it is there. */
export class ReplyReader {
  private expected: number = Expected.document
  private readonly scan = new ValueScan()
  /** Bytes of the pieces before this one. */
  private base = 0
  private isBatch = false
  private found: (Members | undefined)[] = []
  private members = new Members()
  private name: Name | undefined
  /** The beginning of a name whose end has not arrived, as far as it matters. */
  private nameHead = ''
  private from = 0

  /** Starts afresh. */
  begin(): void {
    this.expected = Expected.document
    this.base = 0
    this.isBatch = false
    this.found = []
  }

  /** Reads the next piece. */
  push(bytes: Buffer): void {
    for (let at = 0; at < bytes.length && this.expected !== Expected.spoiled;) {
      if (this.expected === Expected.restOfValue || this.expected === Expected.restOfName || this.expected === Expected.restOfOther) {
        at = this.goOn(bytes, at)
        continue
      }
      at = skipSpace(bytes, at)
      if (at < bytes.length) at = this.step(bytes, at)
    }
    this.base += bytes.length
  }

  /** What the document holds, of which all pieces were read: `whole` is all of them. */
  end(whole: Buffer): Replies | undefined {
    const { found } = this
    this.found = []
    if (this.expected !== Expected.nothing || !isUtf8(whole)) return undefined
    // What is cut out of a small document is cut from its text; a large one never becomes a string as a whole.
    const text = whole.length > KEEP_BYTES_OVER ? undefined : whole.toString('latin1')
    return { isBatch: this.isBatch, members: found.map((members) => members && toReply(members, whole, text)) }
  }

  /** Takes one byte that is no white space, or begins with what it is the first of. Answers where it goes on. */
  private step(bytes: Buffer, at: number): number {
    const c = bytes[at]!
    switch (this.expected) {
      case Expected.document:
        this.isBatch = c === OPEN_BRACKET
        if (this.isBatch) this.expected = Expected.firstReply
        else if (c === OPEN_BRACE) this.beginReply()
        else this.expected = Expected.spoiled
        return at + 1
      case Expected.firstReply:
      case Expected.reply:
        if (c === CLOSE_BRACKET && this.expected === Expected.firstReply) this.expected = Expected.nothing
        else if (c === OPEN_BRACE) this.beginReply()
        else return this.enter(bytes, at, Expected.restOfOther)
        return at + 1
      case Expected.afterReply:
        this.expected = c === COMMA ? Expected.reply : c === CLOSE_BRACKET ? Expected.nothing : Expected.spoiled
        return at + 1
      case Expected.firstName:
      case Expected.name:
        if (c === QUOTE) return this.enter(bytes, at, Expected.restOfName)
        if (c === CLOSE_BRACE && this.expected === Expected.firstName) this.endReply(this.members)
        else this.expected = Expected.spoiled
        return at + 1
      case Expected.colon:
        this.expected = c === COLON ? Expected.value : Expected.spoiled
        return at + 1
      case Expected.value:
        this.from = this.base + at
        return this.enter(bytes, at, Expected.restOfValue)
      case Expected.afterValue:
        if (c === CLOSE_BRACE) this.endReply(this.members)
        else this.expected = c === COMMA ? Expected.name : Expected.spoiled
        return at + 1
      default: // more than one document
        this.expected = Expected.spoiled
        return at
    }
  }

  private enter(bytes: Buffer, at: number, expected: number): number {
    this.expected = expected
    this.nameHead = ''
    return this.passed(bytes, at, this.scan.start(bytes, at, MAX_SCAN_DEPTH))
  }

  /** Goes on with a name or a value. */
  private goOn(bytes: Buffer, at: number): number {
    return this.passed(bytes, at, this.scan.scan(bytes, at))
  }

  /** What stands from `at` on was scanned, as far as `end` says. Answers where it goes on. */
  private passed(bytes: Buffer, at: number, end: number): number {
    if (end < 0 && end !== MORE) {
      this.expected = Expected.spoiled
      return at
    }
    if (this.expected === Expected.restOfName) this.readName(bytes, at, end)
    if (end === MORE) return bytes.length
    if (this.expected === Expected.restOfName) this.expected = Expected.colon
    else if (this.expected === Expected.restOfOther) this.endReply(undefined)
    else {
      this.place({ from: this.from, to: this.base + end })
      this.expected = Expected.afterValue
    }
    return end
  }

  private readName(bytes: Buffer, at: number, end: number): void {
    if (end !== MORE && this.nameHead === '') this.name = NAMES.find(bytes, at + 1, end - 1)
    else {
      const to = Math.min(end === MORE ? bytes.length : end, at + LONGEST_NAME + 1)
      this.nameHead = (this.nameHead + bytes.toString('latin1', at, to)).slice(0, LONGEST_NAME + 1)
      if (end !== MORE) this.name = NAMES.find(Buffer.from(this.nameHead, 'latin1'), 1, this.nameHead.length - 1)
    }
  }

  private place(span: Span): void {
    const { members, name } = this
    if (name === undefined) return
    if (members[name] === undefined) members[name] = span
    else members.hasTwins = true
  }

  private beginReply(): void {
    this.members = new Members()
    this.expected = Expected.firstName
  }

  private endReply(members: Members | undefined): void {
    this.found.push(members)
    this.expected = this.found.length > MAX_REPLIES ? Expected.spoiled : this.isBatch ? Expected.afterReply : Expected.nothing
  }
}

/** Decoding is synchronous, so one serves all documents that come in one piece. */
const reader = new ReplyReader()

function toReply({ id, result, error, method, params, hasTwins }: Members, whole: Buffer, text: Wire | undefined): Reply | undefined {
  if (hasTwins) return undefined
  // JSON-RPC 1.0 habit: both members, one of them null.
  if (error !== undefined && isNull(error, whole)) error = undefined
  if (error !== undefined && result !== undefined && isNull(result, whole)) result = undefined
  if (error !== undefined && (result !== undefined || whole[error.from] !== OPEN_BRACE)) return undefined
  if (error === undefined && result === undefined && method === undefined) return undefined
  return {
    id: id && cut(id, whole, text),
    result: result && payload(result, whole, text),
    error: error && payload(error, whole, text),
    method: method && cut(method, whole, text),
    params: params && cut(params, whole, text),
  }
}

/** Of the values, only one begins with this letter. */
function isNull({ from }: Span, whole: Buffer): boolean {
  return whole[from] === 0x6e
}

function payload(span: Span, whole: Buffer, text: Wire | undefined): Payload {
  return span.to - span.from > KEEP_BYTES_OVER ? whole.subarray(span.from, span.to) : cut(span, whole, text)
}

function cut({ from, to }: Span, whole: Buffer, text: Wire | undefined): Wire {
  return text === undefined ? whole.toString('latin1', from, to) : text.slice(from, to)
}
