/**
 * bytes → frame. Accepts exactly what every reader reads alike (DESIGN: what goes upstream is written by us):
 * a request has only the members jsonrpc, id, method, params, each at most once, their names written plainly.
 * Total: any bytes become a frame; what cannot be read becomes a fault in the place where it stood.
 */
import { isAscii, isUtf8 } from 'node:buffer'
import { RpcFault, RpcRequest } from './frame.ts'
import { findMethod, readMethod } from './methods.ts'
import { Names } from './names.ts'
import {
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
  SYNTAX,
  TOO_DEEP,
  TOO_MANY,
  byteAt,
  skipSpace,
  skipString,
  skipValue,
  valuesPassed,
} from './scan.ts'
import { fromWire, jsonWire } from './wire.ts'
import type { DecodeLimits, Frame } from './frame.ts'
import type { Method } from './methods.ts'
import type { Wire } from './wire.ts'

/** How a decoder reads. */
export interface DecodeOptions extends DecodeLimits {
  /** Refuse unknown members (true), or drop them (false). */
  readonly strict: boolean
}

/** Members of a request object, dropped ones included: four mean something, and a body of a million others must not cost a judgement each. */
const MAX_MEMBERS = 32

/** Values of a document: a mebibyte of zeros holds five times as many, and a process that has scanned nothing yet takes 70 ms for it. */
const MAX_DOCUMENT_VALUES = 100_000

/** Decodes one document, in one pass. Never throws. */
export function decode(bytes: Uint8Array, options: DecodeOptions): Frame {
  const isPlain = isAscii(bytes)
  if (!isPlain && !isUtf8(bytes)) return single(parseError('not-utf8', 'the body is not valid UTF-8'))
  if (bytes.length === 0) return single(parseError('empty', 'the body is empty'))
  const reader = new Reader(bytes, isPlain, options)
  const frame = reader.frame()
  return frame === undefined ? single(reader.fault!) : frame
}

function single(entry: RpcRequest | RpcFault): Frame {
  return { isBatch: false, entries: [entry] }
}

function parseError(why: string, problem: string): RpcFault {
  return new RpcFault('null', 'parseError', why, `Parse error: ${problem}`)
}

function invalid(id: Wire, why: string, problem: string): RpcFault {
  return new RpcFault(id, 'invalidRequest', why, `Invalid Request: ${problem}`)
}

/** Reads one document from front to back. A method that answers undefined has met what spoils the whole document: `fault`. */
class Reader {
  fault: RpcFault | undefined
  private readonly bytes: Uint8Array
  /** What is cut out of the document is cut from its wire text. */
  private readonly text: Wire
  /** Whether the document is ASCII throughout: then its text is its wire text. */
  private readonly isAscii: boolean
  private readonly options: DecodeOptions
  private at = 0
  /** What `valuesPassed` may come to. */
  private readonly lastValue: number

  constructor(bytes: Uint8Array, isAscii: boolean, options: DecodeOptions) {
    this.bytes = bytes
    this.isAscii = isAscii
    this.text = (Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)).toString('latin1')
    this.options = options
    this.lastValue = valuesPassed() + MAX_DOCUMENT_VALUES
  }

  frame(): Frame | undefined {
    this.at = skipSpace(this.bytes, 0)
    const isBatch = byteAt(this.bytes, this.at) === OPEN_BRACKET
    const frame = isBatch ? this.batch() : this.lone()
    if (frame === undefined) return undefined
    this.at = skipSpace(this.bytes, this.at)
    return this.at === this.bytes.length ? frame : this.spoiled(parseError('trailing-bytes', 'more text follows the JSON document'))
  }

  private lone(): Frame | undefined {
    const entry = this.entry(this.options.maxDepth)
    return entry === undefined ? undefined : single(entry)
  }

  private batch(): Frame | undefined {
    const entries: (RpcRequest | RpcFault)[] = []
    this.at = skipSpace(this.bytes, this.at + 1)
    if (byteAt(this.bytes, this.at) === CLOSE_BRACKET) {
      this.at++
      return single(invalid('null', 'empty-batch', 'an empty batch'))
    }
    for (;;) {
      const entry = this.entry(this.options.maxDepth - 1)
      if (entry === undefined) return undefined
      if (entries.length === this.options.maxBatch) {
        return this.spoiled(invalid('null', 'batch-too-large', `a batch holds at most ${this.options.maxBatch} calls`))
      }
      entries.push(entry)
      this.at = skipSpace(this.bytes, this.at)
      const c = byteAt(this.bytes, this.at++)
      if (c === CLOSE_BRACKET) return { isBatch: true, entries }
      if (c !== COMMA) return this.spoiled(NOT_JSON)
      this.at = skipSpace(this.bytes, this.at)
    }
  }

  private entry(maxDepth: number): RpcRequest | RpcFault | undefined {
    if (byteAt(this.bytes, this.at) !== OPEN_BRACE) {
      return this.value(maxDepth) === undefined ? undefined : invalid('null', 'not-an-object', 'a call must be an object')
    }
    const members = this.members(maxDepth)
    return members === undefined ? undefined : toEntry(members, this.isAscii, this.options)
  }

  private members(maxDepth: number): Members | undefined {
    const { bytes, text } = this
    const members: Members = { jsonrpc: '', id: '', method: '', params: '', known: undefined, wrong: undefined, hasTwoIds: false }
    this.at = skipSpace(bytes, this.at + 1)
    if (byteAt(bytes, this.at) === CLOSE_BRACE) {
      this.at++
      return members
    }
    for (let count = 1; ; count++) {
      if (count > MAX_MEMBERS) return this.spoiled(invalid('null', 'too-many-members', `a call has at most ${MAX_MEMBERS} members`))
      const nameEnd = byteAt(bytes, this.at) === QUOTE ? skipString(bytes, this.at) : SYNTAX
      if (nameEnd === SYNTAX) return this.spoiled(NOT_JSON)
      const nameAt = this.at + 1
      this.at = skipSpace(bytes, nameEnd)
      if (byteAt(bytes, this.at++) !== COLON) return this.spoiled(NOT_JSON)
      this.at = skipSpace(bytes, this.at)
      const name = NAMES.find(bytes, nameAt, nameEnd - 1)
      const valueAt = this.at
      const value = this.value(maxDepth - 1)
      if (value === undefined) return undefined
      if (name === 'method') members.known = findMethod(bytes, valueAt, this.at)
      if (name === undefined) judgeUnknown(text.slice(nameAt, nameEnd - 1), members, this.options.strict)
      else place(members, name, value)
      this.at = skipSpace(bytes, this.at)
      const c = byteAt(bytes, this.at++)
      if (c === CLOSE_BRACE) return members
      if (c !== COMMA) return this.spoiled(NOT_JSON)
      this.at = skipSpace(bytes, this.at)
    }
  }

  /** Skips one value and returns its source text. */
  private value(maxDepth: number): Wire | undefined {
    const end = skipValue(this.bytes, this.at, maxDepth, this.lastValue - valuesPassed())
    if (end === TOO_DEEP) return this.spoiled(invalid('null', 'too-deep', `nested deeper than ${this.options.maxDepth} levels`))
    if (end === TOO_MANY) return this.spoiled(invalid('null', 'too-many-values', `a document holds at most ${MAX_DOCUMENT_VALUES} values`))
    if (end === SYNTAX) return this.spoiled(NOT_JSON)
    const source = this.text.slice(this.at, end)
    this.at = end
    return source
  }

  private spoiled(fault: RpcFault): undefined {
    this.fault = fault
    return undefined
  }
}

const NOT_JSON = parseError('not-json', 'the body is not valid JSON')

/** The source texts of a request's members while it is read; '' stands for a member not seen. */
interface Members {
  jsonrpc: Wire
  id: Wire
  method: Wire
  params: Wire
  /** The method, where it was read lately. */
  known: Method | undefined
  /** The first thing wrong with the members, as [why, problem]. */
  wrong: readonly [string, string] | undefined
  hasTwoIds: boolean
}

type Name = 'jsonrpc' | 'id' | 'method' | 'params'

const NAMES = new Names<Name>('jsonrpc', 'id', 'method', 'params')

function place(members: Members, name: Name, value: Wire): void {
  let before: Wire
  switch (name) {
    case 'jsonrpc':
      before = members.jsonrpc
      members.jsonrpc = value
      break
    case 'id':
      before = members.id
      members.id = value
      break
    case 'method':
      before = members.method
      members.method = value
      break
    case 'params':
      before = members.params
      members.params = value
      break
  }
  if (before === '') return
  members.wrong ??= ['duplicate-member', `the member ${name} stands twice`]
  if (name === 'id') members.hasTwoIds = true
}

const MINUS = 0x2d
const ZERO = 0x30
const NINE = 0x39

/** What the longest of the four names comes to when each of its letters is written as \uXXXX. */
const MAX_ESCAPED_NAME = 'jsonrpc'.length * 6

/** A name that is not plainly one of the four. One that only becomes one of them by unescaping is refused in any mode. */
function judgeUnknown(name: Wire, members: Members, strict: boolean): void {
  const isEscaped = name.length <= MAX_ESCAPED_NAME && name.includes('\\')
  if (!isEscaped && members.wrong !== undefined) return
  const plain = isEscaped ? (JSON.parse(`"${fromWire(name)}"`) as string) : fromWire(name)
  if (plain === 'jsonrpc' || plain === 'id' || plain === 'method' || plain === 'params') {
    members.wrong ??= ['escaped-member', `the member name ${plain} must be written without escapes`]
    if (plain === 'id') members.hasTwoIds = true
  } else if (strict) {
    const shown = plain.length > 32 ? `${plain.slice(0, 32)}…` : plain
    members.wrong ??= ['unknown-member', `unknown member ${JSON.stringify(shown)}; a call has only jsonrpc, id, method and params`]
  }
}

function toEntry(members: Members, isAscii: boolean, options: DecodeOptions): RpcRequest | RpcFault {
  const { id: source, method: methodText, params } = members
  const isIdUsable = source !== '' && !members.hasTwoIds && isId(source) && source.length <= options.maxIdBytes
  const id = isIdUsable ? source : 'null'
  if (members.wrong !== undefined) return invalid(id, members.wrong[0], members.wrong[1])
  if (source !== '' && !isId(source)) return invalid(id, 'bad-id', 'id must be a string, a number or null')
  if (source !== '' && !isIdUsable) return invalid(id, 'id-too-long', `id is longer than ${options.maxIdBytes} bytes`)
  if (members.jsonrpc !== '"2.0"') return invalid(id, 'bad-version', 'jsonrpc must be "2.0"')
  if (methodText.charCodeAt(0) !== QUOTE) return invalid(id, 'bad-method', 'method must be a string')
  const opener = params.charCodeAt(0)
  if (params !== '' && opener !== OPEN_BRACKET && opener !== OPEN_BRACE) return invalid(id, 'bad-params', 'params must be an array or an object')

  const method = members.known ?? methodOf(methodText, isAscii)
  if (method.name === '') return invalid(id, 'bad-method', 'method must not be empty')
  // Readers do not agree on half a pair: Go makes it U+FFFD, serde refuses it, JavaScript keeps it.
  if (!method.name.isWellFormed()) return invalid(id, 'bad-method', 'method must not hold half a surrogate pair')
  if (method.name.length > options.maxMethodLength) return invalid(id, 'method-too-long', `method is longer than ${options.maxMethodLength} characters`)
  return new RpcRequest(source === '' ? undefined : source, method.name, method.text, params === '' ? undefined : params)
}

function methodOf(text: Wire, isAscii: boolean): Method {
  if (text.includes('\\')) {
    const name = JSON.parse(fromWire(text)) as string
    return { name, text: jsonWire(name) }
  }
  return isAscii ? readMethod(text) : { name: fromWire(text.slice(1, -1)), text }
}

function isId(source: Wire): boolean {
  const first = source.charCodeAt(0)
  return first === QUOTE || first === MINUS || (first >= ZERO && first <= NINE) || source === 'null'
}
