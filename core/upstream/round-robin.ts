/**
 * Smooth weighted round robin: in every run of as many picks as all weights together, each node is picked as often
 * as it weighs, and the picks of a heavy node are spread out (nginx's algorithm, 2012).
 */
import type { Chooser } from './chooser.ts'

export class RoundRobin<N extends { readonly weight: number }> implements Chooser<N> {
  private readonly credits: Map<N, number>

  constructor(nodes: readonly N[]) {
    this.credits = new Map(nodes.map((node) => [node, 0]))
  }

  pick(nodes: readonly N[]): N {
    let best = nodes[0]!
    let most = -Infinity
    let total = 0
    for (const node of nodes) {
      const credit = this.credits.get(node)! + node.weight
      this.credits.set(node, credit)
      total += node.weight
      if (credit > most) {
        best = node
        most = credit
      }
    }
    this.credits.set(best, most - total)
    return best
  }
}
