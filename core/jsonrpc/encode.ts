/**
 * The only place that writes JSON-RPC: requests towards a node, answers towards a client. Ids are written here
 * and nowhere else, so nothing else can answer the wrong call. Source texts are spliced, never rebuilt.
 */
import { jsonWire } from './wire.ts'
import type { RpcRequest } from './frame.ts'
import type { Wire } from './wire.ts'

/** A piece of a document: wire text, or bytes where the piece is large and must not be copied. */
export type Payload = Wire | Uint8Array

/** A whole document, in pieces that are written one after the other. */
export type Document = Wire | readonly Payload[]

/** The request that goes to a node: our id, the client's method and params. */
export function encodeRequest(id: number, request: Pick<RpcRequest, 'methodText' | 'paramsText'>): Wire {
  const head = `{"jsonrpc":"2.0","id":${id},"method":${request.methodText}`
  return request.paramsText === undefined ? `${head}}` : `${head},"params":${request.paramsText}}`
}

/** The requests of one frame as the batch that goes to a node. */
export function encodeBatch(requests: readonly Wire[]): Wire {
  return `[${requests.join(',')}]`
}

/** An answer that carries a result, its text spliced in. */
export function encodeResult(id: Wire, result: Payload): Document {
  return splice(`{"jsonrpc":"2.0","id":${id},"result":`, result)
}

/** An answer that carries an error object as a node wrote it, its text spliced in. */
export function encodeErrorText(id: Wire, error: Payload): Document {
  return splice(`{"jsonrpc":"2.0","id":${id},"error":`, error)
}

/** An answer that carries an error of ours (section 5.1). `message` and `data` are ordinary text and values. */
export function encodeError(id: Wire, code: number, message: string, data: unknown): Wire {
  return `{"jsonrpc":"2.0","id":${id},"error":{"code":${code},"message":${jsonWire(message)},"data":${jsonWire(data)}}}`
}

function splice(head: Wire, body: Payload): Document {
  return typeof body === 'string' ? `${head}${body}}` : [head, body, '}']
}

/** The answers of a batch, in order, as one document (section 6). */
export function joinBatch(answers: readonly Document[]): Document {
  if (answers.every((answer) => typeof answer === 'string')) return `[${answers.join(',')}]`
  const pieces: Payload[] = []
  for (const answer of answers) {
    pieces.push(pieces.length === 0 ? '[' : ',')
    if (typeof answer === 'string') pieces.push(answer)
    else pieces.push(...answer)
  }
  pieces.push(']')
  return pieces
}

/** What a document is written as, piece by piece. */
export function piecesOf(document: Document): readonly Payload[] {
  return typeof document === 'string' ? [document] : document
}

/** The size of a document in bytes. */
export function documentBytes(document: Document): number {
  if (typeof document === 'string') return document.length
  let bytes = 0
  for (const piece of document) bytes += piece.length
  return bytes
}
