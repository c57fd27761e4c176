/**
 * Logs that were missed: what the filter finds in the blocks of the gap and was not delivered. What was delivered from blocks
 * that have been replaced meanwhile is delivered again with `removed: true`, the newest first, as nodes do.
 */
import { quantityOf } from './chain.ts'
import { mayRemember } from './may-remember.ts'
import { hashOf, readEvent } from './read-event.ts'
import type { Wire } from '../../jsonrpc/wire.ts'
import type { Chain } from './chain.ts'
import type { MemoryTerms } from './may-remember.ts'
import type { Missed } from './missed.ts'

/** What was delivered of one block: source texts of logs by their index. */
interface Delivered {
  readonly hash: string
  readonly logs: Map<number, Wire>
}

/** What a log that is remembered takes beside its text, and a block with such logs, as measured. */
const LOG_BYTES = 128
const BLOCK_BYTES = 512

/** What tells a log from all others. */
interface LogPlace {
  readonly number: number
  readonly hash: string
  readonly index: number
  readonly isRemoved: boolean
}

export class MissedLogs implements Missed {
  newest: number | undefined
  private readonly terms: MemoryTerms
  private readonly filter: Readonly<Record<string, unknown>>
  /** The first block that counts. */
  private first: number | undefined
  /** By block number. */
  private readonly delivered = new Map<number, Delivered>()
  private rememberedBytes = 0
  private hasEnded = false
  /** The lowest block that was taken back and not yet made up for. */
  private replacedFrom = Infinity
  /** Until a log of a block above this one comes, one that was delivered before is a repetition. */
  private repeatsUntil = -1

  constructor(filter: Readonly<Record<string, unknown>>, terms: MemoryTerms) {
    this.filter = filter
    this.terms = terms
  }

  begin(head: number): void {
    this.first = Math.min(this.first ?? Infinity, head + 1)
    this.newest ??= head
  }

  admit(event: Wire): boolean {
    const place = placeOf(event)
    if (place === undefined) return true
    if (place.number > this.repeatsUntil) this.repeatsUntil = -1
    const isRepeating = this.repeatsUntil !== -1
    if (place.isRemoved) return this.forget(place) || !isRepeating
    if (isRepeating && this.isDelivered(place)) return false
    this.note(place, event)
    return true
  }

  async makeUp(chain: Chain, mark: number | undefined, deliver: (event: Wire) => void): Promise<boolean> {
    const known = Math.max(mark ?? -1, this.newest ?? -1)
    if (known === -1) return true
    const { logOverlapBlocks, backfillBlocks, backfillSpan } = this.terms.limits
    this.repeatsUntil = known
    const head = await chain.headFrom(known)
    await this.takeBack(chain, head, deliver)
    const from = Math.max(this.first ?? known + 1, Math.min(known + 1 - logOverlapBlocks, this.replacedFrom))
    const isWithinBounds = head - from < backfillBlocks
    for (let at = isWithinBounds ? from : head + 1; at <= head; at += backfillSpan) {
      for (const log of await chain.logs(this.filter, at, Math.min(head, at + backfillSpan - 1))) this.deliverNew(log, deliver)
    }
    this.newest = head
    this.repeatsUntil = Math.max(known, head)
    this.replacedFrom = Infinity
    return isWithinBounds
  }

  end(): void {
    this.hasEnded = true
    for (const number of this.delivered.keys()) this.drop(number)
  }

  private deliverNew(log: Wire, deliver: (event: Wire) => void): void {
    const place = placeOf(log)
    if (place === undefined || this.isDelivered(place)) return
    this.note(place, log)
    deliver(log)
  }

  /** Takes back what was delivered from blocks that no longer stand. */
  private async takeBack(chain: Chain, head: number, deliver: (event: Wire) => void): Promise<void> {
    const newestFirst = [...this.delivered].toSorted(([a], [b]) => b - a)
    for (const [number, { hash, logs }] of newestFirst) {
      if (number > head) continue
      if ((await chain.block(number)).hash === hash) return
      for (const log of [...logs.values()].toReversed()) deliver(asRemoved(log))
      this.drop(number)
      this.replacedFrom = number
    }
  }

  private isDelivered({ number, hash, index }: LogPlace): boolean {
    const block = this.delivered.get(number)
    return block?.hash === hash && block.logs.has(index)
  }

  private note({ number, hash, index }: LogPlace, log: Wire): void {
    this.first ??= number
    this.newest = Math.max(this.newest ?? -1, number)
    if (this.delivered.get(number)?.hash !== hash) this.drop(number)
    this.forget({ number, hash, index })
    const bytes = log.length + LOG_BYTES + BLOCK_BYTES
    for (const oldest of this.delivered.keys()) {
      if (oldest === number || (oldest > number - this.terms.limits.rememberedBlocks && this.mayRemember(bytes))) break
      this.drop(oldest)
    }
    if (!this.mayRemember(bytes)) return
    let block = this.delivered.get(number)
    if (block === undefined) {
      this.delivered.set(number, (block = { hash, logs: new Map() }))
      this.remember(BLOCK_BYTES)
    }
    block.logs.set(index, log)
    this.remember(log.length + LOG_BYTES)
  }

  private mayRemember(bytes: number): boolean {
    return !this.hasEnded && this.rememberedBytes + bytes <= this.terms.limits.rememberedBytes && mayRemember(bytes, this.terms)
  }

  private remember(bytes: number): void {
    this.rememberedBytes += bytes
    this.terms.backlog.count(bytes)
  }

  /** Answers whether the log was among those delivered. */
  private forget({ number, hash, index }: Omit<LogPlace, 'isRemoved'>): boolean {
    const block = this.delivered.get(number)
    const log = block?.hash === hash ? block.logs.get(index) : undefined
    if (log === undefined) return false
    this.remember(-log.length - LOG_BYTES)
    return block!.logs.delete(index)
  }

  private drop(number: number): void {
    const block = this.delivered.get(number)
    if (block === undefined) return
    for (const log of block.logs.values()) this.remember(-log.length - LOG_BYTES)
    this.remember(-BLOCK_BYTES)
    this.delivered.delete(number)
  }
}

function placeOf(log: Wire): LogPlace | undefined {
  const { blockNumber, blockHash, logIndex, removed } = readEvent(log)
  const number = quantityOf(blockNumber)
  const index = quantityOf(logIndex)
  const hash = hashOf(blockHash)
  return number === undefined || index === undefined || hash === undefined ? undefined : { number, hash, index, isRemoved: removed === true }
}

/** A log has no objects in it, so that the first member of this name is its own. */
function asRemoved(log: Wire): Wire {
  const removed = log.replace(/"removed"\s*:\s*(?:false|null)/, '"removed":true')
  return /"removed"\s*:\s*true/.test(removed) ? removed : `${log.slice(0, log.lastIndexOf('}'))},"removed":true}`
}
