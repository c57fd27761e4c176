/**
 * Lanes: a snapshot's routes made ready to serve. A lane knows its chains, one for the route and one for each
 * consumer that brings plugins of its own, and which upstream a match leads to.
 */
import { buildChain } from '../pipeline/chain.ts'
import { membersFor } from '../config/snapshot.ts'
import { BoundedMap } from '../plugin/bounded-map.ts'
import { buildRouter } from './router.ts'
import type { CompiledRoute, Snapshot } from '../config/snapshot.ts'
import type { Chain } from '../pipeline/chain.ts'
import type { Upstream } from '../pipeline/ports.ts'
import type { Destination } from '../pipeline/session.ts'
import type { Metrics } from '../plugin/metrics.ts'

/** Finds where a session belongs; undefined where no route takes it, or its network has no upstream. */
export type Lanes = (host: string, path: string) => Destination | undefined

/** Compiles the lanes of a snapshot. `upstream` answers with the upstream of an id. */
export function buildLanes(snapshot: Snapshot, upstream: (id: string) => Upstream | undefined, metrics: Metrics): Lanes {
  const lanes = snapshot.routes.map((route) => ({
    route,
    hosts: route.hosts,
    uris: route.uris,
    chain: buildChain(route.members, metrics),
    chainFor: consumerChains(route, snapshot, metrics),
    upstreamId: upstreamOf(route.upstreamId),
  }))
  const match = buildRouter(lanes)
  function find(host: string, path: string): Destination | undefined {
    const found = match(host, path)
    if (found === undefined) return undefined
    const { route: lane, variables } = found
    const id = lane.upstreamId(variables)
    const target = upstream(id)
    if (target === undefined) return undefined
    return {
      routeId: lane.route.id,
      variables,
      network: variables['network'] ?? id,
      upstream: target,
      chain: lane.chain,
      chainFor: (username) => lane.chainFor(username) ?? lane.chain,
      refuseTogether: lane.route.onBatchRefusal === 'all',
    }
  }
  return remembered(find)
}

/** Paths come again and again: a look-up that was made lately is not made again. Bounded, since a path may hold a key. */
function remembered(find: Lanes): Lanes {
  const recent = new BoundedMap<Destination>(MAX_REMEMBERED)
  return (host, path) => {
    const target = `${host} ${path}`
    const known = recent.get(target)
    if (known !== undefined) return known
    const found = find(host, path)
    if (found === undefined) return undefined
    recent.add(target, found)
    return found
  }
}

/** Targets whose destination is remembered: some 1 MiB. */
const MAX_REMEMBERED = 4096

/** Chains of consumers with plugins of their own, each built when it is first wanted. */
function consumerChains(route: CompiledRoute, snapshot: Snapshot, metrics: Metrics): (username: string) => Chain | undefined {
  const built = new Map<string, Chain>()
  return (username) => {
    const own = snapshot.consumerPlugins.get(username)
    if (own === undefined) return undefined
    let chain = built.get(username)
    if (chain === undefined) built.set(username, (chain = buildChain(membersFor(route, own), metrics)))
    return chain
  }
}

function upstreamOf(template: string): (variables: Readonly<Record<string, string>>) => string {
  if (!template.includes('{')) return () => template
  return (variables) => template.replaceAll(/\{(\w+)\}/g, (_, name: string) => variables[name] ?? '')
}
