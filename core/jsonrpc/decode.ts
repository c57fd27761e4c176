/**
 * bytes → frame. Accepts exactly what every reader reads alike (DESIGN: what goes upstream is written by us):
 * a request has only the members jsonrpc, id, method, params, each at most once, their names written plainly.
 * Total: any bytes become a frame; what cannot be read becomes a fault in the place where it stood.
 */
import { isAscii, isUtf8 } from 'node:buffer'
import { RpcFault, RpcRequest } from './frame.ts'
import { SYNTAX, TOO_DEEP, skipSpace, skipString, skipValue } from './scan.ts'
import { fromWire, jsonWire } from './wire.ts'
import type { DecodeLimits, Frame } from './frame.ts'
import type { Wire } from './wire.ts'

/** How a decoder reads. */
export interface DecodeOptions extends DecodeLimits {
  /** Refuse unknown members (true), or drop them (false). */
  readonly strict: boolean
}

const OPEN_BRACKET = 0x5b
const OPEN_BRACE = 0x7b
const CLOSE_BRACKET = 0x5d
const CLOSE_BRACE = 0x7d
const COMMA = 0x2c
const COLON = 0x3a
const QUOTE = 0x22
const LETTER_N = 0x6e

/** Decodes one document. Never throws. */
export function decode(bytes: Uint8Array, options: DecodeOptions): Frame {
  if (!isAscii(bytes) && !isUtf8(bytes)) return single(new RpcFault('null', 'parseError', 'not-utf8', 'Parse error: the body is not valid UTF-8'))
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const text = buffer.toString('latin1')
  const start = skipSpace(text, 0)
  const end = skipValue(text, start, options.maxDepth)
  if (end === TOO_DEEP) return single(invalid('null', 'too-deep', `nested deeper than ${options.maxDepth} levels`))
  if (end === SYNTAX)
    return single(
      new RpcFault('null', 'parseError', 'not-json', text.length === 0 ? 'Parse error: the body is empty' : 'Parse error: the body is not valid JSON'),
    )
  if (skipSpace(text, end) !== text.length)
    return single(new RpcFault('null', 'parseError', 'trailing-bytes', 'Parse error: more text follows the JSON document'))
  return text.charCodeAt(start) === OPEN_BRACKET ? decodeBatch(text, start, options) : single(decodeEntry(text, start, end, options))
}

function single(entry: RpcRequest | RpcFault): Frame {
  return { isBatch: false, entries: [entry] }
}

function invalid(id: Wire, why: string, problem: string): RpcFault {
  return new RpcFault(id, 'invalidRequest', why, `Invalid Request: ${problem}`)
}

/** `at` stands on the bracket of a text that is known to be valid JSON. */
function decodeBatch(text: Wire, at: number, options: DecodeOptions): Frame {
  const entries: (RpcRequest | RpcFault)[] = []
  at = skipSpace(text, at + 1)
  while (text.charCodeAt(at) !== CLOSE_BRACKET) {
    if (entries.length === options.maxBatch) return single(invalid('null', 'batch-too-large', `a batch holds at most ${options.maxBatch} calls`))
    const end = skipValue(text, at, options.maxDepth)
    entries.push(decodeEntry(text, at, end, options))
    at = skipSpace(text, end)
    if (text.charCodeAt(at) === COMMA) at = skipSpace(text, at + 1)
  }
  if (entries.length === 0) return single(invalid('null', 'empty-batch', 'an empty batch'))
  return { isBatch: true, entries }
}

/** The source spans of a request's members while it is read; '' stands for a member not seen. */
interface Members {
  jsonrpc: Wire
  id: Wire
  method: Wire
  params: Wire
  /** The first thing wrong with the members, as [why, problem]. */
  wrong: readonly [string, string] | undefined
  hasTwoIds: boolean
}

/** text[at, end) is known to be one valid JSON value. */
function decodeEntry(text: Wire, at: number, end: number, options: DecodeOptions): RpcRequest | RpcFault {
  if (text.charCodeAt(at) !== OPEN_BRACE) return invalid('null', 'not-an-object', 'a call must be an object')
  const members = readMembers(text, at, end, options)
  const hasId = members.id !== ''
  const isIdUsable = hasId && !members.hasTwoIds && isId(members.id) && members.id.length <= options.maxIdBytes
  const id = isIdUsable ? members.id : 'null'
  if (members.wrong !== undefined) return invalid(id, members.wrong[0], members.wrong[1])
  if (hasId && !isId(members.id)) return invalid(id, 'bad-id', 'id must be a string, a number or null')
  if (hasId && !isIdUsable) return invalid(id, 'id-too-long', `id is longer than ${options.maxIdBytes} bytes`)
  if (members.jsonrpc !== '"2.0"') return invalid(id, 'bad-version', 'jsonrpc must be "2.0"')
  if (members.method.charCodeAt(0) !== QUOTE) return invalid(id, 'bad-method', 'method must be a string')
  const opener = members.params.charCodeAt(0)
  if (members.params !== '' && opener !== OPEN_BRACKET && opener !== OPEN_BRACE) return invalid(id, 'bad-params', 'params must be an array or an object')

  const isPlain = !members.method.includes('\\')
  const method = isPlain ? fromWire(members.method.slice(1, -1)) : (JSON.parse(fromWire(members.method)) as string)
  if (method === '') return invalid(id, 'bad-method', 'method must not be empty')
  if (method.length > options.maxMethodLength) return invalid(id, 'method-too-long', `method is longer than ${options.maxMethodLength} characters`)
  return new RpcRequest(hasId ? id : undefined, method, isPlain ? members.method : jsonWire(method), members.params === '' ? undefined : members.params)
}

function readMembers(text: Wire, at: number, end: number, options: DecodeOptions): Members {
  const members: Members = { jsonrpc: '', id: '', method: '', params: '', wrong: undefined, hasTwoIds: false }
  at = skipSpace(text, at + 1)
  while (text.charCodeAt(at) !== CLOSE_BRACE && at < end) {
    const nameEnd = skipString(text, at)
    const name = text.slice(at + 1, nameEnd - 1)
    let valueAt = skipSpace(text, nameEnd)
    if (text.charCodeAt(valueAt) === COLON) valueAt = skipSpace(text, valueAt + 1)
    const valueEnd = skipValue(text, valueAt, options.maxDepth)
    if (name === 'jsonrpc' || name === 'id' || name === 'method' || name === 'params') {
      if (members[name] !== '') {
        members.wrong ??= ['duplicate-member', `the member ${name} stands twice`]
        if (name === 'id') members.hasTwoIds = true
      }
      members[name] = text.slice(valueAt, valueEnd)
    } else judgeUnknown(name, members, options.strict)
    at = skipSpace(text, valueEnd)
    if (text.charCodeAt(at) === COMMA) at = skipSpace(text, at + 1)
  }
  return members
}

/** A name that is not plainly one of the four. One that only becomes one of them by unescaping is refused in any mode. */
function judgeUnknown(name: Wire, members: Members, strict: boolean): void {
  const plain = name.includes('\\') ? (JSON.parse(`"${fromWire(name)}"`) as string) : fromWire(name)
  if (plain === 'jsonrpc' || plain === 'id' || plain === 'method' || plain === 'params') {
    members.wrong ??= ['escaped-member', `the member name ${plain} must be written without escapes`]
    if (plain === 'id') members.hasTwoIds = true
  } else if (strict) {
    const shown = plain.length > 32 ? `${plain.slice(0, 32)}…` : plain
    members.wrong ??= ['unknown-member', `unknown member ${JSON.stringify(shown)}; a call has only jsonrpc, id, method and params`]
  }
}

function isId(source: Wire): boolean {
  const c = source.charCodeAt(0)
  return c === QUOTE || (c === LETTER_N && source === 'null') || c === 0x2d || (c >= 0x30 && c <= 0x39)
}
