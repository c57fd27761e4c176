/**
 * limit-monthly-cu: what a consumer may spend in a billing cycle, in compute units. A cycle is a calendar month in
 * UTC, or begins on the plan's `billing_day`; it is named by its first day, and each charge is in exactly one. The
 * limit is the consumer's own `monthly_quota`, else its plan's. Usage survives a restart, and is recorded where
 * there is no limit too. A session without a consumer has no month: limit-cu's `anonymous_quota` bounds it.
 * The answer says how the cycle stands: `X-Monthly-Quota`, `-Used`, `-Remaining`.
 */
import { consumer, cost, definePlugin, draw, refuse } from '#plugin'
import type { Consumer, Draw, Refusal, Session, Window } from '#plugin'

const NAME = 'limit-monthly-cu'

const NO_PLAN = refuse('blocked', 'no-plan', { message: 'This account has no plan, and so no compute units to spend' })
const NO_QUOTA = refuse('limited', 'no-quota', {
  message: 'This account has no compute units to spend: its monthly quota is 0',
  limit: 0,
  headers: { 'X-Monthly-Quota': '0', 'X-Monthly-Remaining': '0' },
})

export default definePlugin({
  name: NAME,
  priority: 1011,
  summary: 'Limits the compute units that a consumer spends in a billing cycle.',
  config: {},
  examples: [{}],
  onFault: 'refuse',
  reads: [cost, consumer],
  create(_config, host) {
    const cycles: Cycle[] = []

    /** The cycle of a billing day that it is now. Worked out anew only when it has changed. */
    function cycleOf(billingDay: number): Cycle['window'] {
      const now = host.now()
      let cycle = cycles[billingDay]
      if (cycle === undefined || now >= cycle.window.endsAt || now < cycle.startsAt) cycles[billingDay] = cycle = cycleAt(now, billingDay)
      return cycle.window
    }

    function wantedOf(session: Session, cu: number): Draw | Refusal | undefined {
      const who = session.get(consumer)
      if (who === undefined) return undefined
      const limit = quotaOf(who)
      if (limit === undefined) return NO_PLAN
      if (limit === 0) return NO_QUOTA
      return draw(NAME, who.username, limit, cycleOf(who.plan?.billingDay ?? 1), cu, refusalOf)
    }

    return {
      charge: (call) => wantedOf(call.session, call.get(cost) ?? 0),
      push(push) {
        if (push.cost === 0) return undefined
        const wanted = wantedOf(push.session, push.cost)
        return wanted !== undefined && 'kind' in wanted ? 'drop' : wanted
      },
      reply({ session, draws }) {
        const drawn = session.scheme === 'http' ? draws.find(isOurs) : undefined
        if (drawn === undefined) return
        session.setHeader('X-Monthly-Used', drawn.used)
        if (drawn.limit === Infinity) return
        session.setHeader('X-Monthly-Quota', drawn.limit)
        session.setHeader('X-Monthly-Remaining', drawn.remaining)
      },
    }
  },
})

interface Cycle {
  /** Epoch milliseconds. */
  readonly startsAt: number
  readonly window: Extract<Window, { kind: 'cycle' }>
}

/** The cycle that a moment lies in: from midnight UTC of a billing day to that of the next. */
function cycleAt(nowMs: number, billingDay: number): Cycle {
  const now = new Date(nowMs)
  const month = now.getUTCDate() < billingDay ? now.getUTCMonth() - 1 : now.getUTCMonth()
  const startsAt = Date.UTC(now.getUTCFullYear(), month, billingDay)
  const endsAt = Date.UTC(now.getUTCFullYear(), month + 1, billingDay)
  return { startsAt, window: { kind: 'cycle', id: new Date(startsAt).toISOString().slice(0, 10), endsAt } }
}

/** CU per cycle; undefined where nobody set one. A plan that says nothing gives nothing. */
function quotaOf({ monthlyQuota, plan }: Consumer): number | undefined {
  return monthlyQuota ?? (plan === undefined ? undefined : (plan.monthlyQuota ?? 0))
}

function refusalOf({ cost: cu, limit, remaining, retryAfterMs, window }: Draw): Refusal {
  if (cu > limit) {
    return refuse('limited', 'cost-above-limit', { message: `This call costs ${cu} CU, more than the whole monthly quota of ${limit} CU`, cu, limit })
  }
  if (retryAfterMs === Infinity) {
    return refuse('limited', 'cost-above-limit', { message: `This batch costs more than the whole monthly quota of ${limit} CU`, cu, limit })
  }
  const until = window.kind === 'cycle' ? ` until ${new Date(window.endsAt).toISOString().slice(0, 10)}` : ''
  const message = `Monthly quota exceeded: this call costs ${cu} CU, and ${remaining} of ${limit} CU are left${until}`
  return refuse('limited', 'monthly-quota', { message, cu, limit, retryAfterMs })
}

function isOurs({ budget }: Draw): boolean {
  return budget === NAME
}
