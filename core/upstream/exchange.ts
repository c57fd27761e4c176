/**
 * Calls that travel together, until each of them has landed: which node, what is tried again, when it is over. A call that
 * was answered keeps its answer; what is left may be asked once more. Reads that take long may be asked of another node
 * meanwhile: the first answer counts, and the request that loses is let go. Every call lands exactly once.
 */
import { Leg } from './leg.ts'
import type { ExchangeContext } from '../pipeline/ports.ts'
import type { UpstreamCounts } from './counts.ts'
import type { Answer, Failure } from './failures.ts'
import type { Carrier, Flight } from './flight.ts'
import type { LegOwner, LegTerms } from './leg.ts'
import type { NodeFault } from './node-errors.ts'
import type { PoolNode } from './pool-node.ts'
import type { Wish } from './pool.ts'
import type { RetryBudget } from './retry-budget.ts'
import type { Link } from './socket/link.ts'

/** The upstream as an exchange sees it. */
export interface ExchangeTerms extends LegTerms {
  readonly counts: UpstreamCounts
  readonly budget: RetryBudget
  /** The node for the next attempt, none of `tried`. */
  pick(wish: Wish, tried: readonly PoolNode[], isRead: boolean): PoolNode | undefined
  /** Why there is none. */
  whyNone(wish: Wish): Failure
  /** A socket to the node that stands, where the calls may share one. */
  socketTo(node: PoolNode, context: ExchangeContext): Link | undefined
}

const NONE: readonly PoolNode[] = []
const NO_LEGS: readonly Leg[] = []

export class Exchange implements Carrier, LegOwner {
  private readonly terms: ExchangeTerms
  private readonly context: ExchangeContext
  private readonly deadlineAt: number
  private readonly isRead: boolean
  private wish: Wish
  /** Calls that have not landed. */
  private open: readonly Flight[]
  private leg: Leg | undefined
  /** Requests to other nodes, because that one takes long. */
  private hedges = NO_LEGS
  private hedgesLeft: number
  private hedgeTimer: NodeJS.Timeout | undefined
  private tried = NONE
  private retriesLeft: number
  /** Nodes that said they could not answer a call. Whether that was their fault shows when another node answers. */
  private suspects: { readonly node: PoolNode; readonly flight: Flight }[] | undefined

  constructor(flights: readonly Flight[], wish: Wish, context: ExchangeContext, terms: ExchangeTerms, deadlineAt: number) {
    this.open = flights
    this.wish = wish
    this.context = context
    this.terms = terms
    this.deadlineAt = deadlineAt
    this.isRead = flights.every((flight) => flight.needs.isRead)
    this.retriesLeft = terms.spec.retries
    this.hedgesLeft = terms.hedgeDelays !== undefined && this.isRead ? terms.hedgeDelays.max : 0
  }

  start(): void {
    for (const flight of this.open) flight.carrier = this
    const node = this.terms.pick(this.wish, NONE, this.isRead)
    if (node === undefined) return this.failAll(this.terms.whyNone(this.wish))
    this.terms.budget.deposit()
    this.send(node)
  }

  deserted(): void {
    if (this.open.every((flight) => flight.hasLanded || flight.isDeserted)) this.dropAll()
  }

  ended(leg: Leg, answers: readonly Answer[], faults: readonly (NodeFault | undefined)[]): void {
    const { flights, node } = leg
    if (leg === this.leg) this.leg = undefined
    else this.hedges = this.hedges.filter((other) => other !== leg)
    for (let i = 0; i < flights.length; i++) if (!flights[i]!.hasLanded) this.take(node, flights[i]!, answers[i]!, faults[i])
    if (this.open.every((flight) => flight.hasLanded)) return this.dropAll()
    this.tried = [...this.tried, node]
    if (this.leg !== undefined || this.hedges.length > 0) return // they carry what is left
    clearTimeout(this.hedgeTimer)
    this.open = this.open.filter((flight) => !flight.hasLanded)
    this.again()
  }

  /** Asks another node too, where there is one that is well. */
  hedge(): void {
    const { terms } = this
    if (!terms.budget.hasRoom(terms.monotonicMs())) return
    const asked = this.leg === undefined ? this.hedges : [this.leg, ...this.hedges]
    const node = terms.pick(this.wish, [...this.tried, ...asked.map((leg) => leg.node)], false)
    if (node === undefined) return
    terms.budget.spend()
    terms.counts.hedges.value++
    this.hedgesLeft--
    const flights = this.open.filter((flight) => !flight.hasLanded && !flight.isDeserted)
    const leg = new Leg(this, node, flights, terms, this.deadlineAt)
    this.hedges = [...this.hedges, leg]
    if (this.hedgesLeft > 0) this.hedgeLater()
    leg.send(this.context.rewrite)
  }

  private hedgeLater(): void {
    const afterMs = this.terms.hedgeDelays?.afterMs(this.open)
    if (afterMs !== undefined) this.hedgeTimer = setTimeout(hedge, afterMs, this)
  }

  /** Lets go of all that is under way. */
  private dropAll(): void {
    if (this.hedgeTimer !== undefined) clearTimeout(this.hedgeTimer)
    this.leg?.drop()
    for (const leg of this.hedges) leg.drop()
  }

  private send(node: PoolNode): void {
    this.leg = new Leg(this, node, this.open, this.terms, this.deadlineAt)
    if (this.hedgesLeft > 0) this.hedgeLater()
    // Only a first attempt shares a socket: what ended it may be an answer to this very call, and over HTTP a call fails alone.
    const link = this.tried === NONE ? this.terms.socketTo(node, this.context) : undefined
    if (link === undefined) this.leg.send(this.context.rewrite)
    else this.leg.share(link)
  }

  /** Lands a call, or notes what has to be known to ask again. */
  private take(node: PoolNode, flight: Flight, answer: Answer, fault: NodeFault | undefined): void {
    if (answer.kind === 'failure') {
      this.terms.counts.failed(answer.refusal.why)
      flight.fallback = answer.refusal
      flight.mayRepeat = answer.retry === 'any' || (answer.retry === 'read-only' && flight.needs.isRead) ? 'anywhere' : 'never'
      return
    }
    if (fault === undefined || !flight.needs.isRead) {
      for (const suspect of this.suspects ?? []) if (suspect.flight === flight) suspect.node.health.failed()
      return flight.land(answer, node)
    }
    flight.fallback = answer
    flight.mayRepeat = 'elsewhere'
    if (!fault.isCertain) (this.suspects ??= []).push({ node, flight })
    const old = flight.needs.old?.candidates
    if (fault.why === 'no-history' && old !== undefined) this.wish = { ...this.wish, candidates: old }
  }

  /** Asks for what is left once more, where that is allowed, and lands the rest. */
  private again(): void {
    const now = this.terms.monotonicMs()
    const mayTry = this.retriesLeft > 0 && now < this.deadlineAt && this.terms.budget.hasRoom(now)
    let node: PoolNode | undefined
    if (mayTry && this.keep('anywhere', 'elsewhere')) node = this.terms.pick(this.wish, this.tried, this.isRead)
    if (mayTry && node === undefined && this.keep('anywhere')) node = this.terms.pick(this.wish, NONE, this.isRead)
    if (node === undefined) return void this.keep()
    this.retriesLeft--
    this.terms.budget.spend()
    this.terms.counts.retries.value++
    this.send(node)
  }

  /** Lands all calls but those that somebody waits for and that may be repeated in one of these places. Whether any are left. */
  private keep(...places: readonly Flight['mayRepeat'][]): boolean {
    const all = this.open
    this.open = all.filter((flight) => !flight.isDeserted && places.includes(flight.mayRepeat))
    for (const flight of all) if (!this.open.includes(flight)) flight.land(flight.fallback!)
    return this.open.length > 0
  }

  private failAll(failure: Failure): void {
    for (const flight of this.open) {
      this.terms.counts.failed(failure.refusal.why)
      flight.land(failure.refusal)
    }
  }
}

function hedge(exchange: Exchange): void {
  exchange.hedge()
}
