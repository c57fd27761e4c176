/** What the pipeline needs of the rooms that serve it. The consumer owns the port; upstream/ and meter/ conform. */
import type { Draw } from '../plugin/budget.ts'
import type { Outcome } from '../plugin/outcome.ts'
import type { UpstreamRequest } from '../plugin/session.ts'
import type { RpcRequest } from '../jsonrpc/frame.ts'

/** Nodes that answer calls. */
export interface Upstream {
  readonly id: string
  /**
   * Sends the calls of one frame and resolves with an outcome for each, in order. Never rejects and never hangs:
   * every failure of a node is a refusal (upstreamUnavailable, upstreamTimeout).
   */
  exchange(requests: readonly RpcRequest[], context: ExchangeContext): Promise<readonly Outcome[]>
}

/** What the upstream is told of the frame, and how the frame reaches the upstream while it works. */
export interface ExchangeContext {
  readonly isBatch: boolean
  readonly rewrite: UpstreamRequest
  /** Set by the upstream while it works; called at most once, when the client has gone: drop the work. */
  cancel: (() => void) | undefined
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
