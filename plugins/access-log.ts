/**
 * access-log: one line per frame, after its answer is on its way, and one per WebSocket when it has closed. A line never carries a key, a param or a result, and of
 * what a client wrote only methods that look like methods.
 */
import { Type, consumer, definePlugin, network, outcomeWord } from '#plugin'
import type { Call, FrameView, OutcomeWord, Session, Traffic } from '#plugin'

/** Text that may stand in a line as a method. */
const PLAIN_METHOD = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/

export default definePlugin({
  name: 'access-log',
  priority: 399,
  summary: 'Writes one line per frame and one per closed WebSocket: who called what, what it cost, what became of it.',
  config: {
    sample: Type.Number({ minimum: 0, maximum: 1, default: 1, description: 'Share of frames that are logged, spread evenly: `0.01` logs every hundredth.' }),
    errors: Type.Union([Type.Literal('always'), Type.Literal('sampled')], {
      default: 'always',
      description: 'Whether frames with a call that was refused or failed are always logged, or sampled like the others. A node’s own error is an answer.',
    }),
    level: Type.Union([Type.Literal('info'), Type.Literal('debug')], {
      default: 'info',
      description: 'Level of the lines. The frames of a WebSocket are logged at `debug` in any case.',
    }),
    max_methods: Type.Integer({
      minimum: 1,
      maximum: 100,
      default: 10,
      description: 'Different methods that a line names, with their counts; further ones are counted as `(other)`.',
    }),
  },
  examples: [{}, { sample: 0.01 }, { sample: 0, errors: 'always', level: 'info' }],
  onFault: 'pass',
  create(config, host) {
    const { log } = host
    const isAlwaysLogged = config.errors === 'always' ? hasFailed : () => false
    let due = 0
    return {
      log(frame) {
        const level = frame.session.scheme === 'ws' ? 'debug' : config.level
        if (!log.isEnabled(level)) return
        due += config.sample
        if (due >= 1) due -= 1
        else if (!isAlwaysLogged(frame)) return
        log[level](line(frame, config.max_methods), 'frame')
      },
      close(session) {
        const { traffic } = session
        // A session that is judged anew after a reload is closed and opened too; its socket is not.
        if (traffic?.closeCode !== undefined) log[config.level](socketLine(session, traffic, host.now()), 'socket')
      },
    }
  },
})

function hasFailed(frame: FrameView): boolean {
  return frame.calls.some((call) => call.outcome?.kind === 'refusal')
}

function line(frame: FrameView, maxMethods: number) {
  const { session, calls } = frame
  const first = calls.find((call) => call.outcome?.kind === 'refusal')
  return {
    request_id: frame.requestId,
    route: session.routeId,
    scheme: session.scheme,
    remote_addr: session.remoteAddr,
    consumer: session.get(consumer)?.username,
    network: session.get(network),
    batch: frame.isBatch,
    calls: calls.length,
    methods: countMethods(calls, maxMethods),
    cu: calls.reduce((sum, call) => sum + call.charged, 0),
    outcomes: countOutcomes(calls),
    refused_by: first?.decidedBy,
    why: first?.outcome?.kind === 'refusal' ? first.outcome.why : undefined,
    status: frame.status,
    request_bytes: frame.requestBytes,
    response_bytes: frame.responseBytes,
    gateway_ms: rounded(frame.totalMs - frame.upstreamMs),
    upstream_ms: rounded(frame.upstreamMs),
  }
}

function socketLine(session: Session, traffic: Traffic, now: number) {
  return {
    request_id: session.requestId,
    route: session.routeId,
    remote_addr: session.remoteAddr,
    consumer: session.get(consumer)?.username,
    network: session.get(network),
    close_code: traffic.closeCode,
    messages_in: traffic.messagesIn,
    messages_out: traffic.messagesOut,
    bytes_in: traffic.bytesIn,
    bytes_out: traffic.bytesOut,
    pushes: traffic.pushes,
    pushes_dropped: traffic.pushesDropped,
    open_ms: now - session.openedAt,
  }
}

function countMethods(calls: readonly Call[], maxMethods: number): Record<string, number> {
  const counts: Record<string, number> = {}
  let named = 0
  for (const { method } of calls) {
    const isNamed = Object.hasOwn(counts, method)
    const name = isNamed || (named < maxMethods && PLAIN_METHOD.test(method)) ? method : '(other)'
    if (name === method && !isNamed) named++
    counts[name] = (Object.hasOwn(counts, name) ? counts[name]! : 0) + 1
  }
  return counts
}

function countOutcomes(calls: readonly Call[]): Partial<Record<OutcomeWord, number>> {
  const counts: Partial<Record<OutcomeWord, number>> = {}
  for (const { outcome } of calls) {
    if (outcome === undefined) continue
    const word = outcomeWord(outcome)
    counts[word] = (counts[word] ?? 0) + 1
  }
  return counts
}

/** Milliseconds with three digits behind the point. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000
}
