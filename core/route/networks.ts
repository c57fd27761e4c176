/** Which upstream is behind a network, for those who know a session by its network only. */
import { hostParts, uriParts, variables } from './pattern.ts'
import type { CompiledRoute } from '../config/snapshot.ts'

/** Names that clients made up are not remembered beyond this. */
const MAX_NAMES = 1000

/**
 * Finds the id of the upstream to which the first route leads that knows the network; undefined where none does, or where it
 * takes more than the network to tell. `exists` answers whether an upstream has this id.
 */
export function networkFinder(routes: readonly CompiledRoute[], exists: (id: string) => boolean): (network: string) => string | undefined {
  const found = new Map<string, string | undefined>()
  const find = (network: string): string | undefined => {
    const byName = routes.map(({ upstreamId }) => (upstreamId.includes('{') ? upstreamId.replaceAll('{network}', network) : '')).find(exists)
    return byName ?? (exists(network) ? network : routes.find(bindsNetworkOnly)?.upstreamId)
  }
  return (network) => {
    if (found.has(network)) return found.get(network)
    const id = find(network)
    if (found.size < MAX_NAMES) found.set(network, id)
    return id
  }
}

/** Whether a route serves whatever network its match binds, from one upstream. */
function bindsNetworkOnly({ upstreamId, hosts, uris }: CompiledRoute): boolean {
  const names = [...hosts.flatMap((host) => variables(hostParts(host))), ...uris.flatMap((uri) => variables(uriParts(uri)))]
  return !upstreamId.includes('{') && names.includes('network')
}
