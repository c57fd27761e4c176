/**
 * A frame: one JSON-RPC document, decoded. Its entries are requests, or faults where something that stood in
 * a request's place is none; both keep the client's order. https://www.jsonrpc.org/specification
 */
import { fromWire } from './wire.ts'
import type { ErrorName } from './errors.ts'
import type { Wire } from './wire.ts'

/** A request object that was accepted, with its source text. */
export class RpcRequest {
  /** Source text of the id; undefined makes it a notification (section 4.1). */
  readonly id: Wire | undefined
  /** The method, decoded. */
  readonly method: string
  /** The method as a JSON string. */
  readonly methodText: Wire
  /** Source text of params: an array or an object, or undefined where the client sent none. */
  readonly paramsText: Wire | undefined

  constructor(id: Wire | undefined, method: string, methodText: Wire, paramsText: Wire | undefined) {
    this.id = id
    this.method = method
    this.methodText = methodText
    this.paramsText = paramsText
  }
}

/** An entry that is not a request: answered with an error, never forwarded, never charged. */
export class RpcFault {
  /** Source text of the id, where one could be told beyond doubt; else 'null' (section 5). */
  readonly id: Wire
  readonly name: ErrorName
  /** A closed word for metrics. */
  readonly why: string
  readonly message: string
  /** HTTP status where it is not the table's. */
  readonly status: number | undefined

  constructor(id: Wire, name: ErrorName, why: string, message: string, status?: number) {
    this.id = id
    this.name = name
    this.why = why
    this.message = message
    this.status = status
  }
}

/** One decoded document. A document that is no frame at all is a single fault. */
export interface Frame {
  readonly isBatch: boolean
  readonly entries: readonly (RpcRequest | RpcFault)[]
}

/** What a decoder takes at most. Sizes in bytes. */
export interface DecodeLimits {
  /** Calls in one batch. */
  readonly maxBatch: number
  /** Containers open at once, the request object included. */
  readonly maxDepth: number
  /** Characters of a method. */
  readonly maxMethodLength: number
  /** Bytes of an id's text. */
  readonly maxIdBytes: number
}

/** Params as a value, for the plugins that look inside; the text is what goes upstream. */
export function parseParams(request: RpcRequest): unknown {
  return request.paramsText === undefined ? undefined : JSON.parse(fromWire(request.paramsText))
}
