/**
 * Turns at the event loop. One packet can hold thousands of messages, or a hundred pipelined requests, and each is worked on as
 * soon as it is read: whoever has worked long enough waits until all others have had their turn.
 */

/** Work of one connection between two turns: a tenth of what an input may stall the event loop for. */
const TURN_MS = 5

export class Turn {
  /** The rest has to wait until the next turn begins. */
  isOver = false
  private spentMs = 0
  private readonly monotonicMs: () => number
  private readonly next: () => void

  /** `next` is called as each further turn begins. */
  constructor(monotonicMs: () => number, next: () => void) {
    this.monotonicMs = monotonicMs
    this.next = next
  }

  /** Does a piece of work. What was spent before counts, however long ago: who works little by little yields now and then, and loses nothing by it. */
  spend(work: () => void): void {
    const startedAt = this.monotonicMs()
    work()
    this.spentMs += this.monotonicMs() - startedAt
    if (this.spentMs < TURN_MS || this.isOver) return
    this.isOver = true
    setImmediate(() => {
      this.isOver = false
      this.spentMs = 0
      this.next()
    })
  }
}
