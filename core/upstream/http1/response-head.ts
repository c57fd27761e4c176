/**
 * The head of an HTTP/1.1 response (RFC 9112), read strictly: whatever two readers could take for two things is not HTTP. Of
 * the headers only those are kept that decide something.
 */
import { remembered } from '../../plugin/bounded-map.ts'

/** How a body ends: after so many bytes, with its last chunk, or with the connection. */
export type Framing = number | 'chunked' | 'until-close'

export interface ResponseHead {
  readonly status: number
  readonly framing: Framing
  /** Whether another request may follow on the connection. */
  readonly isKept: boolean
  /** For how long the node keeps an idle connection, in milliseconds, where it says so. */
  readonly keptMs: number | undefined
  /** Content-Encoding; codings that were applied one after the other stand as a list. */
  readonly encoding: string | undefined
  readonly retryAfter: string | undefined
  readonly date: string | undefined
}

/** A status line and header lines, and nothing else: no bare CR or LF, no folded lines, no space before a colon. */
const HEAD = /^HTTP\/1\.[01] [1-5]\d\d(?: [\t\x20-\x7e\x80-\xff]*)?\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)*$/
/** A length that a body can have. */
const LENGTH = /^\d{1,15}$/
const KEEP_ALIVE_TIMEOUT = /(?:^|[,;\s])timeout=(\d{1,6})(?:$|[,;\s])/i

/** Statuses whose responses have no body (RFC 9112 section 6.3). */
const BODILESS = new Set([204, 304])

/** Longer heads are not remembered, in bytes. Those of one second differ in the length of what follows and in little else. */
const MAX_REMEMBERED_BYTES = 512
/** Some 512 KiB. */
const readLately = remembered(readAnew)

/** Reads a head, its last line end included and the empty line after it not. Undefined for what is none, or says two things. */
export function readHead(text: string): ResponseHead | undefined {
  return text.length > MAX_REMEMBERED_BYTES ? readAnew(text) : readLately(text)
}

function readAnew(text: string): ResponseHead | undefined {
  if (!HEAD.test(text)) return undefined
  const status = Number(text.slice(9, 12))
  const isCurrent = text.charCodeAt(7) === 0x31
  let [length, coding, connection, keepAlive, encoding, retryAfter, date]: (string | undefined)[] = []
  for (let at = text.indexOf('\r\n') + 2; at < text.length;) {
    const end = text.indexOf('\r\n', at)
    const colon = text.indexOf(':', at)
    const value = text.slice(colon + 1, end).trim()
    switch (text.slice(at, colon).toLowerCase()) {
      case 'content-length':
        if (length !== undefined) return undefined
        length = value
        break
      case 'transfer-encoding':
        if (coding !== undefined) return undefined
        coding = value
        break
      case 'connection':
        connection = joined(connection, value)
        break
      case 'keep-alive':
        keepAlive = value
        break
      case 'content-encoding':
        encoding = joined(encoding, value)
        break
      case 'retry-after':
        retryAfter = value
        break
      case 'date':
        date = value
    }
    at = end + 2
  }
  const framing = framingOf(status, isCurrent, length, coding)
  if (framing === undefined) return undefined
  const timeout = keepAlive && KEEP_ALIVE_TIMEOUT.exec(keepAlive)?.[1]
  return {
    status,
    framing,
    isKept: framing !== 'until-close' && isKept(isCurrent, connection),
    keptMs: timeout ? Number(timeout) * 1000 : undefined,
    encoding: encoding?.toLowerCase(),
    retryAfter,
    date,
  }
}

/** RFC 9112 section 6.3; a response that names both a length and a coding is how smuggling begins. */
function framingOf(status: number, isCurrent: boolean, length: string | undefined, coding: string | undefined): Framing | undefined {
  if (length !== undefined && !LENGTH.test(length)) return undefined
  if (coding !== undefined && (coding.toLowerCase() !== 'chunked' || length !== undefined || !isCurrent)) return undefined
  if (status < 200 || BODILESS.has(status)) return 0
  if (coding !== undefined) return 'chunked'
  return length === undefined ? 'until-close' : Number(length)
}

function isKept(isCurrent: boolean, connection: string | undefined): boolean {
  if (connection === undefined) return isCurrent
  const options = new Set(connection.toLowerCase().split(/[ \t]*,[ \t]*/))
  return !options.has('close') && (isCurrent || options.has('keep-alive'))
}

function joined(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before}, ${value}`
}
