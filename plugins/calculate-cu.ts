/**
 * calculate-cu: puts a price on every call, in compute units (CU), before anything is charged, and tells the client
 * what its frame was charged in the end (`X-CU-Cost`): the sum over its calls, in which a node's own error counts
 * like a result, and a call that was refused, by the gateway or for want of a node, counts nothing. On a WebSocket it
 * prices each notification too.
 */
import { cost, definePlugin, network, offeredMethods, patternMap, patternProblem, sessionSlot, Type } from '#plugin'
import type { OfferedMethod, PatternMap, PluginFile } from '#plugin'

const Price = Type.Integer({ minimum: 0, description: 'A price in CU; 0 is free of charge.' })
const PricesByMethod = (description: string) => Type.Optional(Type.Record(Type.String(), Price, { description }))

const PricingFile = Type.Object(
  {
    default: Type.Integer({ minimum: 0, description: 'The price of a method that no key fits, in CU.' }),
    methods: PricesByMethod('Prices by method, prefix (`trace_*`) or `*`, in CU.'),
    twin_prefixes: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        description: 'What `networks` says of a network goes for its name with one of these in front too, unless that has an entry of its own.',
      }),
    ),
    networks: Type.Optional(
      Type.Record(
        Type.String(),
        Type.Object(
          { default: Type.Optional(Price), methods: PricesByMethod('Prices that replace those with the same key.') },
          { additionalProperties: false },
        ),
        { description: 'What differs on a network.' },
      ),
    ),
    notification_cu: PricesByMethod(
      'What each notification of a subscription costs, by `METHOD:TOPIC`, prefix (`eth_subscribe:*`) or `*`, in CU. What no key fits costs nothing.',
    ),
  },
  { additionalProperties: false },
)

type Pricing = Type.Static<typeof PricingFile>

/** The prices of a network. */
interface PriceList {
  readonly byPattern: PatternMap<number>
  readonly otherwise: number
}

/** All of a document: the list that most networks have, and those of the networks that differ. */
interface Prices {
  readonly general: PriceList
  readonly special: ReadonlyMap<string, PriceList>
  /** By `METHOD:TOPIC`. */
  readonly notifications: PatternMap<number>
}

/** What the calls of a frame were charged so far. */
const frameCharge = sessionSlot<number>('frame-charge')

export default definePlugin({
  name: 'calculate-cu',
  priority: 1012,
  summary: 'Puts a price in compute units on every call.',
  config: {
    config_path: Type.String({ description: 'The file that lists the prices, relative to the configuration.', default: 'cu-pricing.yaml' }),
  },
  files: { config_path: PricingFile },
  examples: [{ config_path: 'cu-pricing.yaml' }],
  onFault: 'refuse',
  reads: [network],
  fills: [cost],
  create(_config, host) {
    const file = host.files.config_path
    reportPatterns(file)
    const prices = compilePrices(file.value)
    host.hear(offeredMethods, (offered) => warnOfUnpriced(offered, prices))
    return {
      access(call) {
        const list = prices.special.get(call.session.get(network) ?? '') ?? prices.general
        call.set(cost, list.byPattern.find(call.method) ?? list.otherwise)
      },
      reply({ session, charged }) {
        if (session.scheme === 'ws') return // the headers have gone with the 101
        const total = (session.get(frameCharge) ?? 0) + charged
        session.set(frameCharge, total)
        session.setHeader('X-CU-Cost', String(total))
      },
      push(push) {
        push.cost = prices.notifications.find(`${push.method}:${push.topic}`) ?? 0
      },
    }
  },
})

const compiled = new WeakMap<Pricing, Prices>()

/** Compiles a document; the same document is compiled once, however many routes use it. */
function compilePrices(document: Pricing): Prices {
  const known = compiled.get(document)
  if (known !== undefined) return known
  const { default: otherwise, methods = {}, networks = {}, twin_prefixes: prefixes = [], notification_cu: notifications = {} } = document
  const general = { byPattern: patternMap(Object.entries(methods)), otherwise }
  const special = new Map<string, PriceList>()
  for (const [name, own] of Object.entries(networks)) {
    const list = { byPattern: patternMap([...Object.entries(methods), ...Object.entries(own.methods ?? {})]), otherwise: own.default ?? otherwise }
    const twins = prefixes.map((prefix) => prefix + name).filter((twin) => !Object.hasOwn(networks, twin))
    for (const served of [name, ...twins]) special.set(served, list)
  }
  const prices = { general, special, notifications: patternMap(Object.entries(notifications)) }
  compiled.set(document, prices)
  return prices
}

function reportPatterns(file: PluginFile<Pricing>): void {
  const { methods, notification_cu: notifications, networks = {} } = file.value
  const report = (prices: Pricing['methods'], path: readonly string[]): void => {
    for (const pattern of Object.keys(prices ?? {})) {
      const problem = patternProblem(pattern)
      if (problem !== undefined) file.report('error', [...path, pattern], problem)
    }
  }
  report(methods, ['methods'])
  report(notifications, ['notification_cu'])
  for (const [name, own] of Object.entries(networks)) report(own.methods, ['networks', name, 'methods'])
}

/** What the general list prices has a price on every network. */
function warnOfUnpriced(offered: readonly OfferedMethod[], { general, special }: Prices): void {
  for (const line of offered) {
    if (general.byPattern.find(line.pattern) !== undefined) continue
    const unpriced = line.networks.filter((name) => special.get(name)?.byPattern.find(line.pattern) === undefined)
    if (unpriced.length === 0) continue
    const others = unpriced.length > 1 ? ` and ${unpriced.length - 1} more` : ''
    line.warn(`${line.pattern} has no price on ${unpriced[0]}${others}`, 'add it to the price list, or calls cost the default')
  }
}
