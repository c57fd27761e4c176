/**
 * limit-conn: how many sessions are open at once, as in APISIX: requests that are being answered, and WebSockets for
 * as long as they are open. Above `conn` a session is delayed, above `conn` and `burst` refused. Counted by this
 * process, for each place in the configuration apart; what was counted is released once, when the session closes.
 * The delay never adapts to how long sessions last (APISIX's `only_use_default_delay`): a WebSocket may last for days.
 */
import { definePlugin, keyProblem, refuse, sessionTemplate, Type } from '#plugin'
import type { Session } from '#plugin'

/** A hook that waits longer is taken for a fault. */
const MAX_DELAY_S = 20

export default definePlugin({
  name: 'limit-conn',
  priority: 1003,
  summary: 'Limits how many sessions are open at once.',
  config: {
    conn: Type.Integer({ minimum: 1, description: 'Sessions that may be open at once without delay.' }),
    burst: Type.Integer({ minimum: 0, default: 0, description: 'Sessions above that which are let in after a delay.' }),
    default_conn_delay: Type.Number({
      exclusiveMinimum: 0,
      default: 0.1,
      description: `The delay in seconds, once more for every further \`conn\` sessions; at most ${MAX_DELAY_S} in all.`,
    }),
    key: Type.String({
      minLength: 1,
      default: '$remote_addr',
      description: 'What is counted apart, such as `$consumer_name`. Where a variable has no value, it is the address that calls.',
    }),
    rejected_code: Type.Optional(Type.Integer({ minimum: 400, maximum: 599, description: 'HTTP status of a refusal in place of 429.' })),
    rejected_msg: Type.Optional(Type.String({ minLength: 1, description: 'Message of a refusal in place of ours.' })),
  },
  examples: [{ conn: 10 }, { conn: 100, burst: 50, default_conn_delay: 0.2, key: '$consumer_name' }],
  onFault: 'refuse',
  create(config, host) {
    const { conn, burst, default_conn_delay: delay, rejected_code: status } = config
    const problem = keyProblem(config.key, 'session')
    if (problem !== undefined) {
      host.report('error', ['key'], problem)
      return {}
    }
    const longest = delay * Math.floor((conn + burst - 1) / conn)
    if (longest > MAX_DELAY_S) {
      host.report('error', ['default_conn_delay'], `sessions would wait ${longest} seconds, at most ${MAX_DELAY_S} are allowed`, 'lower it, or lower burst')
    }
    const keyOf = sessionTemplate(config.key)
    const message = config.rejected_msg ?? `Too many sessions at once: the limit is ${conn + burst}`
    const tooMany = refuse('limited', 'connections', { message, limit: conn + burst, ...(status !== undefined && { status }) })
    /** How many sessions are open, by key; and the key that each of them was counted under. */
    const counts = new Map<string, number>()
    const counted = new Map<Session, string>()
    return {
      open(session) {
        const key = keyOf(session) ?? `address ${session.remoteAddr}`
        const open = (counts.get(key) ?? 0) + 1
        if (open > conn + burst) return tooMany
        counts.set(key, open)
        counted.set(session, key)
        return open > conn ? host.delay(delay * 1000 * Math.floor((open - 1) / conn)) : undefined
      },
      close(session) {
        const key = counted.get(session)
        if (key === undefined) return
        counted.delete(session)
        const left = counts.get(key)! - 1
        if (left === 0) counts.delete(key)
        else counts.set(key, left)
      },
    }
  },
})
