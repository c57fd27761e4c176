/**
 * A last answer on a connection whose request was not read to its end. Closed at once, the connection would be reset
 * and the answer lost with it (RFC 9112 section 9.6), so what still arrives is read for a moment and thrown away.
 */
import type { ServerResponse } from 'node:http'
import type { Connection } from './connections.ts'
import type { HttpRequest } from './http-request.ts'

/** So much of a body is thrown away, for so long. */
const LINGER_BYTES = 8 * 1024 * 1024
export const LINGER_MS = 2000

/** Sends the text of an answer whose head has been written, and ends the connection once the request is over. */
export function endLingering(request: HttpRequest, response: ServerResponse, connection: Connection, text: string): void {
  connection.isEnding = true
  if (request.complete) return void response.end(text, 'latin1')
  response.write(text, 'latin1')
  let bytes = 0
  const end = (): void => {
    clearTimeout(timer)
    response.end()
  }
  const timer = setTimeout(end, LINGER_MS).unref()
  const took = (chunk: Buffer): void => {
    bytes += chunk.length
    if (bytes > LINGER_BYTES) end()
  }
  request.deliverTo({ took, tookAll: end })
  request.on('close', end)
  connection.arriving = { hasArrived: false, interrupted: end }
}
