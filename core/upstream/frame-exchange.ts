/**
 * The calls of one frame: each boards a flight, one of its own or one that carries the same call already, and the frame is
 * answered when all have landed. Flights that want the same of a node travel together. Resolves exactly once, and never
 * rejects.
 */
import { flightKey } from './departures.ts'
import { failures } from './failures.ts'
import { Flight } from './flight.ts'
import type { Payload } from '../jsonrpc/encode.ts'
import type { RpcRequest } from '../jsonrpc/frame.ts'
import type { ExchangeContext } from '../pipeline/ports.ts'
import type { Outcome } from '../plugin/outcome.ts'
import type { Room } from '../plugin/room.ts'
import type { Call } from '../plugin/session.ts'
import type { UpstreamCounts } from './counts.ts'
import type { Departures } from './departures.ts'
import type { Passenger } from './flight.ts'
import type { MethodNeeds, Needs } from './method-needs.ts'
import type { PoolNode } from './pool-node.ts'
import type { Wish } from './pool.ts'
import type { UpstreamSpec } from './spec.ts'

/** The upstream as a frame sees it. */
export interface FrameTerms {
  readonly spec: UpstreamSpec
  readonly needs: Needs
  readonly counts: UpstreamCounts
  readonly room: Room
  readonly monotonicMs: () => number
  /** Reads under way that others may join; undefined where every call travels for itself. */
  readonly departures: Departures | undefined
  /** What a call asks of the node that answers it. */
  wishFor(needs: MethodNeeds, call: Call | undefined): Wish
  /** Is told of every answer; undefined where nobody wants to know. */
  readonly heard: ((method: string, call: Call | undefined, outcome: Outcome, by: PoolNode) => void) | undefined
  /** Sends calls that travel together. */
  depart(flights: readonly Flight[], wish: Wish, context: ExchangeContext, deadlineAt: number): void
}

/** Flights that travel together. */
interface Party {
  readonly wish: Wish
  readonly flights: Flight[]
  /** So many may. */
  readonly max: number
}

export class FrameExchange implements Passenger {
  private readonly requests: readonly RpcRequest[]
  private readonly calls: readonly Call[]
  private readonly context: ExchangeContext
  private readonly terms: FrameTerms
  private readonly resolve: (outcomes: readonly Outcome[]) => void
  private readonly deadlineAt: number
  private readonly outcomes: Outcome[] = []
  private readonly flights: Flight[] = []
  private left: number
  /** Answers that wait for others. */
  private readonly held: Payload[] = []
  private heldBytes = 0

  constructor(
    requests: readonly RpcRequest[],
    calls: readonly Call[],
    context: ExchangeContext,
    terms: FrameTerms,
    resolve: (outcomes: readonly Outcome[]) => void,
  ) {
    this.requests = requests
    this.calls = calls
    this.context = context
    this.terms = terms
    this.resolve = resolve
    this.left = requests.length
    this.deadlineAt = terms.monotonicMs() + terms.spec.totalTimeoutMs
  }

  start(): void {
    this.context.running = this
    if (this.requests.length === 1) this.boardOne(0)
    else this.board(this.requests.keys())
  }

  landed(number: number, outcome: Outcome, by: PoolNode | undefined): void {
    // Whoever joined a call late has time left when its first passenger has none.
    if (outcome === failures['total-timeout'].refusal && this.terms.monotonicMs() < this.deadlineAt) return this.boardOne(number)
    if (by !== undefined) this.terms.heard?.(this.requests[number]!.method, this.calls[number], outcome, by)
    if (this.requests.length === 1) return this.finish([outcome])
    this.left--
    this.outcomes[number] = this.left === 0 ? outcome : this.hold(outcome)
    if (this.left === 0) this.finish(this.outcomes)
  }

  private boardOne(number: number): void {
    const needs = this.terms.needs.of(this.requests[number]!.method)
    const wish = this.terms.wishFor(needs, this.calls[number])
    const flight = this.flightFor(number, needs, wish)
    if (flight !== undefined) this.terms.depart([flight], wish, this.context, this.deadlineAt)
  }

  /** Finds a flight for each of these calls, and sends those that are new. */
  private board(numbers: Iterable<number>): void {
    const { spec } = this.terms
    const parties: Party[] = []
    for (const number of numbers) {
      const needs = this.terms.needs.of(this.requests[number]!.method)
      const wish = this.terms.wishFor(needs, this.calls[number])
      const flight = this.flightFor(number, needs, wish)
      if (flight === undefined) continue
      const max = needs.isRawTransaction && spec.broadcast > 1 ? 1 : spec.batch.max
      const party = max === 1 ? undefined : parties.find((other) => other.flights.length < other.max && isEqual(other.wish, wish))
      if (party === undefined) parties.push({ wish, flights: [flight], max })
      else party.flights.push(flight)
    }
    for (const { wish, flights } of parties) this.terms.depart(flights, wish, this.context, this.deadlineAt)
  }

  /** A new flight; undefined where the call found room on one that is under way. Calls of one frame do not join each other. */
  private flightFor(number: number, needs: MethodNeeds, wish: Wish): Flight | undefined {
    const request = this.requests[number]!
    const { departures } = this.terms
    const isShared = departures !== undefined && needs.isRead && wish.minBlock === undefined
    const key = isShared ? flightKey(request.paramsText, wish.key, this.context.rewrite) : undefined
    const other = key === undefined ? undefined : departures!.find(request.method, key)
    if (other === undefined || this.flights.includes(other)) {
      const flight = new Flight(request, needs, this, number, departures, other === undefined ? key : undefined)
      this.flights.push(flight)
      return flight
    }
    this.flights.push(other)
    this.terms.counts.coalesced.value++
    other.join(this, number)
    return undefined
  }

  cancel(): void {
    for (const flight of this.flights) flight.leave(this)
    this.finish(this.requests.map(() => failures['client-gone'].refusal))
  }

  /** Keeps an answer that has to wait for others, where there is room for it. */
  private hold(outcome: Outcome): Outcome {
    if (outcome.kind === 'refusal') return outcome
    if (!this.terms.room.admits(outcome.payload, this.heldBytes)) return failures['no-room'].refusal
    this.heldBytes += outcome.payload.length
    this.held.push(outcome.payload)
    return outcome
  }

  private finish(outcomes: readonly Outcome[]): void {
    this.context.running = undefined
    for (const payload of this.held) this.terms.room.letGo(payload)
    this.held.length = 0
    this.resolve(outcomes)
  }
}

function isEqual(a: Wish, b: Wish): boolean {
  return a.candidates === b.candidates && a.key === b.key && a.minBlock === b.minBlock
}
