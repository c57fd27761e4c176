/**
 * prometheus: counts frames, calls, CU and refusals, and measures how long frames take, for `/metrics` of the admin
 * listener. Labels are closed words: a method or a network that nobody configured is `other`, and a consumer, a key
 * or an address is never a label. Handles are kept, so that a call costs two lookups and a few additions.
 */
import { Type, definePlugin, network, offeredMethods, outcomeWord } from '#plugin'
import type { Call, CounterHandle, FrameView, HistogramHandle, Metrics, OutcomeWord } from '#plugin'

/** Upper bounds in seconds: from a near node to the longest trace. */
const LATENCY_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
/** Upper bounds in seconds: what the gateway itself adds is well below a millisecond. */
const GATEWAY_BUCKETS = [0.000_05, 0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1]

const OTHER = 'other'

export default definePlugin({
  name: 'prometheus',
  priority: 500,
  summary: 'Counts frames, calls, CU and refusals and measures durations, for `/metrics`.',
  config: {
    methods: Type.Array(Type.String({ minLength: 1 }), {
      default: [],
      description: 'Methods that become labels, beside those that a whitelist on the same route names in full. All others are `other`.',
    }),
    networks: Type.Array(Type.String({ minLength: 1 }), {
      default: [],
      description: 'Networks that become labels, beside those of a whitelist on the same route and of routes that name theirs. All others are `other`.',
    }),
  },
  examples: [{}, { methods: ['eth_call', 'eth_blockNumber'], networks: ['eth-mainnet'] }],
  onFault: 'pass',
  create(config, host) {
    const families = declareFamilies(host.metrics)
    const methods = new Set([OTHER, ...config.methods])
    const networks = new Set([OTHER, ...config.networks])
    host.hear(offeredMethods, (lines) => {
      for (const line of lines) {
        if (!line.pattern.includes('*')) methods.add(line.pattern)
        for (const name of line.networks) networks.add(name)
      }
    })

    const ofNetworks = new Map<string, Map<string, MethodHandles>>()
    function handlesOf(on: string, method: string): MethodHandles {
      let ofMethods = ofNetworks.get(on)
      if (ofMethods === undefined) {
        if (!networks.has(on)) return handlesOf(OTHER, method)
        ofNetworks.set(on, (ofMethods = new Map()))
      }
      let handles = ofMethods.get(method)
      if (handles === undefined) {
        if (!methods.has(method)) return handlesOf(on, OTHER)
        ofMethods.set(method, (handles = new MethodHandles(families, on, method)))
      }
      return handles
    }

    const ofRoutes = {
      http: remembered((route: string) => new RouteHandles(families, route, 'http')),
      ws: remembered((route: string) => new RouteHandles(families, route, 'ws')),
    }
    const ofRefusals = remembered((plugin: string) => remembered((why: string) => families.refusals(plugin, why)))

    return {
      log(frame) {
        ofRoutes[frame.session.scheme](frame.session.routeId).count(frame)
        const on = frame.session.get(network) ?? OTHER
        if (!networks.has(on) && frame.session.pathVariable('network') === undefined) networks.add(on) // the route names it, not the client
        for (const call of frame.calls) {
          handlesOf(on, call.method).count(call)
          if (call.outcome?.kind === 'refusal') ofRefusals(call.decidedBy ?? 'core')(call.outcome.why).value++
        }
      },
    }
  },
})

function declareFamilies(metrics: Metrics) {
  const route = ['route', 'scheme']
  const call = ['network', 'method']
  return {
    frames: metrics.counter('tollgate_frames_total', 'Answered frames, by HTTP status (on a WebSocket what it would have been).', [...route, 'status']),
    requestBytes: metrics.counter('tollgate_request_bytes_total', 'Bytes of frames received.', route),
    responseBytes: metrics.counter('tollgate_response_bytes_total', 'Bytes of answers sent.', route),
    duration: metrics.histogram('tollgate_frame_duration_seconds', 'From a frame’s arrival to its answer.', route, LATENCY_BUCKETS),
    upstream: metrics.histogram(
      'tollgate_frame_upstream_seconds',
      'The part of it spent waiting for the upstream, where it was asked.',
      route,
      LATENCY_BUCKETS,
    ),
    gateway: metrics.histogram('tollgate_frame_gateway_seconds', 'The part of it spent in the gateway.', route, GATEWAY_BUCKETS),
    calls: metrics.counter('tollgate_calls_total', 'Calls, by what became of them.', [...call, 'outcome']),
    cuCharged: metrics.counter('tollgate_cu_charged_total', 'CU that calls were charged in the end.', call),
    cuRefunded: metrics.counter('tollgate_cu_refunded_total', 'CU that were drawn and given back: the call failed, or cost less.', call),
    refusals: metrics.counter('tollgate_refusals_total', 'Refused calls, by the plugin that refused (`core` where none did) and why.', ['plugin', 'why']),
  }
}

type Families = ReturnType<typeof declareFamilies>

/** What is counted per frame. */
class RouteHandles {
  private readonly ofStatus: (status: number) => CounterHandle
  private readonly requestBytes: CounterHandle
  private readonly responseBytes: CounterHandle
  private readonly duration: HistogramHandle
  private readonly upstream: HistogramHandle
  private readonly gateway: HistogramHandle

  constructor(families: Families, route: string, scheme: string) {
    this.ofStatus = remembered((status) => families.frames(route, scheme, String(status)))
    this.requestBytes = families.requestBytes(route, scheme)
    this.responseBytes = families.responseBytes(route, scheme)
    this.duration = families.duration(route, scheme)
    this.upstream = families.upstream(route, scheme)
    this.gateway = families.gateway(route, scheme)
  }

  count(frame: FrameView): void {
    this.ofStatus(frame.status).value++
    this.requestBytes.value += frame.requestBytes
    this.responseBytes.value += frame.responseBytes
    this.duration.observe(frame.totalMs / 1000)
    this.gateway.observe((frame.totalMs - frame.upstreamMs) / 1000)
    if (frame.upstreamMs > 0) this.upstream.observe(frame.upstreamMs / 1000)
  }
}

/** What is counted per call. */
class MethodHandles {
  private readonly ofOutcome: (word: OutcomeWord) => CounterHandle
  private readonly charged: CounterHandle
  private readonly refunded: CounterHandle

  constructor(families: Families, on: string, method: string) {
    this.ofOutcome = remembered((word) => families.calls(on, method, word))
    this.charged = families.cuCharged(on, method)
    this.refunded = families.cuRefunded(on, method)
  }

  count(call: Call): void {
    const { outcome } = call
    if (outcome === undefined) return
    const word = outcomeWord(outcome)
    this.ofOutcome(word).value++
    this.charged.value += call.charged
    if (word !== 'refused') this.refunded.value += givenBack(call)
  }
}

/** What a call drew and no longer holds; each of its budgets was drawn from alike. A call that was refused for a budget never drew. */
function givenBack(call: Call): number {
  let most = 0
  for (const { unit, cost, held } of call.draws) if (unit === 'cu') most = Math.max(most, cost - held)
  return most
}

function remembered<K, V>(make: (key: K) => V): (key: K) => V {
  const made = new Map<K, V>()
  return (key) => {
    let value = made.get(key)
    if (value === undefined) made.set(key, (value = make(key)))
    return value
  }
}
