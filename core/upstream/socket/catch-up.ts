/** One subscription making up for what it missed: events that come meanwhile wait, and what the node does not say is a gap. */
import { backoffMs } from './backoff.ts'
import type { Wire } from '../../jsonrpc/wire.ts'
import type { Chain } from './chain.ts'
import type { SocketTerms } from './link.ts'
import type { Missed } from './missed.ts'
import type { Subscription } from './subscription.ts'

export class CatchUp {
  private readonly subscription: Subscription
  private readonly missed: Missed
  private readonly terms: SocketTerms
  private isOver = false
  private held: Wire[] = []
  private heldBytes = 0
  /** More came than can be held: what was thrown away has been missed as well. */
  private hasOverflowed = false

  constructor(subscription: Subscription, missed: Missed, terms: SocketTerms) {
    this.subscription = subscription
    this.missed = missed
    this.terms = terms
  }

  /** Takes an event that the node pushes while the older ones are made up for. */
  hold(event: Wire): void {
    const { backlog, limits } = this.terms
    this.held.push(event)
    this.heldBytes += event.length
    backlog.count(event.length)
    if (this.heldBytes <= limits.queuedBytes && !backlog.isOverfull) return
    this.takeHeld()
    this.hasOverflowed = true
  }

  takeHeld(): readonly Wire[] {
    const { held } = this
    this.terms.backlog.count(-this.heldBytes)
    this.held = []
    this.heldBytes = 0
    return held
  }

  /** The socket is lost, or nobody listens any more. */
  cancel(): void {
    this.isOver = true
    this.takeHeld()
  }

  /** Makes up for what was missed, as far as it can be. */
  async run(chain: Chain, mark: number | undefined, deliver: (event: Wire) => void): Promise<void> {
    chain.enter()
    for (let failed = 0; !this.isOver && failed < this.terms.limits.catchUpAttempts;) {
      this.hasOverflowed = false
      try {
        await this.makeUp(chain, mark, deliver)
        if (!this.hasOverflowed) break
      } catch (error) {
        if (this.isOver) break
        if (++failed === this.terms.limits.catchUpAttempts) this.reportGap(error instanceof Error ? error.message : 'unknown')
        else await new Promise((resolve) => void setTimeout(resolve, backoffMs(failed, this.terms.limits)))
      }
    }
    chain.leave()
  }

  private async makeUp(chain: Chain, mark: number | undefined, deliver: (event: Wire) => void): Promise<void> {
    const backfilled = this.terms.counts.backfilled[this.subscription.replayable!]
    const isWhole = await this.missed.makeUp(chain, mark, (event) => {
      backfilled.value++
      deliver(event)
    })
    if (!isWhole && !this.isOver) this.reportGap('more was missed than is made up for')
  }

  private reportGap(why: string): void {
    const { counts, log, spec } = this.terms
    counts.gaps.value++
    log.warn({ upstream: spec.id, topic: this.subscription.replayable, why }, 'a subscription goes on without all that it missed')
  }
}
