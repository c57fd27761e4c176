/**
 * Follows an upstream's chain for those who keep what depends on it: the newest block, the newest that is final, and the
 * turns that the chain takes. It asks one node at a time, one that is well and as high as any, at an interval and whenever
 * a node tells of a new block.
 */
import { probe, resultOf } from './probe.ts'
import { quantityOf } from './socket/chain.ts'
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

/** Times in a row that no node told its newest block after which the head is not known any more. */
const LOST_AFTER = 3

/** JSON-RPC's "method not found": the chain is none of Ethereum's kind. */
const NO_SUCH_METHOD = /"code"\s*:\s*-32601\b/

const ASKS = 'eth_getBlockByNumber'

export class ChainFollower {
  /** The newest block; undefined while no node tells it. */
  head: ChainHead | undefined
  /** The node that told it last. */
  source: PoolNode | undefined
  private readonly nodes: readonly PoolNode[]
  private readonly listener: ChainListener
  private readonly terms: AttemptTerms
  private readonly timeoutMs: number
  private readonly timer: NodeJS.Timeout
  private final: ChainHead | undefined
  /** Blocks that were the head, in the order of the chain; there may be gaps. */
  private seen: ChainHead[] = []
  private isPolling = false
  /** Somebody told of a new block while a look was under way. */
  private isBehind = false
  private isStopped = false
  private knowsFinality = true
  private misses = 0

  /** Begins at once. */
  constructor(nodes: readonly PoolNode[], listener: ChainListener, terms: AttemptTerms, intervalMs: number, timeoutMs: number) {
    this.nodes = nodes.filter((node) => node.serves(ASKS))
    this.listener = listener
    this.terms = terms
    this.timeoutMs = timeoutMs
    this.timer = setInterval(() => this.nudge(), intervalMs).unref()
    this.nudge()
  }

  /** Number of the newest block that cannot be replaced any more; undefined where nodes do not tell it. */
  get finalized(): number | undefined {
    return this.final?.number
  }

  /** Looks now: a node may have a new block. */
  nudge(): void {
    this.isBehind = true
    if (!this.isPolling) void this.poll()
  }

  stop(): void {
    this.isStopped = true
    clearInterval(this.timer)
  }

  private async poll(): Promise<void> {
    this.isPolling = true
    while (this.isBehind && !this.isStopped) {
      this.isBehind = false
      await this.look()
    }
    this.isPolling = false
  }

  private async look(): Promise<void> {
    const node = this.best()
    const block = node && (await this.blockOf(node, 'latest'))
    if (node === undefined || block === undefined) {
      if (++this.misses >= LOST_AFTER) this.head = undefined
      return
    }
    this.misses = 0
    if (block.hash === this.head?.hash) return
    const final = this.knowsFinality ? await this.blockOf(node, 'finalized') : undefined
    await this.adopt(node, block, final)
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

  private async adopt(node: PoolNode, block: ChainHead, final: ChainHead | undefined): Promise<void> {
    const last = this.seen.at(-1)
    // Another node that is behind tells nothing new; the one that told the head may take it back.
    if (last !== undefined && block.number < last.number && node !== this.source && this.source?.health.isUp === true) return
    const turnedAt = last === undefined || block.parentHash === last.hash || block.hash === last.hash ? undefined : await this.turnBefore(node, block)
    if (this.isStopped) return
    const isStillFinal = turnedAt === undefined || (this.final?.number ?? 0) < turnedAt
    this.final = final ?? (isStillFinal ? this.final : undefined)
    if (turnedAt !== undefined) {
      this.seen = this.seen.filter(({ number }) => number < turnedAt)
      this.listener.turned(turnedAt)
    }
    if (block.hash !== this.seen.at(-1)?.hash) this.seen.push(block)
    if (this.seen.length > REMEMBERED) this.seen.shift()
    this.source = node
    this.head = block
    this.listener.moved(block)
  }

  /** The lowest number that may be another block now than it was; undefined where the node still has all that were seen. */
  private async turnBefore(node: PoolNode, { number, hash }: ChainHead): Promise<number | undefined> {
    const isSame = async (before: ChainHead): Promise<boolean> => {
      if (before.number >= number) return before.number === number && before.hash === hash
      return (await this.blockOf(node, `0x${before.number.toString(16)}`))?.hash === before.hash
    }
    const { seen, final } = this
    if (await isSame(seen.at(-1)!)) return undefined
    // What was final is final, unless all of the chain is another: that of a node for development which began anew.
    const known = final === undefined ? seen : [final, ...seen.filter((block) => block.number > final.number)]
    // What is below a block that is the same is the same: the place is between two neighbours.
    let same = -1
    let other = known.length - 1
    while (other - same > 1) {
      const middle = (same + other) >> 1
      if (await isSame(known[middle]!)) same = middle
      else other = middle
    }
    return same === -1 ? 0 : known[same]!.number + 1
  }

  private async blockOf(node: PoolNode, which: string): Promise<ChainHead | undefined> {
    const answer = await probe(node, ASKS, [which, false], this.terms, this.timeoutMs)
    if (answer.kind === 'error') {
      if (which === 'finalized') this.knowsFinality = false
      else if (this.seen.length === 0 && NO_SUCH_METHOD.test(answer.payload.toString())) this.stop()
    }
    const { number, hash, parentHash } = (resultOf(answer) ?? {}) as { number?: unknown; hash?: unknown; parentHash?: unknown }
    const height = quantityOf(number)
    return height === undefined || typeof hash !== 'string' || typeof parentHash !== 'string' ? undefined : { number: height, hash, parentHash }
  }
}
