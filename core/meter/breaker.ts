/**
 * Whether a store is worth asking. It opens when most calls of late have failed, or none has been answered any more, or
 * the connection is lost; nobody asks then but the probes, and after so many of them in a row were answered it closes.
 */

/** Of so much time failures are counted, */
const SLOT_MS = 500
/** in so many slots. */
const SLOTS = 10
/** Fewer failures are no sign of anything. */
const MIN_FAILURES = 5
/** Of all calls, the part that has to fail; */
const FAILING_PART = 0.5
/** or so long none was answered, while they failed. */
const SILENCE_MS = 100
/** Probes in a row that have to be answered. */
const PROBES = 2

interface Slot {
  at: number
  answered: number
  failed: number
}

export class Breaker {
  readonly #slots: Slot[] = Array.from({ length: SLOTS }, () => ({ at: -1, answered: 0, failed: 0 }))
  readonly #onChange: (isOpen: boolean) => void
  #probes = 0
  #failedInRow = 0
  #answeredAt = -Infinity
  isOpen: boolean

  /** `onChange` is told when it opens and when it closes. */
  constructor(isOpen: boolean, onChange: (isOpen: boolean) => void) {
    this.isOpen = isOpen
    this.#onChange = onChange
  }

  /** Counts a call. While it is open, calls are probes. */
  record(isAnswered: boolean, nowMs: number): void {
    if (this.isOpen) {
      this.#probes = isAnswered ? this.#probes + 1 : 0
      if (this.#probes >= PROBES) this.#turn(false)
      return
    }
    const at = Math.floor(nowMs / SLOT_MS)
    const slot = this.#slots[at % SLOTS]!
    if (slot.at !== at) Object.assign(slot, { at, answered: 0, failed: 0 })
    if (isAnswered) {
      slot.answered++
      this.#answeredAt = nowMs
      this.#failedInRow = 0
    } else {
      slot.failed++
      this.#failedInRow++
      if (this.#isSilent(nowMs) || this.#isFailing(at)) this.#turn(true)
    }
  }

  /** The connection is lost. */
  trip(): void {
    this.#probes = 0
    if (!this.isOpen) this.#turn(true)
  }

  #isSilent(nowMs: number): boolean {
    return this.#failedInRow >= MIN_FAILURES && nowMs - this.#answeredAt >= SILENCE_MS
  }

  #isFailing(now: number): boolean {
    let answered = 0
    let failed = 0
    for (const slot of this.#slots) {
      if (slot.at <= now - SLOTS) continue
      answered += slot.answered
      failed += slot.failed
    }
    return failed >= MIN_FAILURES && failed >= FAILING_PART * (answered + failed)
  }

  #turn(isOpen: boolean): void {
    this.isOpen = isOpen
    this.#probes = this.#failedInRow = 0
    for (const slot of this.#slots) slot.at = -1
    this.#onChange(isOpen)
  }
}
