/**
 * whitelist: admits the methods that a network offers to a caller's tier, and nothing else: a method that is not
 * listed, and every method of a network that is not listed, is refused. Callers on the tier `paid` have what `free`
 * and `paid` list; all others, those on a tier of another name too, have what `free` lists.
 */
import { definePlugin, network, offeredMethods, refuse, tier, Type } from '#plugin'
import { compileOffers, WhitelistFile } from './whitelist/offers.ts'

const UNKNOWN_NETWORK = refuse('methodNotAllowed', 'unknown-network', { message: 'Nothing is offered on this network: it is not known here' })

export default definePlugin({
  name: 'whitelist',
  priority: 1900,
  summary: "Admits the methods that a network offers to the caller's tier.",
  config: {
    config_path: Type.String({ description: 'The file that lists what each network offers, relative to the configuration.', default: 'whitelist.yaml' }),
  },
  files: { config_path: WhitelistFile },
  examples: [{ config_path: 'whitelist.yaml' }],
  onFault: 'refuse',
  reads: [network, tier],
  create(_config, host) {
    const file = host.files.config_path
    const { offers, lines, problems } = compileOffers(file.value)
    for (const { severity, path, message, hint } of problems) file.report(severity, path, message, hint)
    host.tell(
      offeredMethods,
      lines.map(({ pattern, path, networks }) => ({
        pattern,
        networks: [...networks],
        warn: (message: string, hint?: string) => file.report('warning', path, message, hint),
      })),
    )
    return {
      access({ session, method }) {
        const offer = offers.get(session.get(network) ?? '')
        if (offer === undefined) return UNKNOWN_NETWORK
        const isPaid = session.get(tier) === 'paid'
        if (isPaid ? offer.paid(method) : offer.free(method)) return undefined
        return !isPaid && offer.paid(method) ? offer.paidOnly : offer.notOffered
      },
    }
  },
})
