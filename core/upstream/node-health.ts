/**
 * Whether a node is given calls. Two judges: what calls meet (a circuit breaker over the last answers, and pauses that the
 * node asks for), and what checks find. A node serves while neither has anything against it.
 *
 * The breaker opens after some failures in a row, or when too many of the last answers were failures. Where checks run they
 * close it; else, after a while, one call at a time is let through, and the first that is answered closes it.
 */
import type { PassiveSpec } from './spec.ts'

/** What is against a node, in a closed word; `up` is nothing. */
export type Standing = 'up' | 'failing' | 'pausing' | CheckFinding

/** What a check may find. `unverified` is a node whose chain has not been looked at yet. */
export type CheckFinding = 'unverified' | 'unreachable' | 'wrong-chain' | 'lagging' | 'syncing'

/** Answers that the breaker looks back on: as many as a bit field holds. */
const WINDOW = 32

/** A node that asks for a longer pause is asked again after this: quotas are raised, and dates are wrong. */
const LONGEST_PAUSE_MS = 60_000

export class NodeHealth {
  /** Whether it is given calls. */
  isUp = true
  private readonly limits: PassiveSpec
  private readonly now: () => number
  private readonly changed: () => void
  /** Whether checks decide when a node that failed is back. */
  private readonly isChecked: boolean
  private finding: CheckFinding | undefined
  private isOpen = false
  private isProbing = false
  private reopensAt = 0
  private inARow = 0
  /** The last answers, the newest in the lowest bit; 1 is a failure. */
  private window = 0
  private windowSize = 0
  private pause: NodeJS.Timeout | undefined
  private pausesUntil = 0
  /** The standing that `changed` last ran for. */
  private told: Standing

  /** `changed` runs whenever `standing` has changed; `finding` is what holds until the first check. */
  constructor(limits: PassiveSpec, now: () => number, isChecked: boolean, finding: CheckFinding | undefined, changed: () => void) {
    this.limits = limits
    this.now = now
    this.isChecked = isChecked
    this.finding = finding
    this.changed = changed
    this.told = this.standing
    this.isUp = finding === undefined
  }

  get standing(): Standing {
    if (this.finding !== undefined) return this.finding
    if (this.isOpen) return 'failing'
    return this.pause === undefined ? 'up' : 'pausing'
  }

  /** Whether it could serve, but that it is behind. */
  get isOnlyBehind(): boolean {
    return (this.finding === 'lagging' || this.finding === 'syncing') && !this.isOpen && this.pause === undefined
  }

  /** Whether a call may be sent to see if a node that failed has recovered. */
  mayProbe(): boolean {
    return this.isOpen && !this.isChecked && !this.isProbing && this.pause === undefined && this.now() >= this.reopensAt
  }

  /** A call is sent although the node is out. */
  probing(): void {
    this.isProbing = true
  }

  /** The node did what it is there for. */
  answered(): void {
    this.inARow = 0
    this.remember(0)
    if (this.isProbing) this.close()
  }

  /** The node failed, and nobody else is to blame. */
  failed(): void {
    this.inARow++
    this.remember(1)
    if (this.isOpen) {
      if (this.isProbing) this.reopensAt = this.now() + this.limits.coolDownMs
      this.isProbing = false
    } else if (this.inARow >= this.limits.failures || this.isMostlyFailing()) {
      this.isOpen = true
      this.reopensAt = this.now() + this.limits.coolDownMs
      this.update()
    }
  }

  /** A request ended without telling anything about the node. */
  released(): void {
    this.isProbing = false
  }

  /** The node wants no calls for a while. */
  paused(ms: number): void {
    const until = this.now() + Math.min(ms, LONGEST_PAUSE_MS)
    this.isProbing = false
    if (until <= this.pausesUntil) return
    this.pausesUntil = until
    clearTimeout(this.pause)
    this.pause = setTimeout(() => {
      this.pause = undefined
      this.update()
    }, until - this.now()).unref()
    this.update()
  }

  /** A check found something; undefined when nothing, which also lets a node back that failed. */
  checked(finding: CheckFinding | undefined): void {
    this.finding = finding
    if (finding === undefined && this.isOpen && this.now() >= this.reopensAt) this.close()
    this.update()
  }

  /** Ends its timer. */
  stop(): void {
    clearTimeout(this.pause)
  }

  private close(): void {
    this.isOpen = this.isProbing = false
    this.inARow = this.window = this.windowSize = 0
    this.update()
  }

  private remember(bit: 0 | 1): void {
    this.window = (this.window << 1) | bit
    if (this.windowSize < WINDOW) this.windowSize++
  }

  private isMostlyFailing(): boolean {
    if (this.windowSize < WINDOW) return false
    let failures = 0
    for (let rest = this.window; rest !== 0; rest &= rest - 1) failures++
    return failures >= this.limits.ratio * WINDOW
  }

  private update(): void {
    const { standing } = this
    if (standing === this.told) return
    this.told = standing
    this.isUp = standing === 'up'
    this.changed()
  }
}
