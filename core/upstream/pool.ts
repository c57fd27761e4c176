/**
 * The nodes of an upstream: which can answer a call, which are well, which takes its turn. While all are well a choice
 * is one look at a list that was made before.
 */
import { chooserOf } from './chooser.ts'
import type { Chooser } from './chooser.ts'
import type { PoolNode } from './pool-node.ts'
import type { UpstreamSpec } from './spec.ts'

/** Nodes that can answer a call, those of the highest priority first; empty where no node can. */
export class Candidates {
  readonly ranks: readonly Rank[]
  /** What most calls ask: one of these nodes, whichever. */
  readonly wish: Wish = { candidates: this, key: '', minBlock: undefined }

  constructor(ranks: readonly Rank[]) {
    this.ranks = ranks
  }
}

/** Nodes of one priority. */
interface Rank {
  readonly nodes: readonly PoolNode[]
  readonly chooser: Chooser<PoolNode>
}

/** What decides where calls go. Calls for which all of it is the same may travel together. */
export interface Wish {
  readonly candidates: Candidates
  /** What chash hashes; '' for every other type. */
  readonly key: string
  /** The node should have this block. */
  readonly minBlock: number | undefined
}

export class Pool {
  readonly nodes: readonly PoolNode[]
  private readonly type: UpstreamSpec['type']
  private readonly monotonicMs: () => number
  private readonly known = new Map<string, Candidates>()
  private isAllUp = false

  /** Nodes of weight 0 take no calls. */
  constructor(nodes: readonly PoolNode[], type: UpstreamSpec['type'], monotonicMs: () => number) {
    this.nodes = nodes.filter((node) => node.weight > 0)
    this.type = type
    this.monotonicMs = monotonicMs
    this.nodeChanged()
  }

  /** To be told whenever a node is up or out. */
  nodeChanged(): void {
    this.isAllUp = this.nodes.every((node) => node.health.isUp)
  }

  /** The nodes that pass a test; equal ones are the same object. */
  candidates(test: (node: PoolNode) => boolean): Candidates {
    const fit = this.nodes.filter(test)
    const which = fit.map((node) => node.http.position).join()
    let candidates = this.known.get(which)
    if (candidates === undefined) this.known.set(which, (candidates = new Candidates(this.ranksOf(fit))))
    return candidates
  }

  /**
   * The node for an attempt, not one of `tried`; undefined where none is well. Where there is no other it is one that is
   * behind. Reads may go to a node to see whether it is well again.
   */
  pick(wish: Wish, tried: readonly PoolNode[], isRead: boolean): PoolNode | undefined {
    const { candidates, key, minBlock } = wish
    if (this.isAllUp && tried.length === 0 && minBlock === undefined) {
      const best = candidates.ranks[0]
      return best && choose(best.nodes, best.chooser, key)
    }
    const node = search(wish, tried, isRead) ?? highest(wish, tried) ?? (isRead ? undefined : search(wish, tried, true))
    if (node?.health.mayProbe() === true) node.health.probing()
    return node
  }

  private ranksOf(nodes: readonly PoolNode[]): Rank[] {
    const priorities = [...new Set(nodes.map((node) => node.priority))].sort((a, b) => b - a)
    return priorities.map((priority) => {
      const ofRank = nodes.filter((node) => node.priority === priority)
      return { nodes: ofRank, chooser: chooserOf(this.type, ofRank, this.monotonicMs) }
    })
  }
}

function choose(nodes: readonly PoolNode[], chooser: Chooser<PoolNode>, key: string): PoolNode {
  return nodes.length === 1 ? nodes[0]! : chooser.pick(nodes, key)
}

function search({ candidates, key, minBlock }: Wish, tried: readonly PoolNode[], mayProbe: boolean): PoolNode | undefined {
  for (const { nodes, chooser } of candidates.ranks) {
    const fit = nodes.filter((node) => {
      if (tried.includes(node) || (minBlock !== undefined && (node.head ?? -1) < minBlock)) return false
      return node.health.isUp || (mayProbe && node.health.mayProbe())
    })
    if (fit.length > 0) return choose(fit, chooser, key)
  }
  return undefined
}

/** No node is well and has the block that is wanted: the one that comes nearest to it. */
function highest({ candidates }: Wish, tried: readonly PoolNode[]): PoolNode | undefined {
  let best: PoolNode | undefined
  for (const { nodes } of candidates.ranks) {
    for (const node of nodes) {
      if (!(node.health.isUp || node.health.isOnlyBehind) || tried.includes(node)) continue
      if (best === undefined || (node.head ?? -1) > (best.head ?? -1)) best = node
    }
  }
  return best
}
