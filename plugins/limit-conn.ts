/**
 * limit-conn: how many sessions are open at once, as in APISIX: requests that are being answered, and WebSockets for
 * as long as they are open. Above `conn` a session is delayed, above `conn` and `burst` refused. Sessions are counted over
 * all processes that share budgets, calls by each process by itself, both for each place in the configuration apart;
 * what was counted is released once, when the session closes.
 * The delay never adapts to how long sessions last (APISIX's `only_use_default_delay`): a WebSocket may last for days.
 */
import { definePlugin, keyProblem, OwnPlaces, refuse, sessionTemplate, Type } from '#plugin'
import type { Call, Places, Refusal, Session } from '#plugin'

/** A hook that waits longer is taken for a fault. */
const MAX_DELAY_S = 20

export default definePlugin({
  name: 'limit-conn',
  priority: 1003,
  summary: 'Limits how many sessions are open, and how many calls in flight, at once.',
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
    calls: Type.Optional(
      Type.Integer({
        minimum: 1,
        description: 'Calls that may be in flight at once over all sessions of a key in one process, HTTP and WebSocket; without it there is no bound.',
      }),
    ),
    rejected_code: Type.Optional(Type.Integer({ minimum: 400, maximum: 599, description: 'HTTP status of a refusal in place of 429.' })),
    rejected_msg: Type.Optional(Type.String({ minLength: 1, description: 'Message of a refusal in place of ours.' })),
  },
  examples: [{ conn: 10 }, { conn: 100, calls: 500, key: '$consumer_name' }, { conn: 100, burst: 50, default_conn_delay: 0.2, key: '$consumer_name' }],
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
    const busy = refuse('limited', 'calls-in-flight', {
      message: `Too many calls in flight: the limit is ${config.calls}`,
      ...(config.calls !== undefined && { limit: config.calls }),
      ...(status !== undefined && { status }),
    })
    const sessions = new Seats<Session>(host.places())
    const calls = new Seats<Call>(new OwnPlaces())
    const admit = (open: number | undefined): Refusal | Promise<void> | undefined => {
      if (open === undefined) return tooMany
      return open > conn ? host.delay(delay * 1000 * Math.floor((open - 1) / conn)) : undefined
    }
    return {
      open(session) {
        const open = sessions.enter(session, keyOf(session) ?? `address ${session.remoteAddr}`, conn + burst)
        return typeof open === 'object' ? open.then<Refusal | void>(admit) : admit(open)
      },
      close: (session) => sessions.leave(session),
      ...(config.calls !== undefined && {
        access: (call: Call) => {
          const key = keyOf(call.session) ?? `address ${call.session.remoteAddr}`
          return calls.enter(call, key, config.calls!) === undefined ? busy : undefined
        },
        reply: (call: Call) => calls.leave(call),
      }),
    }
  },
})

/** Places, and who has one. */
class Seats<T> {
  private readonly places: Places
  /** What each was counted under. */
  private readonly seated = new Map<T, string>()
  private readonly waiting = new Set<T>()

  constructor(places: Places) {
    this.places = places
  }

  /** Counts one more, unless that is above `max`; answers how many there are now. */
  enter(one: T, key: string, max: number): number | undefined | Promise<number | undefined> {
    const taken = this.places.take(key, max)
    if (typeof taken !== 'object') return this.seat(one, key, taken)
    this.waiting.add(one)
    return taken.then((late) => {
      if (this.waiting.delete(one)) return this.seat(one, key, late)
      if (late !== undefined) this.places.free(key) // it left while it waited
      return undefined
    })
  }

  /** Releases what was counted, once. */
  leave(one: T): void {
    this.waiting.delete(one)
    const key = this.seated.get(one)
    if (key === undefined) return
    this.seated.delete(one)
    this.places.free(key)
  }

  private seat(one: T, key: string, taken: number | undefined): number | undefined {
    if (taken !== undefined) this.seated.set(one, key)
    return taken
  }
}
