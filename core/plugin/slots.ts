/**
 * Slots: the typed places where one plugin leaves a value for a later one. A slot belongs to a session (all its
 * frames see it) or to a call. Declared once, exported, indexed: reading one is an array access.
 */
import { fact } from './define.ts'

/** A place for a value on a session or on a call. Made by `sessionSlot` and `callSlot`. */
export interface Slot<T, Scope extends 'session' | 'call' = 'session' | 'call'> {
  readonly name: string
  readonly scope: Scope
  /** Position in the holder's values. */
  readonly index: number
  /** The APISIX-style name under which templates in the configuration see the value, without the dollar. */
  readonly variable: string | undefined
  /** How the value is shown in a template. */
  readonly show: (value: T) => string
}

const declared: Slot<never>[] = []

/** Declares a slot of a session. `variable` opens it to templates. */
export function sessionSlot<T>(name: string, variable?: string, show: (value: T) => string = String): Slot<T, 'session'> {
  return declare(name, 'session', variable, show)
}

/** Declares a slot of a call. `variable` opens it to templates. */
export function callSlot<T>(name: string, variable?: string, show: (value: T) => string = String): Slot<T, 'call'> {
  return declare(name, 'call', variable, show)
}

/** A name means one slot per scope: a plugin file that is loaded again after an edit finds the slot that it declared before. */
function declare<T, Scope extends 'session' | 'call'>(name: string, scope: Scope, variable: string | undefined, show: (value: T) => string): Slot<T, Scope> {
  const known = declared.findIndex((slot) => slot.name === name && slot.scope === scope)
  const slot: Slot<T, Scope> = { name, scope, index: known === -1 ? declared.length : known, variable, show }
  declared[slot.index] = slot
  return slot
}

/** The slot that a template's variable names, if any. */
export function slotOfVariable(variable: string): Slot<unknown> | undefined {
  return declared.find((slot) => slot.variable === variable) as Slot<unknown> | undefined
}

/** What a plan gives to those who are on it. Quotas: undefined = not said, 0 = none, Infinity = no limit. */
export interface Plan {
  readonly id: string
  readonly tier: string
  /** CU per `limit-cu` window. */
  readonly secondsQuota: number | undefined
  /** CU per billing cycle. */
  readonly monthlyQuota: number | undefined
  /** Day of the month (UTC, 1..28) on which a billing cycle starts. */
  readonly billingDay: number
}

/** Who pays. A consumer's own quota, where it has one, stands before its plan's. */
export interface Consumer {
  readonly username: string
  readonly plan: Plan | undefined
  readonly secondsQuota: number | undefined
  readonly monthlyQuota: number | undefined
}

/** Who is calling; filled by the plugins that authenticate. */
export const consumer = sessionSlot<Consumer>('consumer', 'consumer_name', (value) => value.username)
/** The chain that is spoken to, as the route's match bound it. Filled by the core. */
export const network = sessionSlot<string>('network', 'network')
/** The tier that a caller is on; filled by the core from the consumer's plan. */
export const tier = sessionSlot<string>('tier', 'tier')
/** The price of a call in CU; filled by the plugin that prices. */
export const cost = callSlot<number>('cost', 'cu')

/** The newest block that a node had which answered the consumer; filled by upstreams that keep to it after a transaction. */
export const lastSeenBlock = sessionSlot<number>('last-seen-block', 'last_seen_block')

/** Methods that one line of a list offers to callers. */
export interface OfferedMethod {
  /** A method or a pattern of methods. */
  readonly pattern: string
  /** The networks on which the line offers it. */
  readonly networks: readonly string[]
  /** Reports a warning at the line. */
  warn(message: string, hint?: string): void
}

/** What callers are offered; told by the plugin that admits methods. */
export const offeredMethods = fact<readonly OfferedMethod[]>('offered-methods')
