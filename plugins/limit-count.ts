/**
 * limit-count: so many calls per window of seconds, as in APISIX: a fixed window, here one that begins on a multiple
 * of its length. Every member of a batch and every message of a WebSocket counts; what no node did counts
 * nothing. The answer says how the count stands (`X-RateLimit-Limit`, `-Remaining`, `-Reset` in seconds), unless
 * limit-cu on the same route says so of its own.
 */
import { callTemplate, definePlugin, draw, keyProblem, refuse, Type } from '#plugin'
import type { Draw, Refusal } from '#plugin'

const NAME = 'limit-count'

export default definePlugin({
  name: NAME,
  priority: 1002,
  summary: 'Limits the number of calls within some seconds.',
  config: {
    count: Type.Integer({ minimum: 1, description: 'Calls per window.' }),
    time_window: Type.Integer({ minimum: 1, maximum: 31_536_000, description: 'The length of the window, in seconds.' }),
    key: Type.String({
      minLength: 1,
      default: '$remote_addr',
      description: 'What is counted apart. Where a variable has no value, it is the address that calls.',
    }),
    group: Type.Optional(
      Type.String({ pattern: '^[\\w.-]+$', description: 'Routes with the same group count together. Without one each route counts for itself.' }),
    ),
    rejected_code: Type.Optional(Type.Integer({ minimum: 400, maximum: 599, description: 'HTTP status of a refusal in place of 429.' })),
    rejected_msg: Type.Optional(Type.String({ minLength: 1, description: 'Message of a refusal in place of ours.' })),
    show_limit_quota_header: Type.Boolean({ default: true, description: 'Whether answers carry the X-RateLimit headers.' }),
  },
  examples: [
    { count: 100, time_window: 60 },
    { count: 5, time_window: 1, key: '$consumer_name $rpc_method', group: 'public' },
  ],
  onFault: 'refuse',
  create(config, host) {
    const problem = keyProblem(config.key, 'call')
    if (problem !== undefined) {
      host.report('error', ['key'], problem)
      return {}
    }
    const { count, rejected_code: status } = config
    const scope = config.group === undefined ? 'route $route_id' : `group ${config.group}`
    const keyOf = callTemplate(`${scope} ${config.key}`)
    const addressOf = callTemplate(`${scope} address $remote_addr`)
    const window = { kind: 'fixed', ms: config.time_window * 1000 } as const
    const message = config.rejected_msg ?? `Limit exceeded: ${count} calls per ${config.time_window === 1 ? 'second' : `${config.time_window} seconds`}`
    const refused = ({ retryAfterMs }: Draw): Refusal =>
      refuse('limited', 'count', { message, limit: count, ...(status !== undefined && { status }), ...(retryAfterMs < Infinity && { retryAfterMs }) })
    return {
      charge: (call) => draw(NAME, keyOf(call) ?? addressOf(call)!, count, window, 1, refused, 'call'),
      ...(config.show_limit_quota_header && {
        reply({ session, draws }) {
          const drawn = session.scheme === 'http' ? draws.find(isOurs) : undefined
          if (drawn === undefined) return
          session.setHeader('X-RateLimit-Limit', drawn.limit)
          session.setHeader('X-RateLimit-Remaining', drawn.remaining)
          session.setHeader('X-RateLimit-Reset', Math.ceil(drawn.resetMs / 1000))
        },
      }),
    }
  },
})

function isOurs({ budget }: Draw): boolean {
  return budget === NAME
}
