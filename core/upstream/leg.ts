/** One request to one node on behalf of an exchange, and what its end says about the node. */
import { encodeBatch, encodeRequest } from '../jsonrpc/encode.ts'
import { HttpAttempt } from './http-attempt.ts'
import { nodeFault } from './node-errors.ts'
import { SocketAttempt } from './socket/socket-attempt.ts'
import type { UpstreamRequest } from '../plugin/session.ts'
import type { AttemptOwner, AttemptTerms, Carried } from './http-attempt.ts'
import type { Answer } from './failures.ts'
import type { Flight } from './flight.ts'
import type { HedgeDelays } from './hedge-delays.ts'
import type { NodeFault } from './node-errors.ts'
import type { PoolNode } from './pool-node.ts'
import type { Link } from './socket/link.ts'

/** The upstream as a leg sees it. */
export interface LegTerms extends AttemptTerms {
  /** The first of so many consecutive ids that nobody else has. */
  takeIds(count: number): number
  /** Whether there is more than one node. The only one is better than none, as long as it answers at all. */
  readonly hasSpare: boolean
  /** When reads are asked of another node too; undefined for never. */
  readonly hedgeDelays: HedgeDelays | undefined
}

/** Who sent it. */
export interface LegOwner {
  /**
   * An answer or a failure for every flight, in order; and for every error of the node's what it says about the node,
   * where it says anything. Called once, or never when the leg was dropped.
   */
  ended(leg: Leg, answers: readonly Answer[], faults: readonly (NodeFault | undefined)[]): void
}

type Faults = (NodeFault | undefined)[]

const NONE: Faults = []

export class Leg implements AttemptOwner {
  readonly node: PoolNode
  readonly flights: readonly Flight[]
  private readonly owner: LegOwner
  private readonly terms: LegTerms
  private readonly deadlineAt: number
  /** Whether anybody wants to know how long it took. */
  private readonly isTimed: boolean
  private readonly startedAt: number
  private http: HttpAttempt | undefined
  private socket: SocketAttempt | undefined

  constructor(owner: LegOwner, node: PoolNode, flights: readonly Flight[], terms: LegTerms, deadlineAt: number) {
    this.owner = owner
    this.node = node
    this.flights = flights
    this.terms = terms
    this.deadlineAt = deadlineAt
    this.isTimed = terms.spec.type === 'ewma' || terms.hedgeDelays?.isLearning === true
    this.startedAt = this.isTimed ? terms.monotonicMs() : 0
  }

  send(rewrite: UpstreamRequest): void {
    this.http = new HttpAttempt(this, this.node.http, carry(this.flights, this.terms), this.terms, this.deadlineAt)
    this.http.send(rewrite)
  }

  /** Sends on a socket to the node that stands. */
  share(link: Link): void {
    this.socket = new SocketAttempt(this, this.terms, this.deadlineAt)
    this.socket.send(
      link,
      this.flights.map(({ request }) => request),
    )
  }

  /** The owner hears nothing more. */
  drop(): void {
    this.http?.drop()
    this.socket?.drop()
    if (this.isTimed) this.time(false)
    this.node.health.released()
  }

  attempted(answers: readonly Answer[]): void {
    if (this.isTimed) this.time(answers[0]?.kind !== 'failure')
    const status = this.http?.status ?? 0
    let faults = NONE
    for (let i = 0; i < answers.length; i++) {
      const answer = answers[i]!
      if (answer.kind === 'error') (faults === NONE ? (faults = []) : faults)[i] = nodeFault(answer.payload, status)
    }
    this.judge(answers, faults)
    this.owner.ended(this, answers, faults)
  }

  private time(isAnswered: boolean): void {
    const { spec, hedgeDelays } = this.terms
    const now = this.terms.monotonicMs()
    const ms = now - this.startedAt
    hedgeDelays?.took(this.flights, ms, isAnswered)
    if (spec.type === 'ewma') this.node.latency.observe(ms, now)
  }

  /** One request is one vote, however many calls it carried. */
  private judge(answers: readonly Answer[], faults: Faults): void {
    const { health } = this.node
    if (this.http?.retryAfterMs !== undefined) return health.paused(this.http.retryAfterMs)
    if (this.isBlamed(answers, faults)) health.failed()
    else if (answers.some((answer, i) => answer.kind !== 'failure' && faults[i] === undefined)) health.answered()
    else health.released()
  }

  private isBlamed(answers: readonly Answer[], faults: Faults): boolean {
    const { hasSpare } = this.terms
    if (hasSpare && faults.some((fault) => fault?.isCertain)) return true
    return answers.some((answer) => answer.kind === 'failure' && (answer.blame === 'dead' || (answer.blame === 'bad' && hasSpare)))
  }
}

/** One call travels as an object, several as a batch. */
function carry(flights: readonly Flight[], terms: LegTerms): Carried {
  const firstId = terms.takeIds(flights.length)
  const requests = flights.map(({ request }, i) => encodeRequest(firstId + i, request))
  const body = requests.length === 1 ? requests[0]! : encodeBatch(requests)
  return { firstId, count: flights.length, body, isRead: flights.every(({ needs }) => needs.isRead) }
}
