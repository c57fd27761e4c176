/**
 * What a plugin sees of the traffic: sessions, frames and calls, and never a transport. One HTTP request is a
 * session with one frame; one WebSocket is a session with many.
 */
import type { Draw } from './budget.ts'
import type { Outcome } from './outcome.ts'
import type { Slot } from './slots.ts'

/** One HTTP request, or one WebSocket connection. */
export interface Session {
  /** The id that logs, errors and `X-Request-Id` carry. */
  requestId: string
  /** 'ws' for a WebSocket session, 'http' for one HTTP request. For logs and metrics, not for rules. */
  readonly scheme: 'http' | 'ws'
  /** The HTTP method of the opening request. */
  readonly httpMethod: string
  /** The address on the other end of the socket. */
  readonly peer: string
  /** The client's address: the peer, unless a trusted proxy named another. */
  remoteAddr: string
  /** The host asked for, lower case, without a port. */
  readonly host: string
  /** The path asked for, decoded once, without the query. It may hold a key: never log it, never forward it. */
  readonly path: string
  /** The path with `***` in place of each path variable that was hidden. */
  readonly visiblePath: string
  readonly routeId: string
  /** When the session began, in epoch milliseconds. */
  readonly openedAt: number
  /** What has passed through a WebSocket so far; undefined for an HTTP request. */
  readonly traffic: Traffic | undefined
  /** What the session asks of the request that goes to a node. */
  readonly upstreamRequest: UpstreamRequest

  /** A request header by its lower-case name; undefined where it is missing or hidden. */
  header(name: string): string | undefined
  /** A query argument, decoded; undefined where it is missing or hidden. */
  argument(name: string): string | undefined
  /** A variable that the route's match bound (`{network}`, `{apikey}`); undefined where it is missing or hidden. */
  pathVariable(name: string): string | undefined
  /** Hides a header, an argument or a path variable from every later plugin, template and log. */
  hide(kind: 'header' | 'argument' | 'pathVariable', name: string): void

  get<T>(slot: Slot<T, 'session'>): T | undefined
  set<T>(slot: Slot<T, 'session'>, value: T): void
  /**
   * Sets a header of the HTTP answer (on a WebSocket: of the 101). Later values replace earlier ones. Throws a TypeError for what cannot
   * be sent, and for what is the gateway's to say: Date, and what frames an answer or ends a connection.
   */
  setHeader(name: string, value: string | number): void
  /** The session's right to exist ends at this epoch millisecond: a WebSocket is then closed with 4401. */
  expireAt(epochMs: number): void
}

/** What has passed through one WebSocket. */
export interface Traffic {
  readonly messagesIn: number
  readonly messagesOut: number
  readonly bytesIn: number
  readonly bytesOut: number
  /** Subscription notifications sent, and those dropped by a plugin, a limit or a slow reader. */
  readonly pushes: number
  readonly pushesDropped: number
  /** The code with which it was closed (RFC 6455 section 7.4); undefined while it is open. */
  readonly closeCode: number | undefined
}

/** What plugins may change about the HTTP request that goes to a node. Nothing of the client's is forwarded unasked. */
export interface UpstreamRequest {
  /** Path and query; undefined keeps the node's own URL. */
  path: string | undefined
  /** Host header; undefined keeps the node's. */
  host: string | undefined
  /** Headers to add, by lower-case name. */
  headers: Record<string, string> | undefined
}

/** One JSON-RPC document of a session, while it is worked on and when it is logged. */
export interface FrameView {
  readonly session: Session
  /** The session's request id; on a WebSocket with the frame's number. */
  readonly requestId: string
  readonly isBatch: boolean
  /** Every entry of the document in the client's order, refused ones included. */
  readonly calls: readonly Call[]
  readonly requestBytes: number
  readonly responseBytes: number
  /** Monotonic milliseconds. */
  readonly startedAt: number
  /** Milliseconds from the frame's arrival to its answer. */
  readonly totalMs: number
  /** Milliseconds of that spent waiting for the upstream; 0 when it was not asked. */
  readonly upstreamMs: number
  /** HTTP status of the answer; what it would have been, on a WebSocket. */
  readonly status: number
}

/** One JSON-RPC request object. Hooks only ever see calls that are still alive. */
export interface Call {
  readonly session: Session
  readonly frame: FrameView
  /** The method; '' where the entry was no request. */
  readonly method: string
  readonly isNotification: boolean
  /** The params as a value, parsed when first asked for. */
  readonly params: unknown
  /** Source text of the params, one character per byte; undefined where there are none. */
  readonly paramsText: string | undefined
  /** What became of the call, once something did. */
  readonly outcome: Outcome | undefined
  /** The plugin that decided the outcome; undefined where a node or the core did. */
  readonly decidedBy: string | undefined
  /** What the call holds of budgets. */
  readonly draws: readonly Draw[]
  /** CU that the call was charged in the end; 0 when it was refused or refunded. */
  readonly charged: number
  get<T>(slot: Slot<T, 'call'>): T | undefined
  set<T>(slot: Slot<T, 'call'>, value: T): void
  /** Replaces the params that go upstream, and that later plugins see. Only for values that JSON.stringify writes without loss. */
  replaceParams(value: unknown): void
  /** Asks the node these params in place of the call's, one request for each, and joins the results, which have to be lists, in this order. */
  askInParts(paramsOfParts: readonly unknown[]): void
  /** Settles the call's price: what it turned out to cost, in CU, in place of what was drawn. */
  settle(cost: number): void
}
