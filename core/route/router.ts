/** Which route a session belongs to: hosts and uris of all routes, compiled once per snapshot. */
import { hostParts, segments, uriParts } from './pattern.ts'
import { PartTree } from './tree.ts'

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

/** Compiles routes. Of two routes with equal patterns the first counts; a static part beats a variable, any pattern beats `*`. */
export function buildRouter<R extends Matchable>(routes: readonly R[]): (host: string, path: string) => Match<R> | undefined {
  const byHost = new PartTree<PartTree<{ readonly route: R }>>()
  const anyHost = new PartTree<{ readonly route: R }>()
  for (const route of routes) {
    const uris = route.uris.length === 0 ? ['/*'] : route.uris
    const trees = route.hosts.length === 0 ? [anyHost] : route.hosts.map((host) => byHost.place(hostParts(host), () => new PartTree()))
    for (const tree of trees) for (const uri of uris) tree.place(uriParts(uri), () => ({ route }))
  }
  return (host, path) => {
    const bound: Record<string, string> = Object.create(null) as Record<string, string>
    const pathParts = segments(path)
    let route: R | undefined
    const accept = (found: { readonly route: R }): boolean => {
      route = found.route
      return true
    }
    const isFound = byHost.find(host.split('.').reverse(), bound, (tree) => tree.find(pathParts, bound, accept)) || anyHost.find(pathParts, bound, accept)
    return isFound && route !== undefined ? { route, variables: bound } : undefined
  }
}
