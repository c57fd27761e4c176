/**
 * Smooth weighted round robin: in every run of as many picks as all weights together, each node is picked as often
 * as it weighs, and the picks of a heavy node are spread out (nginx's algorithm, 2012).
 */

interface Turn<N> {
  readonly node: N
  readonly weight: number
  credit: number
}

export class RoundRobin<N extends { readonly weight: number }> {
  private readonly turns: Turn<N>[]

  constructor(nodes: readonly N[]) {
    this.turns = nodes.filter((node) => node.weight > 0).map((node) => ({ node, weight: node.weight, credit: 0 }))
  }

  /** The next node that is not among `tried`; once all are, any; undefined when there is none at all. */
  pick(tried: readonly N[]): N | undefined {
    if (this.turns.length === 1) return this.turns[0]!.node
    let best: Turn<N> | undefined
    let total = 0
    for (const turn of this.turns) {
      if (tried.includes(turn.node)) continue
      total += turn.weight
      turn.credit += turn.weight
      if (best === undefined || turn.credit > best.credit) best = turn
    }
    if (best === undefined) return tried.length === 0 ? undefined : this.pick([])
    best.credit -= total
    return best.node
  }
}
