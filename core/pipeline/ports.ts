/** What the pipeline needs of the rooms that serve it. The consumer owns the port; upstream/ and meter/ conform. */
import type { Document } from '../jsonrpc/encode.ts'
import type { Draw } from '../plugin/budget.ts'
import type { WebSocketSettings } from '../plugin/define.ts'
import type { Outcome, Refusal } from '../plugin/outcome.ts'
import type { Room } from '../plugin/room.ts'
import type { Call, UpstreamRequest } from '../plugin/session.ts'
import type { RpcRequest } from '../jsonrpc/frame.ts'

/** Nodes that answer calls. */
export interface Upstream {
  readonly id: string
  /**
   * Sends the calls of one frame and resolves with an outcome for each, in order. Never rejects and never hangs:
   * every failure of a node is a refusal (upstreamUnavailable, upstreamTimeout).
   */
  exchange(requests: readonly RpcRequest[], context: ExchangeContext): Promise<readonly Outcome[]>
  /** Whether a node can be reached now: asked before a WebSocket handshake is answered. */
  reach(settings: WebSocketSettings): Promise<boolean>
}

/** The client's end of a WebSocket session, as an upstream sees it. One per session, for as long as it lasts. */
export interface Subscriber {
  readonly settings: WebSocketSettings
  /** Where what waits for the client is counted. */
  readonly backlog: Room
  /** The session has ended: nothing is begun for it any more. */
  readonly isGone: boolean
  /** What the session asks of requests to a node. */
  readonly rewrite: UpstreamRequest
  /** Hands on one subscription notification; it is metered, and dropped where the chain says so. */
  push(notification: Notification): void
  /** Ends the session: a node closed a dedicated socket, or a subscription cannot be kept. Codes of RFC 6455 section 7.4. */
  close(code: number, reason: string): void
  /** Runs once when the session has ended, with the client's close code and reason. */
  onClose(run: (code: number, reason: string) => void): void
}

/** One subscription notification, addressed to one client. */
export interface Notification {
  /** The method that subscribed, such as `eth_subscribe`. */
  readonly subscribeMethod: string
  /** The first param of the subscription where that is a word, such as `newHeads`; else ''. */
  readonly topic: string
  /** The whole message, with the client's own subscription id. */
  readonly message: Document
}

/** Work that can be dropped. */
interface Running {
  cancel(): void
}

/** What the upstream is told of the frame, and how the frame reaches the upstream while it works. */
export interface ExchangeContext {
  readonly isBatch: boolean
  /** The calls behind the requests, in their order: what they and their session hold may decide which node is asked. */
  readonly calls: readonly Call[]
  readonly rewrite: UpstreamRequest
  /** The client's end of a WebSocket; undefined over HTTP, where nothing can be pushed. */
  readonly subscriber: Subscriber | undefined
  /** What runs once the answer has been handed to the client's socket: a subscription's first notification waits for it. */
  readonly afterAnswer: (() => void)[]
  /** Set by the upstream while it works; cancelled at most once, when the client has gone. An object: a closure for each call was promoted by the collector, and its frame with it. */
  running: Running | undefined
}

/** What the process has to carry: asked before new work is begun. */
export interface Load {
  /** Why new work is refused now; undefined while there is room. */
  readonly refusal: Refusal | undefined
  /** For bodies and answers. */
  readonly room: Room
  /** For what waits for the readers of WebSockets. */
  readonly backlog: Room
}

/** Where budgets are counted. */
export interface Meter {
  /**
   * Draws for the calls of one frame in one atomic step. `wants[i]` are the draws of call i: all of them are taken
   * or none. With `together`, either every call is served or none is. Fills each draw, and answers per call with
   * the position of the first draw that had no room, or -1 where all were taken. Order decides who is refused.
   */
  draw(wants: readonly (readonly Draw[])[], together: boolean): readonly number[] | Promise<readonly number[]>
  /** Returns part of what a draw holds. More than it holds returns all of it. */
  refund(draw: Draw, amount: number): void
  /** Records more on a budget, whatever its limit: a call turned out to cost more than was reserved. */
  overdraw(draw: Draw, amount: number): void
}
