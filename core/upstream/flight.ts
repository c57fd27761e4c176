/** A call on its way to the nodes, and everybody who waits for what becomes of it. */
import type { RpcRequest } from '../jsonrpc/frame.ts'
import type { Outcome } from '../plugin/outcome.ts'
import type { Departures, FlightKey } from './departures.ts'
import type { MethodNeeds } from './method-needs.ts'
import type { PoolNode } from './pool-node.ts'

/** Who waits for a call. */
export interface Passenger {
  /** What became of the call that the passenger knows by this number, and the node that answered it, if one did. */
  landed(number: number, outcome: Outcome, by: PoolNode | undefined): void
}

/** Who carries a call. */
export interface Carrier {
  /** Nobody waits any more for one of its calls. */
  deserted(): void
}

export class Flight {
  readonly request: RpcRequest
  readonly needs: MethodNeeds
  hasLanded = false
  /** Set once it is on its way. */
  carrier: Carrier | undefined
  /** What the call is answered with, should it not be tried again. */
  fallback: Outcome | undefined
  /** Where it may be tried again: on any node, on another one, or nowhere. */
  mayRepeat: 'anywhere' | 'elsewhere' | 'never' = 'never'
  /** What others find it by; undefined where nobody may join. */
  readonly key: FlightKey | undefined
  /** The next of its chain in the departures. */
  next: Flight | undefined
  private readonly departures: Departures | undefined
  /** Whose call it is; undefined once that one waits no more. */
  private first: Passenger | undefined
  private readonly number: number
  private others: { readonly who: Passenger; readonly number: number }[] | undefined

  /** With a key others may join until it has landed. */
  constructor(request: RpcRequest, needs: MethodNeeds, who: Passenger, number: number, departures: Departures | undefined, key: FlightKey | undefined) {
    this.request = request
    this.needs = needs
    this.first = who
    this.number = number
    this.key = key
    this.departures = key === undefined ? undefined : departures
    this.departures?.add(this)
  }

  get isDeserted(): boolean {
    return this.first === undefined && this.others === undefined
  }

  /** Waits with the others. */
  join(who: Passenger, number: number): void {
    ;(this.others ??= []).push({ who, number })
  }

  /** Waits no more. The call goes on while somebody does. */
  leave(who: Passenger): void {
    if (this.hasLanded) return
    if (this.first === who) this.first = undefined
    const others = this.others?.filter((passenger) => passenger.who !== who)
    this.others = others?.length === 0 ? undefined : others
    if (!this.isDeserted) return
    this.departures?.remove(this)
    this.carrier?.deserted()
  }

  land(outcome: Outcome, by?: PoolNode): void {
    this.hasLanded = true
    this.departures?.remove(this)
    this.first?.landed(this.number, outcome, by)
    if (this.others !== undefined) for (const { who, number } of this.others) who.landed(number, outcome, by)
  }
}
