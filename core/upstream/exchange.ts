/**
 * One frame's calls on their way to the nodes and back: which node, what is tried again, when it is over. Calls that a
 * node answered keep their answers; what is left may be asked once more. Resolves exactly once, and never rejects.
 */
import { encodeBatch, encodeRequest } from '../jsonrpc/encode.ts'
import { failures } from './failures.ts'
import { HttpAttempt } from './http-attempt.ts'
import { isReadOnly } from './read-only.ts'
import { SocketAttempt } from './socket/socket-attempt.ts'
import type { RpcRequest } from '../jsonrpc/frame.ts'
import type { ExchangeContext } from '../pipeline/ports.ts'
import type { Outcome } from '../plugin/outcome.ts'
import type { AttemptOwner, AttemptTerms, Carried } from './http-attempt.ts'
import type { Answer, Failure } from './failures.ts'
import type { HttpNode } from './http-node.ts'
import type { Link } from './socket/link.ts'

/** The upstream as an exchange sees it. */
export interface ExchangeTerms extends AttemptTerms {
  /** The node for the next attempt; `tried` have failed this exchange. */
  pick(tried: readonly HttpNode[]): HttpNode | undefined
  /** The first of so many consecutive ids that nobody else has. */
  takeIds(count: number): number
  /** A socket to the node that stands, where the calls may share one. */
  socketTo(node: HttpNode, context: ExchangeContext): Link | undefined
}

const NONE: readonly HttpNode[] = []

export class Exchange implements AttemptOwner {
  private readonly requests: readonly RpcRequest[]
  private readonly context: ExchangeContext
  private readonly terms: ExchangeTerms
  private readonly resolve: (outcomes: readonly Outcome[]) => void
  private readonly deadlineAt: number
  private attempt: HttpAttempt | SocketAttempt | undefined
  private node: HttpNode | undefined
  private tried: readonly HttpNode[] = NONE
  private retriesLeft: number
  /** What is decided, once an attempt has left something open. */
  private outcomes: Outcome[] | undefined
  /** Positions of the calls that the attempt carries; undefined for all. */
  private open: readonly number[] | undefined

  constructor(requests: readonly RpcRequest[], context: ExchangeContext, terms: ExchangeTerms, resolve: (outcomes: readonly Outcome[]) => void) {
    this.requests = requests
    this.context = context
    this.terms = terms
    this.resolve = resolve
    this.retriesLeft = terms.spec.retries
    this.deadlineAt = terms.monotonicMs() + terms.spec.totalTimeoutMs
  }

  start(): void {
    this.context.cancel = () => this.cancel()
    this.send()
  }

  attempted(answers: readonly Answer[]): void {
    let hasFailed = false
    for (const answer of answers) {
      if (answer.kind !== 'failure') continue
      hasFailed = true
      this.terms.counts.failed(answer.refusal.why)
    }
    if (!hasFailed && this.open === undefined) return this.finish(answers as readonly Outcome[])
    this.merge(answers)
  }

  private send(): void {
    this.node = this.terms.pick(this.tried)
    if (this.node === undefined) {
      const answers: Answer[] = Array.from({ length: this.open?.length ?? this.requests.length }, () => failures['no-node'])
      return this.attempted(answers)
    }
    // Only a first attempt shares a socket: what ended it may be an answer to this very call, and over HTTP a call fails alone.
    const link = this.tried === NONE ? this.terms.socketTo(this.node, this.context) : undefined
    if (link !== undefined) {
      const attempt = (this.attempt = new SocketAttempt(this, this.terms, this.deadlineAt))
      return attempt.send(link, this.requests)
    }
    const attempt = (this.attempt = new HttpAttempt(this, this.node, this.carry(), this.terms, this.deadlineAt))
    attempt.send(this.context.rewrite)
  }

  /** One call travels as an object, several as a batch. */
  private carry(): Carried {
    const requests = this.open === undefined ? this.requests : this.open.map((position) => this.requests[position]!)
    const firstId = this.terms.takeIds(requests.length)
    const wire = requests.length === 1 ? encodeRequest(firstId, requests[0]!) : encodeBatch(requests.map((request, i) => encodeRequest(firstId + i, request)))
    return { firstId, count: requests.length, body: Buffer.from(wire, 'latin1') }
  }

  /** Keeps the answers, and asks for the rest once more where that is allowed. */
  private merge(answers: readonly Answer[]): void {
    const outcomes = (this.outcomes ??= Array.from({ length: this.requests.length }))
    const failed: number[] = []
    let mayRetry = this.retriesLeft > 0
    for (const [i, answer] of answers.entries()) {
      const position = this.open?.[i] ?? i
      if (answer.kind === 'failure') {
        failed.push(position)
        mayRetry &&= this.isRepeatable(answer, position)
        outcomes[position] = answer.refusal
      } else outcomes[position] = answer
    }
    if (failed.length === 0 || !mayRetry || this.terms.monotonicMs() >= this.deadlineAt) return this.finish(outcomes)
    this.retriesLeft--
    this.terms.counts.retries.value++
    if (this.node !== undefined) this.tried = [...this.tried, this.node]
    this.open = failed
    this.send()
  }

  private isRepeatable(failure: Failure, position: number): boolean {
    return failure.retry === 'any' || (failure.retry === 'read-only' && isReadOnly(this.requests[position]!.method))
  }

  private cancel(): void {
    this.attempt?.drop()
    this.finish(this.requests.map(() => failures['client-gone'].refusal))
  }

  private finish(outcomes: readonly Outcome[]): void {
    this.context.cancel = undefined
    this.resolve(outcomes)
  }
}
