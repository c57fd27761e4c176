/** gzip towards clients that ask for it (RFC 9110 section 12.5.3). Nothing else is offered, and nothing is ever decoded. */
import { createGzip } from 'node:zlib'
import { documentBytes, piecesOf } from '../jsonrpc/encode.ts'
import type { ServerResponse } from 'node:http'
import type { Document } from '../jsonrpc/encode.ts'
import type { HeaderList } from '../pipeline/header-list.ts'

/** Level 1: most of the gain on JSON at a third of the default's time. */
const LEVEL = 1

/** Whether an Accept-Encoding header admits gzip. */
export function wantsGzip(acceptEncoding: string | readonly string[] | undefined): boolean {
  if (acceptEncoding === undefined) return false
  return /(?:^|,)\s*(?:gzip|\*)\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))[0-9.]+\s*)?(?:,|$)/i.test(String(acceptEncoding))
}

/** Sends the document compressed, if it is large enough to gain by it; answers whether it did. */
export function compressed(document: Document, overBytes: number, status: number, headers: HeaderList, response: ServerResponse): boolean {
  if (documentBytes(document) <= overBytes) return false
  headers.set('Content-Encoding', 'gzip')
  response.writeHead(status, headers.flat)
  const gzip = createGzip({ level: LEVEL })
  gzip.on('error', (error) => response.destroy(error))
  response.on('close', () => gzip.destroy())
  gzip.pipe(response)
  for (const piece of piecesOf(document)) gzip.write(piece, 'latin1')
  gzip.end()
  return true
}
