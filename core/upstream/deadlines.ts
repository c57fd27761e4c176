/**
 * Looks whether what is under way is late: one timer for all of it, and none while there is nothing. A timer for each costs a
 * call 3 µs, and is nearly always for nothing.
 */

/** So late may it be noticed that something is late. */
const LOOK_EVERY_MS = 20

/** What may be late. */
export interface Dated {
  /** Where `Deadlines` keeps it. */
  place: number
  /** Ends itself where it is late. In monotonic milliseconds it is `nowMs`. */
  checkTime(nowMs: number): void
}

export class Deadlines {
  private readonly pending: Dated[] = []
  private readonly monotonicMs: () => number
  private timer: NodeJS.Timeout | undefined

  constructor(monotonicMs: () => number) {
    this.monotonicMs = monotonicMs
  }

  add(item: Dated): void {
    item.place = this.pending.push(item) - 1
    this.timer ??= setInterval(look, LOOK_EVERY_MS, this)
  }

  /** It was added, and is removed once. */
  remove(item: Dated): void {
    const last = this.pending.pop()!
    if (last === item) return
    this.pending[item.place] = last
    last.place = item.place
  }

  look(): void {
    const nowMs = this.monotonicMs()
    // From the end: what is removed meanwhile makes room for what has been looked at.
    for (let at = this.pending.length - 1; at >= 0; at--) this.pending[at]?.checkTime(nowMs)
    if (this.pending.length > 0) return
    clearInterval(this.timer)
    this.timer = undefined
  }
}

function look(deadlines: Deadlines): void {
  deadlines.look()
}
