/**
 * Whether the node at the other end of a socket lives: pinged now and then, and at once when it leaves a call unanswered and
 * says nothing else either.
 */
import type { SocketTerms } from './link.ts'

export class Pulse {
  private readonly terms: SocketTerms
  private unansweredPings = 0
  private hasHeard = false
  /** When the node was last known to live, as exactly as it is looked at. */
  private heardAt = 0
  /** When the node was asked for a sign of life that it owes. */
  private probedAt: number | undefined

  constructor(terms: SocketTerms) {
    this.terms = terms
  }

  /** The node has said something. On the path of every message: the clock is read when somebody looks. */
  heard(): void {
    this.hasHeard = true
    this.unansweredPings = 0
  }

  /** Counts a ping that is about to be sent; false when too many before it were left unanswered. */
  countPing(): boolean {
    return this.unansweredPings++ < this.terms.limits.missedPongs
  }

  /** From now on it is looked at, because calls wait. */
  begin(now: number): void {
    this.hasHeard = false
    this.heardAt = now
  }

  look(now: number): void {
    if (!this.hasHeard) return
    this.hasHeard = false
    this.heardAt = now
    this.probedAt = undefined
  }

  /** A call was left unanswered. Answers whether the node now has to be asked for a sign of life. */
  suspect(now: number, everyMs: number): boolean {
    const silentMs = now - this.heardAt + everyMs // what was heard is seen by the look that comes after
    if (this.probedAt !== undefined || silentMs < this.terms.spec.readTimeoutMs) return false
    this.probedAt = now
    return true
  }

  get isProbed(): boolean {
    return this.probedAt !== undefined
  }

  /** Whether the sign of life is overdue. */
  isDead(now: number): boolean {
    return this.probedAt !== undefined && now - this.probedAt >= this.terms.spec.connectTimeoutMs
  }
}
