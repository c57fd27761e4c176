/** ip-restriction: serves only the addresses of a list, or all but those of a list. */
import { Type, addressList, addressProblem, definePlugin, refuse } from '#plugin'

export default definePlugin({
  name: 'ip-restriction',
  priority: 3000,
  summary: 'Admits or blocks callers by their address.',
  config: {
    whitelist: Type.Optional(Type.Array(Type.String(), { minItems: 1, description: 'Addresses and CIDRs that are served; all others are blocked.' })),
    blacklist: Type.Optional(Type.Array(Type.String(), { minItems: 1, description: 'Addresses and CIDRs that are blocked; all others are served.' })),
    message: Type.String({ minLength: 1, maxLength: 1024, default: 'Your IP address is not allowed', description: 'What a blocked caller is told.' }),
  },
  examples: [{ whitelist: ['192.0.2.0/24', '2001:db8::/32'] }, { blacklist: ['198.51.100.7'], message: 'Blocked for abuse' }],
  onFault: 'refuse',
  create({ whitelist, blacklist, message }, host) {
    if ((whitelist === undefined) === (blacklist === undefined)) host.report('error', [], 'needs either whitelist or blacklist, and not both')
    const key = whitelist === undefined ? 'blacklist' : 'whitelist'
    const entries = (whitelist ?? blacklist ?? []).filter((entry, at) => {
      const problem = addressProblem(entry)
      if (problem !== undefined) host.report('error', [key, at], problem)
      return problem === undefined
    })
    const isListed = addressList(entries)
    const isServedWhenListed = key === 'whitelist'
    const refusal = refuse('blocked', 'address-not-allowed', { message })
    return {
      open: (session) => (isListed(session.remoteAddr) === isServedWhenListed ? undefined : refusal),
    }
  },
})
