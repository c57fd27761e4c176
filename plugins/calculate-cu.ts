/**
 * calculate-cu: puts a price on every call, in compute units (CU), before anything is charged, settles what only the answer
 * tells, and tells the client what its frame was charged in the end (`X-CU-Cost`): the sum over its calls, in which a
 * node's own error counts like a result, and a call that was refused, by the gateway or for want of a node, counts nothing.
 * A price is exact to the thousandth of a CU. On a WebSocket it prices each notification too.
 */
import { callSlot, cost, definePlugin, network, offeredMethods, sessionSlot, Type } from '#plugin'
import { compilePrices, PricingFile, reportPrices, warnOfUnpriced } from './calculate-cu/price-list.ts'
import { exact } from './calculate-cu/price-rule.ts'
import type { Call } from '#plugin'
import type { PriceRule } from './calculate-cu/price-rule.ts'

/** What the calls of a frame were charged so far. */
const frameCharge = sessionSlot<number>('frame-charge')

/** A price that the answer settles. */
interface Open {
  readonly rule: PriceRule
  /** The price as far as the call told it. */
  readonly ahead: number
  /** The part of it that the call costs. */
  readonly share: number
}

const openPrice = callSlot<Open>('open-price')

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
    reportPrices(file)
    const prices = compilePrices(file.value)
    const share = prices.cacheHitCost
    host.hear(offeredMethods, (offered) => warnOfUnpriced(offered, prices))

    function priceBy(rule: PriceRule, call: Call): void {
      const ahead = rule.ahead(call, host.chain(call.session.get(network) ?? ''))
      call.set(cost, rule.isSettled ? rule.max : ahead)
      if (rule.isSettled) call.set(openPrice, { rule, ahead, share: 1 })
    }

    return {
      access(call) {
        const list = prices.special.get(call.session.get(network) ?? '') ?? prices.general
        const price = list.byPattern.find(call.method) ?? list.otherwise
        if (typeof price === 'number') call.set(cost, price)
        else priceBy(price, call)
      },
      ...(share < 1 && {
        // By now it is known whether a plugin has answered in the node's place.
        charge(call: Call) {
          if (call.outcome === undefined) return
          call.set(cost, exact((call.get(cost) ?? 0) * share))
          const open = call.get(openPrice)
          if (open !== undefined) call.set(openPrice, { ...open, share })
        },
      }),
      reply(call, outcome) {
        const open = call.get(openPrice)
        if (open !== undefined && outcome.kind !== 'refusal') call.settle(exact(open.rule.settled(open.ahead, outcome.payload.length) * open.share))
        const { session } = call
        if (session.scheme === 'ws') return // the headers have gone with the 101
        const total = exact((session.get(frameCharge) ?? 0) + call.charged)
        session.set(frameCharge, total)
        session.setHeader('X-CU-Cost', String(total))
      },
      push(push) {
        push.cost = prices.notifications.find(`${push.method}:${push.topic}`) ?? 0
      },
    }
  },
})
