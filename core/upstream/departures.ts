/**
 * Reads under way that others may join, found by what makes two calls the same: method, params, and what is asked of the
 * request to the node. A table of its own and not a Map: one that lives as long as the process while entries come and go
 * keeps dead ones alive from one generation of the heap to the next (measured: twice the time in the collector).
 */
import type { Wire } from '../jsonrpc/wire.ts'
import type { UpstreamRequest } from '../plugin/session.ts'
import type { Flight } from './flight.ts'

/** Chains of flights; a power of two, some for each call that a busy upstream has in flight. */
const SLOTS = 1024

/** Longer params are not compared: it would cost more than it is likely to save. Characters. */
const MAX_PARAMS = 16_384

/** Characters of the params that are looked at to find the slot, spread over all of them. */
const SAMPLES = 16

/** What a call is known by, beside its method. */
export interface FlightKey {
  /** The params without white space; '' where there are none. */
  readonly params: Wire
  /** What tells apart requests of the same call: what the choice of a node looks at, and how the request is rewritten. */
  readonly apart: string
  readonly slot: number
}

/** The key of a call; undefined where it travels alone. Numbers and the order of members count as they are written. */
export function flightKey(paramsText: Wire | undefined, nodeKey: string, { path, host, headers }: UpstreamRequest): FlightKey | undefined {
  const params = paramsText === undefined ? '' : withoutSpace(paramsText)
  if (params.length > MAX_PARAMS) return undefined
  const isPlain = nodeKey === '' && path === undefined && host === undefined && headers === undefined
  return { params, apart: isPlain ? '' : JSON.stringify([nodeKey, path, host, headers]), slot: slotOf(params) }
}

/** White space between tokens, or a whole string, which keeps its own. */
const SPACE_OR_STRING = /[\t\n\r ]+|"[^"\\]*(?:\\.[^"\\]*)*"/g

function withoutSpace(text: Wire): Wire {
  if (text.length > MAX_PARAMS || !(text.includes(' ') || text.includes('\n'))) return text
  return text.replace(SPACE_OR_STRING, (token) => (token.startsWith('"') ? token : ''))
}

export class Departures {
  private readonly slots: (Flight | undefined)[] = Array.from({ length: SLOTS })

  find(method: string, { params, apart, slot }: FlightKey): Flight | undefined {
    let flight = this.slots[slot]
    while (flight !== undefined && !(flight.key!.params === params && flight.request.method === method && flight.key!.apart === apart)) flight = flight.next
    return flight
  }

  /** The flight has a key, and none that is equal is here. */
  add(flight: Flight): void {
    const { slot } = flight.key!
    flight.next = this.slots[slot]
    this.slots[slot] = flight
  }

  remove(flight: Flight): void {
    const { slot } = flight.key!
    let before: Flight | undefined
    let at = this.slots[slot]
    while (at !== undefined && at !== flight) {
      before = at
      at = at.next
    }
    if (at === undefined) return
    if (before === undefined) this.slots[slot] = flight.next
    else before.next = flight.next
    flight.next = undefined
  }
}

function slotOf(params: Wire): number {
  let hash = params.length
  const step = Math.max(1, params.length / SAMPLES)
  for (let at = params.length - 1; at >= 0; at -= step) hash = Math.imul(hash ^ params.charCodeAt(at), 0x01000193)
  return (hash ^ (hash >>> 15)) & (SLOTS - 1)
}
