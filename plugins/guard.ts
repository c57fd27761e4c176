/**
 * guard: blocks calls by network, method, consumer and address, before anything else judges or charges them. A call
 * is blocked when it fits every filter that is set; with no filter the guard blocks everything on its route.
 */
import { addressList, addressProblem, consumer, definePlugin, isPlainMethod, methodList, network, patternProblem, refuse, remembered, Type } from '#plugin'
import type { Call } from '#plugin'

export default definePlugin({
  name: 'guard',
  priority: 25000,
  summary: 'Blocks calls by network, method, consumer and address; without a filter, all of them.',
  config: {
    networks: Type.Optional(
      Type.Array(Type.String(), { minItems: 1, description: 'Networks to block: names, prefixes (`staging-*`) and `*`; `!` in front of one excepts it.' }),
    ),
    methods: Type.Optional(
      Type.Array(Type.String(), {
        minItems: 1,
        description: 'Methods to block, in any letter case: names, prefixes (`debug_*`) and `*`; `!` in front of one excepts it.',
      }),
    ),
    consumers: Type.Optional(Type.Array(Type.String(), { minItems: 1, description: 'Consumers to block, by username.' })),
    cidrs: Type.Optional(Type.Array(Type.String(), { minItems: 1, description: 'Client addresses and networks to block, such as `192.0.2.0/24`.' })),
    message: Type.String({ minLength: 1, description: 'What the client is told.', default: 'Blocked' }),
  },
  examples: [
    { networks: ['staging-*'], methods: ['debug_*', 'trace_*'] },
    { cidrs: ['192.0.2.0/24', '2001:db8::/32'], message: 'Your network sends too many broken requests; write to support@example.com' },
    { message: 'Down for maintenance until 14:00 UTC' },
  ],
  onFault: 'refuse',
  create({ networks, methods, consumers, cidrs, message }, host) {
    /** The list, when every entry can be used. */
    const usable = (key: string, entries: readonly string[] | undefined, problemOf: (entry: string) => string | undefined): readonly string[] | undefined => {
      const problems = (entries ?? []).map(problemOf)
      for (const [at, problem] of problems.entries()) if (problem !== undefined) host.report('error', [key, at], problem)
      if (entries?.every((entry) => entry.startsWith('!'))) host.report('error', [key], 'only excepts, and so blocks nothing', 'add "*"')
      return problems.some((problem) => problem !== undefined) ? undefined : entries
    }
    const unnegated = (entry: string): string | undefined => patternProblem(entry.startsWith('!') ? entry.slice(1) : entry)
    const filters: ((call: Call) => boolean)[] = []

    const ofNetwork = usable('networks', networks, unnegated)
    if (ofNetwork !== undefined) {
      const fits = methodList(ofNetwork)
      filters.push(({ session }) => fits(session.get(network) ?? '') === true)
    }
    const ofMethod = usable('methods', methods, unnegated)
    if (ofMethod !== undefined) {
      const fits = methodList(ofMethod.map((pattern) => pattern.toLowerCase()))
      const isNamed = remembered((method) => fits(method.toLowerCase()) === true || !isPlainMethod(method))
      filters.push(({ method }) => isNamed(method))
    }
    if (consumers !== undefined) {
      const names = new Set(consumers)
      for (const [at, name] of consumers.entries())
        if (host.consumer(name) === undefined) host.report('warning', ['consumers', at], 'there is no such consumer')
      filters.push(({ session }) => names.has(session.get(consumer)?.username ?? ''))
    }
    const ofAddress = usable('cidrs', cidrs, addressProblem)
    if (ofAddress !== undefined) {
      const holds = addressList(ofAddress)
      filters.push(({ session }) => holds(session.remoteAddr))
    }
    const blocked = refuse('blocked', 'blocked', { message })
    return { access: (call) => (filters.every((fits) => fits(call)) ? blocked : undefined) }
  },
})
