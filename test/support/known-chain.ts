/** A chain that the test moves. */
import type { ChainHead, ChainView } from '#plugin'

export interface KnownChain extends ChainView {
  /** Appends a block on top of the head, or makes the first one with this number. */
  mine(number?: number): void
  /** Replaces blocks: those from this number up to `to` are others now. */
  reorg(from: number, to?: number): void
  finalize(number: number | undefined): void
  /** Nobody knows the head any more. */
  lose(): void
}

/** A chain with a head and what is final of it; without a head nothing is known. */
export function knownChain(head?: number, finalized?: number): KnownChain {
  const listeners: { readonly head: ((head: ChainHead) => void)[]; readonly reorg: ((from: number) => void)[] } = { head: [], reorg: [] }
  let now: ChainHead | undefined
  let final = finalized
  let made = 0
  const move = (number: number): void => {
    now = { number, hash: `0x${(++made).toString(16).padStart(64, '0')}`, parentHash: now?.hash ?? '0x' }
    for (const run of listeners.head) run(now)
  }
  if (head !== undefined) move(head)
  return {
    head: () => now,
    finalized: () => final,
    onHead: (run) => void listeners.head.push(run),
    onReorg: (run) => void listeners.reorg.push(run),
    mine: (number = (now?.number ?? -1) + 1) => move(number),
    reorg: (from, to = now?.number ?? from) => {
      for (const run of listeners.reorg) run(from)
      move(to)
    },
    finalize: (number) => (final = number),
    lose: () => (now = undefined),
  }
}
