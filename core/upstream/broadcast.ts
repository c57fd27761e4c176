/**
 * A signed transaction on its way to several nodes at once. The first that accepts it decides, and to know it already is to
 * accept it; the others are not held back. A copy of which no byte was sent goes to another node. Lands exactly once.
 */
import { Leg } from './leg.ts'
import { isKnownTransaction } from './node-errors.ts'
import { transactionHash } from './raw-transaction.ts'
import type { ExchangeContext } from '../pipeline/ports.ts'
import type { Outcome } from '../plugin/outcome.ts'
import type { ExchangeTerms } from './exchange.ts'
import type { Answer } from './failures.ts'
import type { Carrier, Flight } from './flight.ts'
import type { LegOwner } from './leg.ts'
import type { NodeFault } from './node-errors.ts'
import type { PoolNode } from './pool-node.ts'
import type { Wish } from './pool.ts'

export class Broadcast implements Carrier, LegOwner {
  private readonly flight: Flight
  private readonly wish: Wish
  private readonly context: ExchangeContext
  private readonly terms: ExchangeTerms
  private readonly deadlineAt: number
  private readonly underWay = new Set<Leg>()
  private readonly tried: PoolNode[] = []
  private retriesLeft: number
  /** What the call is answered with when no node accepts it, and how much that says. */
  private fallback: Outcome | undefined
  private fallbackRank = -1

  constructor(flight: Flight, wish: Wish, context: ExchangeContext, terms: ExchangeTerms, deadlineAt: number) {
    this.flight = flight
    this.wish = wish
    this.context = context
    this.terms = terms
    this.deadlineAt = deadlineAt
    this.retriesLeft = terms.spec.retries
  }

  start(): void {
    const { terms, wish, flight } = this
    flight.carrier = this
    const legs: Leg[] = []
    while (legs.length < terms.spec.broadcast) {
      const node = terms.pick(wish, this.tried, false)
      if (node === undefined) break
      legs.push(this.add(node))
    }
    if (legs.length === 0) {
      const { refusal } = terms.whyNone(wish)
      terms.counts.failed(refusal.why)
      return flight.land(refusal)
    }
    terms.budget.deposit()
    for (const leg of legs) leg.send(this.context.rewrite)
  }

  deserted(): void {
    for (const leg of this.underWay) leg.drop()
  }

  ended(leg: Leg, [answer]: readonly [Answer], [fault]: readonly (NodeFault | undefined)[]): void {
    const { flight } = this
    this.underWay.delete(leg)
    if (answer.kind === 'failure') this.terms.counts.failed(answer.refusal.why)
    if (flight.hasLanded) return
    const accepted = acceptance(flight, answer)
    if (accepted !== undefined) return flight.land(accepted, leg.node)
    this.note(answer, fault)
    if (answer.kind === 'failure' && answer.retry === 'any') this.sendToAnother()
    if (this.underWay.size === 0) flight.land(this.fallback!)
  }

  /** What a node says about the transaction is worth more than what it says about itself, and that more than silence. */
  private note(answer: Answer, fault: NodeFault | undefined): void {
    const rank = answer.kind === 'failure' ? Number(answer.retry !== 'any') : fault === undefined ? 3 : 2
    if (rank <= this.fallbackRank) return
    this.fallbackRank = rank
    this.fallback = answer.kind === 'failure' ? answer.refusal : answer
  }

  private sendToAnother(): void {
    const { terms, wish } = this
    const now = terms.monotonicMs()
    if (this.retriesLeft === 0 || now >= this.deadlineAt || !terms.budget.hasRoom(now)) return
    const node = terms.pick(wish, this.tried, false) ?? (this.underWay.size === 0 ? terms.pick(wish, [], false) : undefined)
    if (node === undefined) return
    this.retriesLeft--
    terms.budget.spend()
    terms.counts.retries.value++
    this.add(node).send(this.context.rewrite)
  }

  private add(node: PoolNode): Leg {
    const leg = new Leg(this, node, [this.flight], this.terms, this.deadlineAt)
    this.tried.push(node)
    this.underWay.add(leg)
    return leg
  }
}

/** The outcome, where a node's answer says that it has the transaction. */
function acceptance({ request }: Flight, answer: Answer): Outcome | undefined {
  if (answer.kind === 'result') return answer
  if (answer.kind === 'failure' || !isKnownTransaction(answer.payload)) return undefined
  const hash = transactionHash(request.method, request.paramsText)
  return hash === undefined ? undefined : { kind: 'result', payload: hash }
}
