/**
 * What the gateway itself counts, beside what the pipeline counts of plugins: every family in one place, its handles
 * made once, so that the rooms only add.
 */
import type { CounterHandle, Metrics } from '../plugin/metrics.ts'

/** The core's handles. Add to a counter's `value`; set a gauge's. */
export interface CoreMetrics {
  readonly config: {
    /** 1 when the last reload was used, 0 when it was refused and the snapshot before it serves on. */
    readonly lastReloadSuccess: CounterHandle
    /** When a configuration was last loaded or refused, in epoch seconds. */
    readonly lastReloadTimestamp: CounterHandle
    readonly reloaded: CounterHandle
    readonly refused: CounterHandle
    /** Which snapshot serves: 1 at start, one more with each reload. */
    readonly generation: CounterHandle
  }
  readonly workers: {
    /** Processes that serve clients. */
    readonly serving: CounterHandle
    /** Those that ended unasked and were replaced. */
    readonly restarts: CounterHandle
  }
  readonly peers: {
    /** Gateways on the store, this one included, as far as they are heard. */
    readonly gateways: CounterHandle
    /** Those that serve another configuration than this one. */
    readonly differing: CounterHandle
  }
  /** Open sessions. */
  readonly sessions: { readonly http: CounterHandle; readonly ws: CounterHandle }
  /** Frames that arrived and are not yet answered. */
  readonly frames: { readonly http: CounterHandle; readonly ws: CounterHandle }
  /** What passes through WebSockets, beside their frames. */
  readonly sockets: Readonly<Record<'messagesIn' | 'messagesOut' | 'pushesSent' | 'pushesDropped' | 'slowConsumers', CounterHandle>>
  /** Log lines lost because the destination did not keep up or failed. */
  readonly logLinesDropped: CounterHandle
  /** An HTTP request that ended before it was a session. `why` is a closed word. */
  httpRefusal(why: string): CounterHandle
}

/** Declares the core's families. `version` is Tollgate's, `node` the runtime's. */
export function coreMetrics(metrics: Metrics, version: string, node: string): CoreMetrics {
  metrics.gauge('tollgate_build_info', 'Always 1; what is running, as labels.', ['version', 'node'], 'max')(version, node).value = 1
  const reloads = metrics.counter('tollgate_config_reloads_total', 'Reloads of the configuration, by what became of them.', ['outcome'])
  const sessions = metrics.gauge('tollgate_sessions', 'Open sessions.', ['scheme'])
  const messages = metrics.counter('tollgate_socket_messages_total', 'Messages of WebSockets, notifications left out, by direction.', ['direction'])
  const pushes = metrics.counter('tollgate_pushes_total', 'Subscription notifications, by what became of them.', ['outcome'])
  const frames = metrics.gauge('tollgate_frames_in_flight', 'Frames that arrived and are not yet answered.', ['scheme'])
  return {
    config: {
      lastReloadSuccess: metrics.gauge('tollgate_config_last_reload_success', '1 when the configuration on disk is the one that serves, else 0.', [], 'min')(),
      lastReloadTimestamp: metrics.gauge(
        'tollgate_config_last_reload_timestamp_seconds',
        'When a configuration was last loaded or refused, in epoch seconds.',
        [],
        'max',
      )(),
      reloaded: reloads('reloaded'),
      refused: reloads('refused'),
      generation: metrics.gauge('tollgate_config_generation', 'Which snapshot serves: 1 at start, one more with each reload.', [], 'min')(),
    },
    workers: {
      serving: metrics.gauge('tollgate_workers', 'Processes that serve clients.', [])(),
      restarts: metrics.counter('tollgate_worker_restarts_total', 'Worker processes that ended unasked and were replaced.', [])(),
    },
    peers: {
      gateways: metrics.gauge(
        'tollgate_gateways',
        'Gateways on the store of budgets, this one included, as far as they are heard; 0 without a store.',
        [],
        'max',
      )(),
      differing: metrics.gauge('tollgate_gateways_differing', 'Gateways on the store of budgets that serve another configuration than this one.', [], 'max')(),
    },
    sessions: { http: sessions('http'), ws: sessions('ws') },
    frames: { http: frames('http'), ws: frames('ws') },
    sockets: {
      messagesIn: messages('in'),
      messagesOut: messages('out'),
      pushesSent: pushes('sent'),
      pushesDropped: pushes('dropped'),
      slowConsumers: metrics.counter('tollgate_slow_consumers_total', 'WebSockets closed because their client read too slowly.', [])(),
    },
    logLinesDropped: metrics.counter('tollgate_log_lines_dropped_total', 'Log lines lost because the destination did not keep up or failed.', [])(),
    httpRefusal: metrics.counter('tollgate_http_refusals_total', 'HTTP requests that ended before they were a session, by why.', ['why']),
  }
}
