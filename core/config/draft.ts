/**
 * A gateway.yaml that may have problems: what of it is well-formed and can be looked at further, so that one mistake
 * does not hide all others.
 */
import { judge } from './judge.ts'
import { GatewaySchema } from './schema.ts'
import type { Document } from './document.ts'
import type { Path, Problems } from './problem.ts'
import type { GatewayYaml } from './schema.ts'

const LIST_SECTIONS = ['upstreams', 'routes', 'plans', 'plugin_configs', 'global_rules'] as const

/** Sections that are lists of items with an id. */
export type ListSection = (typeof LIST_SECTIONS)[number]
/** The others, but for the consumers. */
export type TopSection = Exclude<keyof GatewayYaml, ListSection | 'consumers'>

/** The plugins that one place configures, not checked yet. */
export interface PluginEntries {
  /** Position in its section. */
  readonly at: number
  /** The id of the item, or its position where it has none. */
  readonly id: string | number
  /** Up to and including `plugins`. */
  readonly path: Path
  readonly entries: Readonly<Record<string, unknown>>
}

export class Draft {
  private readonly yaml: Readonly<Record<string, unknown>>
  /** `listen` for a section, `routes.2` for an item of a list. */
  private readonly broken = new Set<string>()

  /** Checks all of the document but plugins and consumers, and fills in its defaults. */
  constructor(document: Document, problems: Problems) {
    this.yaml = isMapping(document.value) ? document.value : {}
    for (const [section, at] of judge(GatewaySchema, document.value, { in: document, path: [] }, problems)) {
      const isItem = at !== undefined && LIST_SECTIONS.some((name) => name === section)
      this.broken.add(isItem ? `${section}.${at}` : `${section}`)
    }
  }

  /** A section that is no list; undefined when it is broken. */
  top<K extends TopSection>(section: K): GatewayYaml[K] | undefined {
    return this.broken.has(section) ? undefined : (this.yaml[section] as GatewayYaml[K])
  }

  /** The well-formed items of a list, with their positions. */
  items<K extends ListSection>(section: K): (readonly [number, GatewayYaml[K][number]])[] {
    return this.all(section).flatMap((item, at) => (this.broken.has(`${section}.${at}`) ? [] : [[at, item as GatewayYaml[K][number]] as const]))
  }

  /** The ids of a list, those of broken items too: a reference to one of them is no second problem. */
  ids(section: ListSection): Set<string> {
    return new Set(this.all(section).flatMap((item) => (isMapping(item) && typeof item['id'] === 'string' ? [item['id']] : [])))
  }

  /** The plugins of all items of a list, those of broken items too. */
  plugins(section: 'routes' | 'plugin_configs' | 'global_rules'): PluginEntries[] {
    return this.all(section).flatMap((item, at) =>
      isMapping(item) && isMapping(item['plugins'])
        ? [{ at, id: typeof item['id'] === 'string' ? item['id'] : at, path: [section, at, 'plugins'], entries: item['plugins'] }]
        : [],
    )
  }

  private all(section: ListSection): readonly unknown[] {
    const items = this.yaml[section]
    return Array.isArray(items) ? items : []
  }
}

export function isMapping(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}
