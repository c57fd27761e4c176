/**
 * New heads that were missed: every block after the last delivered one, once, by number; after a reorganisation every block of
 * the new branch. A header is made of the block as the node tells it, with the fields that the node pushes.
 */
import { quantityOf } from './chain.ts'
import { hashOf, readEvent } from './read-event.ts'
import { membersOf } from './source-text.ts'
import type { Wire } from '../../jsonrpc/wire.ts'
import type { Block, Chain } from './chain.ts'
import type { Missed } from './missed.ts'
import type { SocketLimits } from './socket-limits.ts'

/** What eth_getBlockByNumber adds to a header, for nodes that were not yet seen to push one. */
const NOT_IN_HEADERS = new Set(['size', 'totalDifficulty', 'transactions', 'uncles', 'withdrawals'])

/** A chain that is replaced each time it is looked at is not followed for ever. */
const MAX_BRANCHES = 16

export class MissedHeads implements Missed {
  newest: number | undefined
  private readonly limits: SocketLimits
  /** Hashes of the delivered blocks, by number, the oldest first. */
  private readonly delivered = new Map<number, string>()
  /** Until a head above this number comes, one that was delivered before is a repetition. */
  private repeatsUntil = -1
  /** The members of a header as the node pushes it. */
  private fields: readonly string[] | undefined

  constructor(limits: SocketLimits) {
    this.limits = limits
  }

  begin(head: number): void {
    this.newest ??= head
  }

  admit(event: Wire): boolean {
    const header = readEvent(event)
    const number = quantityOf(header['number'])
    const hash = hashOf(header['hash'])
    if (number === undefined || hash === undefined) return true
    if (number <= this.repeatsUntil && this.delivered.get(number) === hash) return false
    if (number > this.repeatsUntil) this.repeatsUntil = -1
    this.fields = Object.keys(header)
    this.note(number, hash)
    return true
  }

  async makeUp(chain: Chain, _mark: number | undefined, deliver: (event: Wire) => void): Promise<boolean> {
    if (this.newest === undefined) return true
    this.repeatsUntil = this.newest
    for (let branches = 0; branches < MAX_BRANCHES; branches++) {
      const head = await chain.head()
      const from = (await this.lastStanding(chain, head)) + 1
      if (head - from >= this.limits.backfillBlocks) return false
      if (await this.follow(chain, from, head, deliver)) return true
      chain.forget()
    }
    return false
  }

  end(): void {
    this.delivered.clear()
  }

  /** Delivers the blocks from one number to the other; false when they turn out not to follow each other. */
  private async follow(chain: Chain, from: number, to: number, deliver: (event: Wire) => void): Promise<boolean> {
    for (let at = from; at <= to; at += this.limits.backfillSpan) {
      const numbers = Array.from({ length: Math.min(this.limits.backfillSpan, to - at + 1) }, (_, i) => at + i)
      for (const block of await Promise.all(numbers.map((number) => chain.block(number)))) {
        const parent = this.delivered.get(block.number - 1)
        if (parent !== undefined && parent !== block.parentHash) return false
        this.note(block.number, block.hash)
        this.repeatsUntil = Math.max(this.repeatsUntil, block.number)
        deliver(this.headerOf(block))
      }
    }
    return true
  }

  /** The newest block up to `head` that was delivered and still stands; before all that is remembered, the last one before that. */
  private async lastStanding(chain: Chain, head: number): Promise<number> {
    let number = Math.min(this.newest!, head)
    while (this.delivered.has(number) && (await chain.block(number)).hash !== this.delivered.get(number)) number--
    return number
  }

  /** A delivered block replaces what was delivered at its height and above. */
  private note(number: number, hash: string): void {
    const oldest = number - this.limits.rememberedBlocks
    for (const other of this.delivered.keys()) if (other >= number || other <= oldest) this.delivered.delete(other)
    this.delivered.set(number, hash)
    this.newest = number
  }

  private headerOf({ text }: Block): Wire {
    const members = [...(membersOf(text) ?? [])].filter(([name]) => this.fields?.includes(name) ?? !NOT_IN_HEADERS.has(name))
    return `{${members.map(([name, value]) => `"${name}":${value}`).join(',')}}`
  }
}
