/** The file behind calculate-cu, and what it means: what a call costs on each network. */
import { patternMap, patternProblem, Type } from '#plugin'
import { exact, Price, PriceRule, ruleProblems, RuleSchema } from './price-rule.ts'
import type { OfferedMethod, PatternMap, PluginFile, Static } from '#plugin'

const MethodPrices = (description: string) =>
  Type.Optional(
    Type.Record(Type.String(), Type.Union([Price, RuleSchema], { description: 'A price in CU, or what it is made up of; 0 is free of charge.' }), {
      description,
    }),
  )

export const PricingFile = Type.Object(
  {
    default: Type.Number({ minimum: 0, description: 'The price of a method that no key fits, in CU.' }),
    methods: MethodPrices('Prices by method, prefix (`trace_*`) or `*`, in CU, to the thousandth.'),
    cache_hit_cost: Type.Number({
      minimum: 0,
      maximum: 1,
      default: 1,
      description: 'The part of its price that a call costs which was answered without a node, as response-cache does.',
    }),
    twin_prefixes: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        description: 'What `networks` says of a network goes for its name with one of these in front too, unless that has an entry of its own.',
      }),
    ),
    networks: Type.Optional(
      Type.Record(
        Type.String(),
        Type.Object({ default: Type.Optional(Price), methods: MethodPrices('Prices that replace those with the same key.') }, { additionalProperties: false }),
        { description: 'What differs on a network.' },
      ),
    ),
    notification_cu: Type.Optional(
      Type.Record(Type.String(), Price, {
        description:
          'What each notification of a subscription costs, by `METHOD:TOPIC`, prefix (`eth_subscribe:*`) or `*`, in CU. What no key fits costs nothing.',
      }),
    ),
  },
  { additionalProperties: false },
)

type Pricing = Static<typeof PricingFile>

/** The prices of a network. */
interface PriceList {
  readonly byPattern: PatternMap<number | PriceRule>
  readonly otherwise: number
}

/** All of a document: the list that most networks have, and those of the networks that differ. */
export interface Prices {
  readonly general: PriceList
  readonly special: ReadonlyMap<string, PriceList>
  /** By `METHOD:TOPIC`. */
  readonly notifications: PatternMap<number>
  readonly cacheHitCost: number
}

const compiled = new WeakMap<Pricing, Prices>()

/** Compiles a document; the same document is compiled once, however many routes use it. */
export function compilePrices(document: Pricing): Prices {
  const known = compiled.get(document)
  if (known !== undefined) return known
  const { default: otherwise, methods, networks = {}, twin_prefixes: prefixes = [], notification_cu: notifications = {} } = document
  const general = { byPattern: patternMap(priced(methods)), otherwise }
  const special = new Map<string, PriceList>()
  for (const [name, own] of Object.entries(networks)) {
    const list = { byPattern: patternMap([...priced(methods), ...priced(own.methods)]), otherwise: own.default ?? otherwise }
    const twins = prefixes.map((prefix) => prefix + name).filter((twin) => !Object.hasOwn(networks, twin))
    for (const served of [name, ...twins]) special.set(served, list)
  }
  const prices = { general, special, notifications: patternMap(Object.entries(notifications)), cacheHitCost: document.cache_hit_cost }
  compiled.set(document, prices)
  return prices
}

function priced(methods: Pricing['methods'] = {}): (readonly [string, number | PriceRule])[] {
  return Object.entries(methods).map(([pattern, price]) => [pattern, typeof price === 'number' ? price : new PriceRule(price)] as const)
}

/** Reports what is wrong with the patterns and the rules of a document. */
export function reportPrices(file: PluginFile<Pricing>): void {
  const { default: otherwise, methods, notification_cu: notifications, networks = {} } = file.value
  const report = (prices: Pricing['methods'], path: readonly string[]): void => {
    for (const [pattern, price] of Object.entries(prices ?? {})) {
      const problem = patternProblem(pattern)
      if (problem !== undefined) file.report('error', [...path, pattern], problem)
      if (typeof price === 'number') reportFiner(price, [...path, pattern])
      else for (const [inside, wrong] of ruleProblems(pattern, price)) file.report('error', [...path, pattern, ...inside], wrong)
    }
  }
  const reportFiner = (price: number | undefined, path: readonly string[]): void => {
    if (price !== undefined && exact(price) !== price) file.report('error', path, 'must not be finer than 0.001')
  }
  reportFiner(otherwise, ['default'])
  report(methods, ['methods'])
  report(notifications, ['notification_cu'])
  for (const [name, own] of Object.entries(networks)) {
    reportFiner(own.default, ['networks', name, 'default'])
    report(own.methods, ['networks', name, 'methods'])
  }
}

/** Warns of what is offered without a price. What the general list prices has a price on every network. */
export function warnOfUnpriced(offered: readonly OfferedMethod[], { general, special }: Prices): void {
  for (const line of offered) {
    if (general.byPattern.find(line.pattern) !== undefined) continue
    const unpriced = line.networks.filter((name) => special.get(name)?.byPattern.find(line.pattern) === undefined)
    if (unpriced.length === 0) continue
    const others = unpriced.length > 1 ? ` and ${unpriced.length - 1} more` : ''
    line.warn(`${line.pattern} has no price on ${unpriced[0]}${others}`, 'add it to the price list, or calls cost the default')
  }
}
