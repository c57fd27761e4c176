/**
 * real-ip: tells a client's own address where proxies stand before the gateway. A header counts only when a trusted
 * proxy sent the request, and of what it lists only what trusted proxies wrote.
 */
import { Type, addressList, addressProblem, canonicalAddress, definePlugin } from '#plugin'

/** `192.0.2.1:4711`, `[2001:db8::1]` and `[2001:db8::1]:4711`: what some proxies write in place of a bare address. */
const WITH_PORT = /^(?:\[([\da-f:.]+)\]|([\d.]+))(?::\d{1,5})?$/i

export default definePlugin({
  name: 'real-ip',
  priority: 23000,
  summary: "Takes the client's address from a header that a trusted proxy wrote.",
  config: {
    source: Type.String({
      pattern: '^[A-Za-z0-9_-]+$',
      default: 'X-Forwarded-For',
      description: 'The header, with one address or a comma-separated list of them. The form `http_x_real_ip` is understood too.',
    }),
    trusted_addresses: Type.Array(Type.String(), { default: [], description: 'Addresses and CIDRs of proxies, in addition to `trusted_proxies`.' }),
    recursive: Type.Boolean({
      default: true,
      description:
        'Whether trusted addresses in the list are passed over, from the right, up to the first that is not trusted. With false the last one counts.',
    }),
  },
  examples: [{}, { source: 'X-Real-IP', trusted_addresses: ['10.0.0.0/8', 'fd00::/8'] }, { recursive: false }],
  onFault: 'refuse',
  create(config, host) {
    const own = config.trusted_addresses.filter((entry, at) => {
      const problem = addressProblem(entry)
      if (problem !== undefined) host.report('error', ['trusted_addresses', at], problem)
      return problem === undefined
    })
    if (own.length + host.trustedProxies.length === 0)
      host.report('warning', [], 'no proxy is trusted, so no address is ever taken', 'list your proxies under trusted_proxies at the top')
    const isTrusted = addressList([...host.trustedProxies, ...own])
    const header = config.source
      .toLowerCase()
      .replace(/^http_/, '')
      .replaceAll('_', '-')
    return {
      open(session) {
        if (!isTrusted(session.peer)) return
        const list = session.header(header)
        const address = list === undefined ? undefined : clientOf(list, config.recursive ? isTrusted : () => false)
        if (address !== undefined) session.remoteAddr = address
      },
    }
  },
})

/** Walks from the right. Beyond an entry that is no address nothing counts, for no proxy of ours wrote it. */
function clientOf(list: string, isPassedOver: (address: string) => boolean): string | undefined {
  let client: string | undefined
  for (let end = list.length; end >= 0;) {
    const comma = end === 0 ? -1 : list.lastIndexOf(',', end - 1)
    const address = addressOf(list.slice(comma + 1, end).trim())
    if (address === undefined) return client
    client = address
    if (!isPassedOver(address)) return client
    end = comma
  }
  return client
}

function addressOf(entry: string): string | undefined {
  const match = WITH_PORT.exec(entry)
  return canonicalAddress(match?.[1] ?? match?.[2] ?? entry)
}
