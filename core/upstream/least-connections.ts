/** The node with the fewest requests under way for its weight; of equal ones each in turn. */
import type { Chooser } from './chooser.ts'

interface Busy {
  readonly weight: number
  readonly inFlight: number
}

export class LeastConnections<N extends Busy> implements Chooser<N> {
  private turn = 0

  pick(nodes: readonly N[]): N {
    const from = this.turn++
    let best: N | undefined
    for (let i = 0; i < nodes.length; i++) {
      const node = nodes[(from + i) % nodes.length]!
      // Compared as it will be with this request: idle nodes differ by weight too.
      if (best === undefined || (node.inFlight + 1) * best.weight < (best.inFlight + 1) * node.weight) best = node
    }
    return best!
  }
}
