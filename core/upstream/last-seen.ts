/**
 * What consumers have seen of a chain, so that who sent a transaction does not read from a node that is behind what he saw
 * before. Remembered for a while, and of so many consumers at most: who is forgotten is served by any node.
 */
import { RecentMap } from '../plugin/recent-map.ts'
import { consumer } from '../plugin/slots.ts'
import type { Session } from '../plugin/session.ts'

/** A consumer is remembered for so long at least after his last call. */
const PERIOD_MS = 300_000
const MAX_CONSUMERS = 100_000

/** After so long every node that is well has what was sent. */
const MATTERS_MS = 60_000

interface Seen {
  block: number
  /** When he last sent a transaction. */
  wroteAt: number
}

export class LastSeen {
  private readonly consumers = new RecentMap<Seen>(PERIOD_MS, MAX_CONSUMERS)

  /** The block that a node has to have to be read from; undefined where any will do. */
  minBlock(session: Session, nowMs: number): number | undefined {
    const seen = this.consumers.get(nameOf(session), nowMs)
    return seen !== undefined && nowMs - seen.wroteAt < MATTERS_MS ? seen.block : undefined
  }

  /** A node of this height has answered. Answers how high the consumer has seen the chain. */
  answered(session: Session, head: number | undefined, hasWritten: boolean, nowMs: number): number {
    const name = nameOf(session)
    let seen = this.consumers.get(name, nowMs)
    if (seen === undefined) this.consumers.set(name, (seen = { block: 0, wroteAt: -Infinity }), nowMs)
    if (head !== undefined && head > seen.block) seen.block = head
    if (hasWritten) seen.wroteAt = nowMs
    return seen.block
  }
}

/** Consumers have names without a space. */
function nameOf(session: Session): string {
  return session.get(consumer)?.username ?? ` ${session.remoteAddr}`
}
