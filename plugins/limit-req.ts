/**
 * limit-req: an even rate of calls, as in APISIX: a leaky bucket. Calls above `rate` wait their turn while at most
 * `burst` of them do, and are refused beyond. Counted by this process, for each place in the configuration apart.
 */
import { RecentMap, callTemplate, definePlugin, keyProblem, refuse, Type } from '#plugin'
import type { Call, Refusal } from '#plugin'

/** Buckets kept at once; beyond, the least recently used are forgotten early. */
const MAX_KEYS = 100_000
/** A hook that waits longer is taken for a fault. */
const MAX_DELAY_S = 20

/** How far a key is ahead of its rate, in whole microseconds, and when that was so, in epoch milliseconds. */
interface Bucket {
  aheadUs: number
  atMs: number
}

export default definePlugin({
  name: 'limit-req',
  priority: 1001,
  summary: 'Evens out the rate of calls, and refuses what is too far above it.',
  config: {
    rate: Type.Number({ exclusiveMinimum: 0, maximum: 1_000_000, description: 'Calls per second.' }),
    burst: Type.Number({ minimum: 0, default: 0, description: `Calls above the rate that may wait their turn, at most ${MAX_DELAY_S} seconds' worth.` }),
    nodelay: Type.Boolean({ default: false, description: 'Whether calls within the burst go on at once.' }),
    key: Type.String({
      minLength: 1,
      default: '$remote_addr',
      description: 'What has a bucket of its own. Where a variable has no value, it is the address that calls.',
    }),
    rejected_code: Type.Optional(Type.Integer({ minimum: 400, maximum: 599, description: 'HTTP status of a refusal in place of 429.' })),
    rejected_msg: Type.Optional(Type.String({ minLength: 1, description: 'Message of a refusal in place of ours.' })),
  },
  examples: [
    { rate: 10, burst: 5 },
    { rate: 0.5, burst: 2, key: '$consumer_name', nodelay: true },
  ],
  onFault: 'refuse',
  create(config, host) {
    const { rate, burst, nodelay, rejected_code: status } = config
    const problem = keyProblem(config.key, 'call')
    if (problem !== undefined) {
      host.report('error', ['key'], problem)
      return {}
    }
    if (!nodelay && burst / rate > MAX_DELAY_S) {
      host.report('error', ['burst'], `calls would wait ${burst / rate} seconds, at most ${MAX_DELAY_S} are allowed`, 'lower it, raise rate, or set nodelay')
    }
    const keyOf = callTemplate(config.key)
    const message = config.rejected_msg ?? `Limit exceeded: ${rate} calls per second`
    const intervalUs = Math.round(1_000_000 / rate)
    const burstUs = Math.round(burst * intervalUs)
    const buckets = new RecentMap<Bucket>(Math.max(1000, (burstUs + intervalUs) / 1000), MAX_KEYS)

    /** Pours a call into its bucket and answers how far the key is then ahead; a call that would overflow it stays out. */
    function pour(call: Call): number {
      const now = host.now()
      const key = keyOf(call) ?? `address ${call.session.remoteAddr}`
      const bucket = buckets.get(key, now)
      if (bucket === undefined) {
        buckets.set(key, { aheadUs: 0, atMs: now }, now)
        return 0
      }
      if (now < bucket.atMs) bucket.atMs = now // the clock was set back
      const aheadUs = Math.max(0, bucket.aheadUs - (now - bucket.atMs) * 1000 + intervalUs)
      if (aheadUs > burstUs) return aheadUs
      bucket.aheadUs = aheadUs
      bucket.atMs = now
      return aheadUs
    }

    return {
      access(call): Refusal | Promise<void> | undefined {
        const aheadUs = pour(call)
        if (aheadUs > burstUs) {
          const retryAfterMs = Math.ceil((aheadUs - burstUs) / 1000)
          return refuse('limited', 'request-rate', { message, limit: rate, retryAfterMs, ...(status !== undefined && { status }) })
        }
        return nodelay || aheadUs === 0 ? undefined : host.delay(aheadUs / 1000)
      },
    }
  },
})
