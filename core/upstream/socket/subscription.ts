/**
 * Calls that subscribe, and calls that end a subscription: which they are, and when two of them ask for the same.
 * `eth_subscribe`, but also `subscribe_newHead`, `chain_subscribeNewHeads`, `accountSubscribe`, `EthSubscribe`.
 */
import { fromWire, jsonWire, toWire } from '../../jsonrpc/wire.ts'
import type { RpcRequest } from '../../jsonrpc/frame.ts'
import type { Wire } from '../../jsonrpc/wire.ts'

/** The verb, where it begins the method or its name after the namespace, or ends the method. */
const VERB = /(?<=^|_)(?:un)?subscribe(?=$|_|[A-Z])|(?:Uns|S)ubscribe$/

/** What a method does to subscriptions; undefined for all other methods. */
export function subscriptionVerb(method: string): 'subscribe' | 'unsubscribe' | undefined {
  if (!method.includes('ubscribe')) return undefined
  const verb = VERB.exec(method)?.[0]
  if (verb === undefined) return undefined
  return /^un/i.test(verb) ? 'unsubscribe' : 'subscribe'
}

/** Events that can be asked for afterwards. */
type Replayable = 'newHeads' | 'logs'

/** What a client subscribes to. */
export interface Subscription {
  readonly method: string
  readonly unsubscribeMethod: string
  /** As it goes to the node: with its keys in order and its numbers' digits kept. What is compared is what is sent. */
  readonly paramsText: Wire | undefined
  /** Equal for subscriptions to the same. */
  readonly key: string
  /** The first param where that is a word; else ''. */
  readonly topic: string
  readonly replayable: Replayable | undefined
  /** The filter of logs, as a value. */
  readonly filter: Readonly<Record<string, unknown>>
}

/** What a subscribe call asks for. */
export function subscriptionOf(request: RpcRequest): Subscription {
  const params = request.paramsText === undefined ? undefined : parse(request.paramsText)
  const text = params === undefined ? undefined : JSON.stringify(params)
  const [first, filter]: readonly unknown[] = Array.isArray(params) ? params : []
  const topic = typeof first === 'string' ? first : ''
  return {
    method: request.method,
    unsubscribeMethod: request.method.replace(VERB, (verb) => (verb.startsWith('S') ? 'Unsubscribe' : 'unsubscribe')),
    paramsText: text === undefined ? undefined : toWire(text),
    key: `${request.method} ${text ?? ''}`,
    topic,
    replayable: request.method === 'eth_subscribe' && (topic === 'newHeads' || topic === 'logs') ? topic : undefined,
    filter: typeof filter === 'object' && filter !== null ? { ...filter, blockHash: undefined } : {},
  }
}

/** The subscription that an unsubscribe call names, as JSON text; undefined where it names none. */
export function namedSubscription(request: RpcRequest): Wire | undefined {
  const params: unknown = request.paramsText === undefined ? undefined : JSON.parse(fromWire(request.paramsText))
  const [id]: readonly unknown[] = Array.isArray(params) ? params : []
  return typeof id === 'string' || typeof id === 'number' ? jsonWire(id) : undefined
}

/** JSON.parse tells its reviver the source text of a number, and JSON.rawJSON writes it back; TypeScript knows neither yet. */
type Reviver = (this: unknown, key: string, value: unknown, context: { readonly source: string }) => unknown
const { rawJSON } = JSON as unknown as { readonly rawJSON: (text: string) => unknown }

const inOrder: Reviver = (_key, value, { source }) => {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : rawJSON(source)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const sorted = Object.create(null) as Record<string, unknown>
  for (const name of Object.keys(value).toSorted()) sorted[name] = (value as Record<string, unknown>)[name]
  return sorted
}

/** Params as a value whose JSON text is the same however the client wrote it. */
function parse(text: Wire): unknown {
  return JSON.parse(fromWire(text), inOrder as (key: string, value: unknown) => unknown)
}
