/**
 * The calls of one exchange on a socket that they share with others: each goes alone, so each fails alone. It ends when the
 * last of them has ended.
 */
import { failures } from '../failures.ts'
import type { RpcRequest } from '../../jsonrpc/frame.ts'
import type { Answer } from '../failures.ts'
import type { AttemptOwner, AttemptTerms } from '../http-attempt.ts'
import type { Caller, Link } from './link.ts'

export class SocketAttempt implements Caller {
  readonly dueAt: number
  private readonly owner: AttemptOwner
  private readonly terms: AttemptTerms
  private readonly deadlineAt: number
  private readonly startedAt: number
  private readonly answers: Answer[] = []
  private firstId = 0
  private unanswered = 0
  private isDropped = false

  constructor(owner: AttemptOwner, terms: AttemptTerms, deadlineAt: number) {
    this.owner = owner
    this.terms = terms
    this.deadlineAt = deadlineAt
    this.startedAt = terms.monotonicMs()
    this.dueAt = Math.min(this.startedAt + terms.spec.readTimeoutMs, deadlineAt)
  }

  /** The link has to be open. */
  send(link: Link, requests: readonly RpcRequest[]): void {
    this.terms.counts.attempts.value++
    this.terms.counts.inFlight.value++
    this.unanswered = requests.length
    for (const [at, request] of requests.entries()) {
      const id = link.call(request, this)
      if (at === 0) this.firstId = id
    }
  }

  /** The owner hears nothing more. The node is not told: its answers go nowhere. */
  drop(): void {
    this.isDropped = true
    this.settle()
  }

  answered(id: number, answer: Answer): void {
    if (this.isDropped) return
    this.answers[id - this.firstId] = answer === failures['read-timeout'] && this.terms.monotonicMs() >= this.deadlineAt ? failures['total-timeout'] : answer
    if (--this.unanswered > 0) return
    this.settle()
    this.owner.attempted(this.answers)
  }

  private settle(): void {
    const { counts, monotonicMs } = this.terms
    counts.inFlight.value--
    counts.duration.observe((monotonicMs() - this.startedAt) / 1000)
  }
}
