/**
 * How many requests may repeat or double others: a part of all, so that nodes in trouble are not asked all the more. After
 * n requests at most n/10 more were sent, and a few: those that a quiet upstream needs.
 */

/** Of a request: what each adds to the budget. Nine tenths of a client's load cannot become a storm. */
const PER_REQUEST = 0.1
/** What is there at the start, and kept at most. */
const RESERVE = 10
/** Milliseconds after which one more is allowed, whatever the load. */
const PER_MS = 1 / 1000

export class RetryBudget {
  private left = RESERVE
  private filledAt = 0

  /** A request is sent for the first time. */
  deposit(): void {
    if (this.left < RESERVE) this.left += PER_REQUEST
  }

  /** Whether one more may be sent. */
  hasRoom(nowMs: number): boolean {
    this.left = Math.min(RESERVE, this.left + (nowMs - this.filledAt) * PER_MS)
    this.filledAt = nowMs
    return this.left >= 1
  }

  /** One more is sent. */
  spend(): void {
    this.left--
  }
}
