/**
 * Calls that subscribe, and calls that end a subscription: which they are, and when two of them ask for the same.
 * `eth_subscribe`, but also `subscribe_newHead`, `chain_subscribeNewHeads`, `accountSubscribe`, `EthSubscribe`.
 */
import { countValues } from '../../jsonrpc/source-text.ts'
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

/** What the params of all calls of one frame that are about subscriptions may hold, in values and in bytes: some 20 ms of reading. */
export const MAX_VALUES = 5000
export const MAX_BYTES = 131_072

/** Whether calls that are about subscriptions hold too much to be read. */
export function holdTooMuch(requests: readonly RpcRequest[]): boolean {
  let values = 0
  let bytes = 0
  for (const { paramsText = '' } of requests) {
    bytes += paramsText.length
    values += countValues(paramsText, MAX_VALUES)
  }
  return bytes > MAX_BYTES || values > MAX_VALUES
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

/** A subscription and what belongs to it, beside its params and what is remembered; new heads are remembered by their hashes. As measured. */
const OWN_BYTES = 2048
const HEADS_BYTES = 16_384
/** Params are kept as a text to send, as a key, and as a value that takes twice as much. */
const COPIES = 4

/** What a subscription holds in memory. */
export function bytesHeldBy({ key, replayable }: Subscription): number {
  return OWN_BYTES + (replayable === 'newHeads' ? HEADS_BYTES : 0) + COPIES * key.length
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
