/**
 * Follows an upstream's chain for those who keep what depends on it: the newest block, the newest that is final, and the
 * turns that the chain takes. It asks one node at a time, one that is well and as high as any.
 */
import { probe, quantity, resultOf } from './probe.ts'
import type { ChainHead } from '../plugin/define.ts'
import type { AttemptTerms } from './http-attempt.ts'
import type { PoolNode } from './pool-node.ts'

/** Who wants to know. */
export interface ChainListener {
  /** Called before the head that it comes with. */
  turned(fromNumber: number): void
  moved(head: ChainHead): void
}

/** Blocks whose hashes are remembered, to find where a chain has turned: more than any chain has taken back lately. */
const REMEMBERED = 256

/** JSON-RPC's "method not found": the chain is none of Ethereum's kind. */
const NO_SUCH_METHOD = /"code"\s*:\s*-32601\b/

export class ChainFollower {
  head: ChainHead | undefined
  finalized: number | undefined
  private readonly nodes: readonly PoolNode[]
  private readonly listener: ChainListener
  private readonly terms: AttemptTerms
  private readonly timeoutMs: number
  private readonly timer: NodeJS.Timeout
  /** Hashes by number, in the order of the chain; there may be gaps. */
  private hashes: (readonly [number: number, hash: string])[] = []
  /** The node that told the head. */
  private source: PoolNode | undefined
  private isPolling = false
  private isStopped = false
  private knowsFinality = true

  /** Begins at once. */
  constructor(nodes: readonly PoolNode[], listener: ChainListener, terms: AttemptTerms, intervalMs: number, timeoutMs: number) {
    this.nodes = nodes
    this.listener = listener
    this.terms = terms
    this.timeoutMs = timeoutMs
    this.timer = setInterval(() => void this.poll(), intervalMs).unref()
    void this.poll()
  }

  /** Looks now: a node has told of a new block. */
  nudge(): void {
    void this.poll()
  }

  stop(): void {
    this.isStopped = true
    clearInterval(this.timer)
  }

  private async poll(): Promise<void> {
    const node = this.best()
    if (this.isStopped || this.isPolling || node === undefined) return
    this.isPolling = true
    const block = await this.blockOf(node, 'latest')
    if (block !== undefined && block.hash !== this.head?.hash) {
      if (this.knowsFinality) this.finalized = (await this.blockOf(node, 'finalized'))?.number ?? this.finalized
      await this.adopt(node, block)
    }
    this.isPolling = false
  }

  /** Among the highest that are well the one that told the head: others may be a moment behind it. */
  private best(): PoolNode | undefined {
    let best: PoolNode | undefined
    for (const node of this.nodes) {
      if (!node.health.isUp) continue
      const lead = (node.head ?? 0) - (best?.head ?? -1)
      if (lead > 0 || (lead === 0 && node === this.source)) best = node
    }
    return best
  }

  private async adopt(node: PoolNode, block: ChainHead): Promise<void> {
    const { head } = this
    // Another node that is behind tells nothing new; the one that told the head may take it back.
    if (head !== undefined && block.number < head.number && node !== this.source && this.source?.health.isUp === true) return
    if (head !== undefined && block.parentHash !== head.hash) {
      const turnedAt = await this.turnBefore(node, block)
      if (turnedAt !== undefined) {
        this.hashes = this.hashes.filter(([number]) => number < turnedAt)
        this.listener.turned(turnedAt)
      }
    }
    this.hashes.push([block.number, block.hash])
    if (this.hashes.length > REMEMBERED) this.hashes.shift()
    this.source = node
    this.head = block
    this.listener.moved(block)
  }

  /** The lowest number that may be another block now than it was; undefined where the node still has all that were seen. */
  private async turnBefore(node: PoolNode, { number, hash }: ChainHead): Promise<number | undefined> {
    const { hashes } = this
    const isSame = async ([its, before]: readonly [number, string]): Promise<boolean> => {
      if (its >= number) return its === number && before === hash
      return (await this.blockOf(node, `0x${its.toString(16)}`))?.hash === before
    }
    if (await isSame(hashes.at(-1)!)) return undefined
    // What is below a block that is the same is the same: the place is between two neighbours.
    let same = -1
    let other = hashes.length - 1
    while (other - same > 1) {
      const middle = (same + other) >> 1
      if (await isSame(hashes[middle]!)) same = middle
      else other = middle
    }
    return same === -1 ? (this.finalized ?? -1) + 1 : hashes[same]![0] + 1
  }

  private async blockOf(node: PoolNode, which: string): Promise<ChainHead | undefined> {
    const answer = await probe(node, 'eth_getBlockByNumber', [which, false], this.terms, this.timeoutMs)
    if (answer.kind === 'error') {
      if (which === 'finalized') this.knowsFinality = false
      else if (NO_SUCH_METHOD.test(answer.payload.toString())) this.stop()
    }
    const { number, hash, parentHash } = (resultOf(answer) ?? {}) as { number?: unknown; hash?: unknown; parentHash?: unknown }
    const height = quantity(number)
    return height === undefined || typeof hash !== 'string' || typeof parentHash !== 'string' ? undefined : { number: height, hash, parentHash }
  }
}
