/** Plugins of all places, merged: global rules in addition to all others, of the others consumer > route > bundle. */
import { chainProblems } from '../pipeline/chain.ts'
import { exchangeFacts } from './facts.ts'
import type { Registry } from './consumers.ts'
import type { Draft } from './draft.ts'
import type { ConfiguredPlace, Created, Workshop } from './entries.ts'
import type { Path } from './problem.ts'
import type { CompiledRoute, ConfiguredPlugin, ConsumerPlugins } from './snapshot.ts'

/** The members of a route's chain for a consumer that brings plugins of its own. */
export function membersFor<Member extends ConfiguredPlugin>(
  route: { readonly members: readonly Member[] },
  own: { readonly replaces: ReadonlySet<string>; readonly members: readonly Member[] },
): Member[] {
  return [...route.members.filter((member) => member.level === 'global' || !own.replaces.has(member.plugin.name)), ...own.members]
}

interface Merged extends CompiledRoute {
  readonly members: readonly Created[]
}

export class Assembly {
  private readonly draft: Draft
  private readonly workshop: Workshop
  private readonly tell: (path: Path, message: string) => void
  /** Routes whose chain is whole. */
  private readonly sound: Merged[] = []

  constructor(draft: Draft, workshop: Workshop, tell: (path: Path, message: string) => void) {
    this.draft = draft
    this.workshop = workshop
    this.tell = tell
  }

  /** Creates the plugins of all routes, and lets those of each chain hear of each other. */
  async routes(): Promise<CompiledRoute[]> {
    const rules = await this.places('global_rules', 'global')
    const bundles = await this.places('plugin_configs', 'plugin_config')
    const own = await this.places('routes', 'route')
    const bundleIds = new Map(this.draft.items('plugin_configs').map(([at, { id }]) => [id, at]))
    return this.draft.items('routes').map(([at, yaml]) => {
      const bundle = bundles.get(bundleIds.get(yaml.plugin_config_id ?? '') ?? -1)
      const ofRoute = own.get(at)
      const inherited = bundle?.members.filter((member) => !ofRoute?.names.has(member.plugin.name)) ?? []
      const members = [...[...rules.values()].flatMap((rule) => rule.members), ...inherited, ...(ofRoute?.members ?? [])]
      const route = { id: yaml.id, hosts: yaml.hosts, uris: yaml.uris, upstreamId: yaml.upstream_id, onBatchRefusal: yaml.on_batch_refusal, members }
      const isComplete = [...rules.values(), bundle, ofRoute].every((place) => place?.isComplete !== false)
      const hasBundle = yaml.plugin_config_id === undefined || bundle !== undefined
      if (isComplete && hasBundle && this.isChain(members, ['routes', at, 'plugins'])) {
        this.sound.push(route)
        exchangeFacts(members, members, this.factFailed)
      }
      return route
    })
  }

  /** Creates the plugins that consumers bring. What they tell stays among themselves: a route's plugins serve everybody. */
  async consumerPlugins({ own }: Registry): Promise<Map<string, ConsumerPlugins>> {
    const byUsername = new Map<string, ConsumerPlugins>()
    const judged = new Set<string>()
    for (const [username, entries] of own) {
      const { names, members, isComplete } = await this.workshop.configure(entries, 'consumer')
      const brought = { replaces: names, members }
      byUsername.set(username, brought)
      if (!isComplete) continue
      // Whether a chain holds depends on which plugins there are: many consumers bring the same ones.
      const kind = [...names, '+', ...members.map((member) => member.plugin.name)].join(' ')
      for (const route of this.sound) {
        const chain = membersFor(route, brought)
        if (!judged.has(kind)) this.isChain(chain, entries.path, ` on the route ${route.id}`)
        if (members.some((member) => member.heard.length > 0)) exchangeFacts(members, chain, this.factFailed)
      }
      judged.add(kind)
    }
    return byUsername
  }

  private async places(
    section: 'routes' | 'plugin_configs' | 'global_rules',
    level: 'route' | 'plugin_config' | 'global',
  ): Promise<Map<number, ConfiguredPlace>> {
    const places = new Map<number, ConfiguredPlace>()
    for (const entries of this.draft.plugins(section)) places.set(entries.at, await this.workshop.configure(entries, level))
    return places
  }

  private isChain(members: readonly Created[], path: Path, where = ''): boolean {
    const problems = chainProblems(members)
    for (const problem of problems) this.tell(path, `${problem}${where}`)
    return problems.length === 0
  }

  private readonly factFailed = (listener: Created, error: Error): void => {
    this.tell(listener.path, `cannot use what another plugin told: ${error.message}`)
  }
}
