/**
 * The head of an answer after which the connection goes on, as one text. node:http would check each name and value once more and
 * look for those that frame an answer, 0.4 µs for each: all were checked when they were set, and none of them may be one of those.
 */
import { STATUS_CODES } from './node-http.ts'
import type { ServerResponse } from 'node:http'
import type { HeaderList } from '../pipeline/header-list.ts'

/** Where node:http keeps a head that is written with the first of the body. */
interface Head {
  _header: string | null
  _headerSent: boolean
}

const statusLines: string[] = []

/** What is said in this second; undefined when it is over. */
let date: string | undefined

/** Writes the head of an answer to an HTTP/1.1 request. The headers say how long the body is, and how long the connection is kept. */
export function writeLastingHead(response: ServerResponse, status: number, headers: HeaderList): void {
  const statusLine = (statusLines[status] ??= `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`)
  const written = response as unknown as Head
  written._header = `${statusLine}${headers.text}Date: ${date ?? today()}\r\nConnection: keep-alive\r\n\r\n`
  written._headerSent = false
  response.statusCode = status
}

function today(): string {
  const now = new Date()
  setTimeout(() => (date = undefined), 1000 - now.getMilliseconds()).unref()
  return (date = now.toUTCString())
}
