/** What is counted of the sockets of one upstream. Handles are looked up when it is built. */
import type { CounterHandle, Metrics } from '../../plugin/metrics.ts'

export class SocketCounts {
  /** Open sockets to nodes, by what they are for. */
  readonly sockets: Readonly<Record<'calls' | 'subscriptions' | 'dedicated' | 'heads', CounterHandle>>
  /** Subscriptions at nodes. */
  readonly upstreamSubscriptions: CounterHandle
  /** Subscriptions of clients that they serve. */
  readonly clientSubscriptions: CounterHandle
  readonly resubscribes: CounterHandle
  readonly backfilled: Readonly<Record<'newHeads' | 'logs', CounterHandle>>
  /** Losses that were not made up for. */
  readonly gaps: CounterHandle
  /** Messages that answer nothing and belong to no subscription. */
  readonly stray: CounterHandle

  constructor(metrics: Metrics, upstream: string) {
    const sockets = metrics.gauge('tollgate_upstream_sockets', 'Open WebSockets to nodes, by what they are for.', ['upstream', 'purpose'])
    const backfilled = metrics.counter('tollgate_backfilled_events_total', 'Notifications that made up for a lost socket.', ['upstream', 'topic'])
    this.sockets = {
      calls: sockets(upstream, 'calls'),
      subscriptions: sockets(upstream, 'subscriptions'),
      dedicated: sockets(upstream, 'dedicated'),
      heads: sockets(upstream, 'heads'),
    }
    this.upstreamSubscriptions = metrics.gauge('tollgate_upstream_subscriptions', 'Subscriptions at nodes.', ['upstream'])(upstream)
    this.clientSubscriptions = metrics.gauge('tollgate_client_subscriptions', 'Subscriptions of clients.', ['upstream'])(upstream)
    this.resubscribes = metrics.counter('tollgate_resubscribes_total', 'Subscriptions that were made anew after a lost socket.', ['upstream'])(upstream)
    this.backfilled = { newHeads: backfilled(upstream, 'newHeads'), logs: backfilled(upstream, 'logs') }
    this.gaps = metrics.counter('tollgate_backfill_gaps_total', 'Subscriptions that went on without all that they had missed.', ['upstream'])(upstream)
    this.stray = metrics.counter(
      'tollgate_upstream_stray_messages_total',
      'Messages from nodes that answer no call, or one that is no longer waited for, and belong to no subscription.',
      ['upstream'],
    )(upstream)
  }
}
