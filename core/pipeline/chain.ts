/**
 * A chain: the hooks of a route's plugins, in the order in which they run. Phase first, then priority, the
 * higher number first; `reply` and `close` run in reverse. Built once per configuration snapshot.
 */
import { cost, network, tier } from '../plugin/slots.ts'
import type { CounterHandle, Metrics } from '../plugin/metrics.ts'
import type { AnyPlugin, Hooks, PluginInstance, WebSocketSettings } from '../plugin/define.ts'
import type { Call } from '../plugin/session.ts'

/** A configured plugin, ready to take its place. */
export interface ChainMember {
  readonly plugin: AnyPlugin
  readonly instance: PluginInstance
  /** The plugin's own, or what `_meta.priority` says. */
  readonly priority: number
  /** Where in the configuration it came from. */
  readonly source: string
  /** Calls for which it has no say are those where this answers false. */
  readonly filter?: ((call: Call) => boolean) | undefined
}

export type Phase = keyof Hooks

/** One hook in its place. */
export interface Step<Hook> {
  readonly plugin: string
  readonly run: Hook
  readonly onFault: 'refuse' | 'pass'
  /** Counts the hook's throws, rejections and missed deadlines. */
  readonly faults: CounterHandle
}

type Hook<P extends Phase> = NonNullable<Hooks[P]>

/** A plugin's opening and closing hook; either may be missing. */
export interface OpenStep extends Step<Hooks['open']> {
  /** Whose: the same instance is opened once, whichever chain it stands in. */
  readonly instance: PluginInstance
  readonly close: Step<Hook<'close'>> | undefined
}

export interface Chain {
  readonly members: readonly ChainMember[]
  readonly open: readonly OpenStep[]
  readonly decode: Step<Hook<'decode'>>
  readonly access: readonly Step<Hook<'access'>>[]
  readonly charge: readonly Step<Hook<'charge'>>[]
  /** Lowest priority first. */
  readonly reply: readonly Step<Hook<'reply'>>[]
  readonly push: readonly Step<Hook<'push'>>[]
  readonly log: readonly Step<Hook<'log'>>[]
  /** How WebSocket sessions are served; undefined where they are not. */
  readonly webSocket: WebSocketSettings | undefined
}

/** The phases in the order of a call's life. */
export const PHASES: readonly Phase[] = ['open', 'decode', 'access', 'charge', 'reply', 'push', 'log', 'close']

/** The members in the order in which they run within every phase but `reply` and `close`. */
export function inOrder(members: readonly ChainMember[]): ChainMember[] {
  return members.toSorted((a, b) => b.priority - a.priority)
}

/** What keeps members from being a chain, as sentences; empty when nothing does. */
export function chainProblems(members: readonly ChainMember[]): string[] {
  const problems: string[] = []
  const ordered = inOrder(members)
  const decoders = ordered.filter((member) => member.instance.decode !== undefined)
  if (decoders.length === 0) problems.push('no plugin decodes JSON-RPC (add jsonrpc-var: {})')
  if (decoders.length > 1) problems.push(`several plugins decode: ${decoders.map((member) => member.plugin.name).join(', ')}`)
  const openers = ordered.filter((member) => member.instance.webSocket !== undefined)
  if (openers.length > 1) problems.push(`several plugins open the route to WebSocket: ${openers.map((member) => member.plugin.name).join(', ')}`)
  const filled = new Set<string>([network.name, tier.name])
  for (const member of ordered) for (const slot of member.plugin.fills ?? []) filled.add(slot.name)
  for (const member of ordered) {
    for (const slot of member.plugin.reads ?? []) {
      if (!filled.has(slot.name))
        problems.push(
          `${member.plugin.name} reads "${slot.name}", which no plugin of this route fills${slot.name === cost.name ? ' (add a plugin that prices calls)' : ''}`,
        )
    }
  }
  return problems
}

/** Builds the chain of members that have no `chainProblems`. */
export function buildChain(members: readonly ChainMember[], metrics: Metrics): Chain {
  const ordered = inOrder(members)
  const faults = metrics.counter('tollgate_plugin_faults_total', 'Throws, rejections and missed deadlines of plugin hooks.', ['plugin', 'phase'])

  function step<P extends Phase>(member: ChainMember, phase: P): Step<Hook<P>> | undefined {
    const hook = member.instance[phase] as Hook<P> | undefined
    if (hook === undefined) return undefined
    return { plugin: member.plugin.name, run: hook.bind(member.instance) as Hook<P>, onFault: member.plugin.onFault, faults: faults(member.plugin.name, phase) }
  }
  function steps<P extends 'push' | 'log'>(phase: P): Step<Hook<P>>[] {
    return ordered.map((member) => step(member, phase)).filter((made) => made !== undefined)
  }
  function callSteps<P extends 'access' | 'charge' | 'reply'>(phase: P): Step<Hook<P>>[] {
    return ordered.flatMap((member) => {
      const made = step(member, phase)
      if (made === undefined) return []
      const { filter } = member
      if (filter === undefined) return [made]
      const run = made.run as (call: Call, ...rest: unknown[]) => unknown
      return [{ ...made, run: ((call: Call, ...rest: unknown[]) => (filter(call) ? run(call, ...rest) : undefined)) as Hook<P> }]
    })
  }

  return {
    members: ordered,
    open: ordered.flatMap((member) => openStep(member, faults)),
    decode: ordered.map((member) => step(member, 'decode')).find((made) => made !== undefined)!,
    access: callSteps('access'),
    charge: callSteps('charge'),
    reply: callSteps('reply').reverse(),
    push: steps('push'),
    log: steps('log'),
    webSocket: ordered.find((member) => member.instance.webSocket !== undefined)?.instance.webSocket,
  }
}

function openStep(member: ChainMember, faults: (...labels: string[]) => CounterHandle): OpenStep[] {
  const { plugin, instance } = member
  if (instance.open === undefined && instance.close === undefined) return []
  const named = { plugin: plugin.name, onFault: plugin.onFault }
  const close = instance.close && { ...named, run: instance.close.bind(instance), faults: faults(plugin.name, 'close') }
  return [{ ...named, instance, run: instance.open?.bind(instance), faults: faults(plugin.name, 'open'), close }]
}
