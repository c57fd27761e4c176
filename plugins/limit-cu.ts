/**
 * limit-cu: what a consumer may spend within any `time_window` seconds, in compute units. One budget for each
 * consumer, over all routes, networks and transports whose window is as long. The limit is the consumer's own
 * `seconds_quota`, else its plan's, as they are when the call is judged. The answer says how the budget stands:
 * `X-RateLimit-Limit`, `-Remaining`, and `-Reset`, the seconds until all that was spent is forgotten.
 */
import { consumer, cost, definePlugin, draw, keyProblem, refuse, sessionTemplate, Type } from '#plugin'
import type { Consumer, Draw, Refusal, Session } from '#plugin'

const NAME = 'limit-cu'

const NO_PLAN = refuse('blocked', 'no-plan', { message: 'This account has no plan, and so no compute units to spend' })
const NO_QUOTA = refuse('limited', 'no-quota', {
  message: 'This account has no compute units to spend: its quota is 0',
  limit: 0,
  headers: { 'X-RateLimit-Limit': '0', 'X-RateLimit-Remaining': '0' },
})
const NO_ANONYMOUS = refuse('limited', 'no-quota', {
  message: 'There are no compute units to spend here without an API key',
  limit: 0,
  headers: NO_QUOTA.headers!,
})

export default definePlugin({
  name: NAME,
  priority: 1010,
  summary: 'Limits the compute units that a consumer spends within some seconds.',
  config: {
    time_window: Type.Integer({ minimum: 1, maximum: 86_400, default: 1, description: 'The length of the sliding window that a quota is for, in seconds.' }),
    key: Type.String({
      minLength: 1,
      default: '$consumer_name',
      description: 'Whose budget a call draws on. Where a variable has no value, as for a session without a consumer, it is the address that calls.',
    }),
    anonymous_quota: Type.Integer({
      minimum: -1,
      default: 0,
      description: 'CU per window for a session without a consumer; 0 gives none, -1 sets no limit.',
    }),
  },
  examples: [{}, { time_window: 60, anonymous_quota: 100 }],
  onFault: 'refuse',
  reads: [cost],
  create(config, host) {
    const problem = keyProblem(config.key, 'session')
    if (problem !== undefined) {
      host.report('error', ['key'], problem)
      return {}
    }
    const keyOf = sessionTemplate(config.key)
    const window = { kind: 'sliding', ms: config.time_window * 1000 } as const
    const per = config.time_window === 1 ? 'per second' : `per ${config.time_window} seconds`
    const anonymous = config.anonymous_quota === -1 ? Infinity : config.anonymous_quota
    const refused = (wanted: Draw): Refusal => refusalOf(wanted, per)

    function wantedOf(session: Session, cu: number): Draw | Refusal {
      const who = session.get(consumer)
      const limit = who === undefined ? anonymous : quotaOf(who)
      if (limit === undefined) return NO_PLAN
      if (limit === 0) return who === undefined ? NO_ANONYMOUS : NO_QUOTA
      return draw(NAME, keyOf(session) ?? `address ${session.remoteAddr}`, limit, window, cu, refused)
    }

    return {
      charge: (call) => wantedOf(call.session, call.get(cost) ?? 0),
      push(push) {
        if (push.cost === 0) return undefined
        const wanted = wantedOf(push.session, push.cost)
        return 'kind' in wanted ? 'drop' : wanted
      },
      reply({ session, draws }) {
        const drawn = session.scheme === 'http' ? draws.find(isOurs) : undefined
        if (drawn === undefined || drawn.limit === Infinity) return
        session.setHeader('X-RateLimit-Limit', drawn.limit)
        session.setHeader('X-RateLimit-Remaining', Math.floor(drawn.remaining))
        session.setHeader('X-RateLimit-Reset', Math.ceil(drawn.resetMs / 1000))
      },
    }
  },
})

/** CU per window; undefined where nobody set one. A plan that says nothing gives nothing. */
function quotaOf({ secondsQuota, plan }: Consumer): number | undefined {
  return secondsQuota ?? (plan === undefined ? undefined : (plan.secondsQuota ?? 0))
}

function refusalOf({ cost: cu, limit, remaining, retryAfterMs }: Draw, per: string): Refusal {
  if (cu > limit) {
    return refuse('limited', 'cost-above-limit', { message: `This call costs ${cu} CU, more than the whole limit of ${limit} CU ${per}`, cu, limit })
  }
  if (retryAfterMs === Infinity) {
    return refuse('limited', 'cost-above-limit', { message: `This batch costs more than the whole limit of ${limit} CU ${per}`, cu, limit })
  }
  const message = `Rate limit exceeded: this call costs ${cu} CU, and ${Math.floor(remaining)} of ${limit} CU ${per} are left; try again in ${Math.ceil(retryAfterMs)} ms`
  return refuse('limited', 'rate', { message, cu, limit, retryAfterMs })
}

function isOurs({ budget }: Draw): boolean {
  return budget === NAME
}
