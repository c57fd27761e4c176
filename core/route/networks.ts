/** Which upstream is behind a network, for those who know a session by its network only. */
import { hostParts, uriParts, variables } from './pattern.ts'
import type { CompiledRoute } from '../config/snapshot.ts'

/**
 * Finds the id of the upstream to which the first route leads that knows the network; undefined where none does, or where it
 * takes more than the network to tell. `exists` answers whether an upstream has this id.
 */
export function networkFinder(routes: readonly CompiledRoute[], exists: (id: string) => boolean): (network: string) => string | undefined {
  const templates = routes.map(({ upstreamId }) => upstreamId).filter((id) => id.includes('{'))
  const shared = routes.find(bindsNetworkOnly)?.upstreamId
  return (network) => templates.map((id) => id.replaceAll('{network}', network)).find(exists) ?? (exists(network) ? network : shared)
}

/** Whether a route serves whatever network its match binds, from one upstream. */
function bindsNetworkOnly({ upstreamId, hosts, uris }: CompiledRoute): boolean {
  const names = [...hosts.flatMap((host) => variables(hostParts(host))), ...uris.flatMap((uri) => variables(uriParts(uri)))]
  return !upstreamId.includes('{') && names.includes('network')
}
