/** Every bound that sockets to nodes keep, beside the timeouts of the upstream. */

export interface SocketLimits {
  /** Sockets to one node that carry the calls of all clients. */
  readonly callSockets: number
  /** Calls in flight on a socket from which on another one is opened: fewer sockets mean more calls per system call. */
  readonly crowdedCalls: number
  /** Bytes that wait to be sent from which on a socket gets no more calls: the node does not keep up. */
  readonly maxUnsentBytes: number
  /** How often a node is pinged. */
  readonly pingIntervalMs: number
  /** Pings in a row that a node may leave unanswered. */
  readonly missedPongs: number
  /** Pings after which a socket without any call or subscription is closed. */
  readonly idlePings: number
  /** What a close frame may take to be answered before the socket is cut. */
  readonly closeTimeoutMs: number
  /** The first wait before a node that could not be reached is tried again; each further one is twice as long. */
  readonly backoffMs: number
  readonly maxBackoffMs: number
  /** A socket that was lost sooner than this counts as one that could not be opened. */
  readonly steadyMs: number
  /** How long an answer to "can a node be reached?" is good for. */
  readonly reachCacheMs: number
  /** Notifications that are kept because a node sent them before its answer to the subscribe call. */
  readonly earlyNotifications: number
  /** Tries to subscribe again on nodes that refuse it, before the clients are told that it is over. */
  readonly resubscribeAttempts: number
  /** Blocks whose delivery is remembered, to tell what was missed, what is a duplicate and what was replaced. */
  readonly rememberedBlocks: number
  /** Bytes of delivered logs that are remembered for one subscription. */
  readonly rememberedBytes: number
  /** Part of the backlog that all subscriptions may take, and what is remembered for them. */
  readonly rememberedShare: number
  /** Blocks that are made up for at most after a loss. */
  readonly backfillBlocks: number
  /** Blocks asked for in one eth_getLogs, and in one go of eth_getBlockByNumber. */
  readonly backfillSpan: number
  /** Blocks before the last known head from which on logs are asked for: a node pushes logs a moment after the head. */
  readonly logOverlapBlocks: number
  /** Requests of our own in flight on one socket. */
  readonly ownRequests: number
  /** How long a node that lags behind what was delivered is waited for. */
  readonly lagPatienceMs: number
  /** How often such a node is asked for its head. */
  readonly lagPollMs: number
  /** How often the head is asked for where logs are subscribed to and new heads are not. */
  readonly headPollMs: number
  /** Tries at making up for a loss before it is given up. */
  readonly catchUpAttempts: number
  /** Bytes of new notifications that wait while old ones are made up for. */
  readonly queuedBytes: number
}

export const socketLimits: SocketLimits = {
  callSockets: 2,
  crowdedCalls: 64,
  maxUnsentBytes: 16 * 1024 * 1024,
  pingIntervalMs: 30_000,
  missedPongs: 2,
  idlePings: 10,
  closeTimeoutMs: 2000,
  backoffMs: 100,
  maxBackoffMs: 5000,
  steadyMs: 5000,
  reachCacheMs: 500,
  earlyNotifications: 64,
  resubscribeAttempts: 10,
  rememberedBlocks: 128,
  rememberedBytes: 4 * 1024 * 1024,
  rememberedShare: 1 / 2,
  backfillBlocks: 1024,
  backfillSpan: 16,
  logOverlapBlocks: 8,
  ownRequests: 16,
  lagPatienceMs: 30_000,
  lagPollMs: 500,
  headPollMs: 15_000,
  catchUpAttempts: 3,
  queuedBytes: 16 * 1024 * 1024,
}
