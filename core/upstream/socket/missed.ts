/** Events that can be made up for after a loss. */
import type { Wire } from '../../jsonrpc/wire.ts'
import type { Chain } from './chain.ts'

/** What was delivered of one subscription, and what is still owed. */
export interface Missed {
  /** The newest block that is known from it. */
  readonly newest: number | undefined
  /** What counts begins after this block: the head when the subscription was made. */
  begin(head: number): void
  /** Takes note of an event as the node pushes it; false for one that was delivered before the loss. */
  admit(event: Wire): boolean
  /**
   * Delivers what was missed, in order, from what the node says of its chain. `mark` is the newest block that was known at the
   * loss. Answers false where more was missed than is made up for. Rejects when the node does not say.
   */
  makeUp(chain: Chain, mark: number | undefined, deliver: (event: Wire) => void): Promise<boolean>
  /** Nobody listens any more: remembers nothing. */
  end(): void
}
