/**
 * ws-jsonrpc-proxy: opens a route to WebSocket. It has no rule of its own: every message is judged by the route's
 * chain, as the body of a request is. Here stand only the bounds of a socket and how it reaches the nodes.
 */
import { definePlugin, Duration, durationMs, Type } from '#plugin'

const MIB = 1024 * 1024
/** Proxies on the way end what is silent for longer; and timers have a largest delay. */
const MAX_PING_INTERVAL_MS = 3_600_000

export default definePlugin({
  name: 'ws-jsonrpc-proxy',
  priority: 999,
  summary: 'Opens the route to WebSocket, with the same chain on every message.',
  config: {
    mode: Type.Union([Type.Literal('shared'), Type.Literal('dedicated'), Type.Literal('http')], {
      description:
        '`shared` puts the calls of all clients on a few sockets per node, `dedicated` opens one per client, `http` uses sockets for subscriptions only.',
      default: 'shared',
    }),
    max_in_flight: Type.Integer({ minimum: 1, description: 'Calls of one socket that may be open at once; at the bound the socket is not read.', default: 64 }),
    max_subscriptions: Type.Integer({ minimum: 0, description: 'Subscriptions of one socket.', default: 100 }),
    max_message_bytes: Type.Integer({ minimum: 1, description: 'Bytes of a message from the client.', default: MIB }),
    max_answer_bytes: Type.Integer({ minimum: 1, description: 'Bytes of a message to the client.', default: 16 * MIB }),
    max_buffered_bytes: Type.Integer({ minimum: 1, description: 'Bytes that may wait for a client that reads slowly.', default: 8 * MIB }),
    slow_consumer: Type.Union([Type.Literal('close'), Type.Literal('drop-oldest')], {
      description: 'What happens beyond that: the socket is closed with 1013, or its oldest notifications are dropped.',
      default: 'close',
    }),
    max_errors: Type.Integer({ minimum: 1, description: 'Messages that are no JSON-RPC until the socket is closed with 1008.', default: 100 }),
    ping_interval: Duration({ description: 'How often both sides are pinged; two missed answers end the socket.', default: '30s' }),
    max_lifetime: Type.Optional(
      Duration({
        description: 'How long a socket may live; it is closed up to a tenth earlier, so that not all reconnect at once. Without it there is no end.',
      }),
    ),
    compression: Type.Boolean({ description: 'Whether permessage-deflate is negotiated.', default: false }),
    origins: Type.Optional(
      Type.Array(Type.String({ pattern: '^(\\*|[a-z][a-z0-9+.-]*://[^/?#\\s]+)$', patternErrorMessage: 'must be * or scheme://host, without a path' }), {
        minItems: 1,
        description: 'Origins of web pages that may connect; without it any may.',
      }),
    ),
  },
  examples: [{}, { max_in_flight: 16, max_lifetime: '12h', origins: ['https://app.example.com'] }],
  onFault: 'refuse',
  create(config, host) {
    const pingIntervalMs = durationMs(config.ping_interval)
    const maxLifetimeMs = config.max_lifetime === undefined ? undefined : durationMs(config.max_lifetime)
    if (pingIntervalMs === 0 || pingIntervalMs > MAX_PING_INTERVAL_MS) host.report('error', ['ping_interval'], 'must be more than 0s and at most 1h')
    if (maxLifetimeMs === 0) host.report('error', ['max_lifetime'], 'must be more than 0s', 'leave it out for no limit')
    return {
      webSocket: {
        mode: config.mode,
        maxInFlight: config.max_in_flight,
        maxSubscriptions: config.max_subscriptions,
        maxMessageBytes: config.max_message_bytes,
        maxAnswerBytes: config.max_answer_bytes,
        maxBufferedBytes: config.max_buffered_bytes,
        slowConsumer: config.slow_consumer,
        maxErrors: config.max_errors,
        pingIntervalMs,
        maxLifetimeMs,
        compression: config.compression,
        origins: config.origins,
      },
    }
  },
})
