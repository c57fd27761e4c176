/** Which route a session belongs to: hosts and uris of all routes, compiled once per snapshot. */
import { hostParts, segments, uriParts, variables } from './pattern.ts'
import { PartTree } from './tree.ts'
import type { Part } from './pattern.ts'

/** What the router reads of a route. A route without hosts takes any host, one without uris any path. */
export interface Matchable {
  readonly hosts: readonly string[]
  readonly uris: readonly string[]
}

export interface Match<R> {
  readonly route: R
  /** What the match bound, `network` for one. */
  readonly variables: Readonly<Record<string, string>>
}

/**
 * Compiles routes. A route with hosts and uris takes what fits both; where both bind the same variable, either way of
 * naming it will do: `{network}.example.com` with `/{network}/v1/{apikey}` also takes `eth.example.com/v1/KEY`, and
 * `/eth/v1/KEY` at any host. Of two routes with equal patterns the first counts; a static part beats a variable, any
 * pattern beats `*`.
 */
export function buildRouter<R extends Matchable>(routes: readonly R[]): (host: string, path: string) => Match<R> | undefined {
  const byHost = new PartTree<PartTree<Leaf<R>>>()
  const anyHost = new PartTree<Leaf<R>>()
  const place = (route: R, ways: readonly Way[], hosts: Leaf<R>['hosts']): void => {
    for (const [host, uri] of ways) {
      const tree = host === undefined ? anyHost : byHost.place(host, () => new PartTree())
      tree.place(uri, () => ({ route, hosts }))
    }
  }
  for (const route of routes) place(route, ways(route), [])
  for (const route of routes) place(route, otherWays(route), route.hosts.map(hostParts))
  return (host, path) => {
    const bound: Record<string, string> = Object.create(null) as Record<string, string>
    const pathParts = segments(path)
    let route: R | undefined
    const labels = host.split('.').reverse()
    const accept = (found: Leaf<R>): boolean => {
      if (found.hosts.some((parts) => namesOther(parts, labels, bound))) return false
      route = found.route
      return true
    }
    const isFound = byHost.find(labels, bound, (tree) => tree.find(pathParts, bound, accept)) || anyHost.find(pathParts, bound, accept)
    return isFound && route !== undefined ? { route, variables: bound } : undefined
  }
}

interface Leaf<R> {
  readonly route: R
  /** Where the path alone is enough: the route's hosts, none of which may name something else than the path does. */
  readonly hosts: readonly (readonly Part[])[]
}

type Way = readonly [host: readonly Part[] | undefined, uri: readonly Part[]]

/** The patterns as they are written: every host with every uri. */
function ways({ hosts, uris }: Matchable): Way[] {
  const paths = (uris.length === 0 ? ['/*'] : uris).map(uriParts)
  return hosts.length === 0 ? paths.map((path) => [undefined, path]) : hosts.flatMap((host) => paths.map((path): Way => [hostParts(host), path]))
}

/** Where host and uri name the same thing, each alone is enough. */
function otherWays(route: Matchable): Way[] {
  return ways(route).flatMap(([host, uri]): Way[] => {
    const named = new Set(variables(host ?? []))
    const rest = uri.filter((part) => part.kind !== 'variable' || !named.has(part.name))
    return rest.length === uri.length
      ? []
      : [
          [host, rest],
          [undefined, uri],
        ]
  })
}

/** Whether a host fits a pattern and binds a variable to something else than it is bound to. */
function namesOther(pattern: readonly Part[], labels: readonly string[], bound: Readonly<Record<string, string>>): boolean {
  let isOther = false
  for (const [at, part] of pattern.entries()) {
    if (part.kind === 'rest') return isOther
    const label = labels[at]
    if (part.kind === 'static' && part.text !== label) return false
    if (part.kind === 'variable' && bound[part.name] !== label) isOther = true
  }
  return isOther && pattern.length === labels.length
}
