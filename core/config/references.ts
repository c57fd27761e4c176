/** What one part of gateway.yaml says about another: names that must exist, be unique, or be bound by a match. */
import { addressProblem } from '../plugin/addresses.ts'
import { durationMs } from '../plugin/schema.ts'
import { hostParts, hostProblem, uriParts, uriProblem, variables } from '../route/pattern.ts'
import { nearestHint } from './nearest.ts'
import { toAddress } from './settings.ts'
import { checkUpstream } from './upstreams.ts'
import type { Draft, ListSection } from './draft.ts'
import type { Path } from './problem.ts'
import type { GatewayYaml } from './schema.ts'

/** Tells of a problem in gateway.yaml. */
export type Tell = (path: Path, message: string, hint?: string) => void

type RouteYaml = GatewayYaml['routes'][number]

/** Checks everything but the consumers, as far as it is well-formed. */
export function checkReferences(draft: Draft, tell: Tell, warn: Tell): void {
  checkAddresses(draft, tell)
  checkTimes(draft, tell)
  for (const section of ['upstreams', 'routes', 'plans', 'plugin_configs', 'global_rules'] as const) checkUnique(section, draft, tell)
  const upstreamIds = draft.ids('upstreams')
  const bundleIds = draft.ids('plugin_configs')
  const isServed = servedTemplates(upstreamIds)
  for (const [at, route] of draft.items('routes')) {
    const path = ['routes', at]
    checkPatterns(route, path, tell)
    checkVariables(route, path, tell)
    if (!isServed(route.upstream_id)) {
      const isTemplate = route.upstream_id.includes('{')
      const problem = isTemplate ? `no upstream has an id of the form ${route.upstream_id}` : `no upstream has the id ${route.upstream_id}`
      tell([...path, 'upstream_id'], problem, nearestHint(route.upstream_id, upstreamIds))
    }
    const bundle = route.plugin_config_id
    if (bundle !== undefined && !bundleIds.has(bundle))
      tell([...path, 'plugin_config_id'], `no plugin_config has the id ${bundle}`, nearestHint(bundle, bundleIds))
  }
  checkReachable(draft.items('routes'), warn)
}

/** What takes no time at all is what no request could do. */
function checkTimes(draft: Draft, tell: Tell): void {
  for (const [key, value] of Object.entries(draft.top('limits') ?? {})) {
    if (typeof value === 'string' && durationMs(value) === 0) tell(['limits', key], 'must be more than 0s')
  }
}

function checkAddresses(draft: Draft, tell: Tell): void {
  for (const [path, listen] of [[['listen'], draft.top('listen')] as const, [['admin', 'listen'], draft.top('admin')?.listen] as const]) {
    if (listen !== undefined && toAddress(listen).port > 65_535) tell(path, 'the port must be <= 65535')
  }
  for (const [at, entry] of (draft.top('trusted_proxies') ?? []).entries()) {
    const problem = addressProblem(entry)
    if (problem !== undefined) tell(['trusted_proxies', at], problem)
  }
  for (const [at, upstream] of draft.items('upstreams')) checkUpstream(upstream, ['upstreams', at], tell)
}

function checkUnique(section: ListSection, draft: Draft, tell: Tell): void {
  const seen = new Set<string>()
  for (const [at, { id }] of draft.items(section)) {
    if (id === undefined) continue
    if (seen.has(id)) tell([section, at, 'id'], `another of ${section} has the id ${id}`)
    seen.add(id)
  }
}

/** Whether an upstream_id leads to an upstream, whatever its variables may hold. Ten thousand routes share few templates. */
function servedTemplates(upstreamIds: ReadonlySet<string>): (template: string) => boolean {
  const known = new Map<string, boolean>()
  return (template) => {
    let isServed = upstreamIds.has(template) || known.get(template)
    if (isServed === undefined) {
      const fits = new RegExp(`^${template.replaceAll(/[.+*?^$()[\]|\\]/g, String.raw`\$&`).replaceAll(/\{\w+\}/g, '.+')}$`)
      known.set(template, (isServed = [...upstreamIds].some((id) => fits.test(id))))
    }
    return isServed
  }
}

function checkPatterns(route: RouteYaml, path: Path, tell: Tell): void {
  if (route.hosts.length === 0 && route.uris.length === 0) tell(path, 'needs hosts, or uris, or both', 'uris: ["/*"] takes everything')
  for (const [at, host] of route.hosts.entries()) {
    const problem = hostProblem(host)
    if (problem !== undefined) tell([...path, 'hosts', at], problem)
  }
  for (const [at, uri] of route.uris.entries()) {
    const problem = uriProblem(uri)
    if (problem !== undefined) tell([...path, 'uris', at], problem)
  }
}

/** A variable is bound where every host binds it, or every uri. */
function checkVariables({ hosts, uris, upstream_id: template }: RouteYaml, path: Path, tell: Tell): void {
  const isBoundBy = (name: string, patterns: readonly string[][]): boolean => patterns.length > 0 && patterns.every((names) => names.includes(name))
  const byHosts = hosts.map((host) => variables(hostParts(host)))
  const byUris = uris.map((uri) => variables(uriParts(uri)))
  for (const [, name] of template.matchAll(/\{(\w+)\}/g)) {
    if (!isBoundBy(name!, byHosts) && !isBoundBy(name!, byUris)) tell([...path, 'upstream_id'], `{${name}} is bound neither by every host nor by every uri`)
  }
}

/** Of two routes with equal patterns the first is taken: the second waits in vain. */
function checkReachable(routes: readonly (readonly [number, RouteYaml])[], warn: Tell): void {
  const first = new Map<string, string>()
  for (const [at, { id, hosts, uris }] of routes) {
    for (const host of hosts.length === 0 ? [''] : hosts) {
      for (const uri of uris.length === 0 ? ['/*'] : uris) {
        const pattern = `${host}${uri}`.replaceAll(/\{\w+\}/g, '{}')
        const other = first.get(pattern)
        if (other === undefined) first.set(pattern, id)
        else if (other !== id) warn(['routes', at], `is never reached by ${host}${uri}: the route ${other} takes it first`)
      }
    }
  }
}
