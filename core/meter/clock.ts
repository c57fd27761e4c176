/**
 * The meter's reading of the wall clock. Clocks get set: `wallMs` follows, because a calendar month is a matter
 * of the wall clock; `steadyMs` only runs forwards and goes on at the clock's pace when that is set back, so that
 * a window of seconds is neither handed out twice nor held for as long as the clock went back.
 */

/** A moment of some clock, in epoch milliseconds: what calendars go by, and what windows of seconds go by. */
export interface Moment {
  readonly wallMs: number
  readonly steadyMs: number
}

export class Clock implements Moment {
  readonly #now: () => number
  #lagMs = 0
  /** Epoch milliseconds at the last reading. */
  wallMs = -Infinity
  /** Milliseconds that never run backwards; those of the epoch until the clock was first set back. */
  steadyMs = -Infinity

  constructor(now: () => number) {
    this.#now = now
  }

  /** Reads the time. It then stands still until the next reading, for all draws of a frame alike. */
  read(): this {
    const wallMs = this.#now()
    if (wallMs < this.wallMs) this.#lagMs += this.wallMs - wallMs
    this.wallMs = wallMs
    this.steadyMs = wallMs + this.#lagMs
    return this
  }
}
