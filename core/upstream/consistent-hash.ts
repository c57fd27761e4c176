/**
 * Equal keys to equal nodes, for as long as the node is there; when it is out its keys are spread over the others, and no
 * other key moves. A ring of points (Karger et al. 1997), as many for each node as it weighs.
 */
import type { Chooser } from './chooser.ts'

/** Points of the heaviest node. With 160 the share of equal nodes differs by some 10 percent (libketama's number). */
const POINTS = 160

interface Named {
  readonly weight: number
  /** What stays the same over reloads, whatever the order of the nodes. */
  readonly identity: string
}

export class ConsistentHash<N extends Named> implements Chooser<N> {
  private readonly points: readonly (readonly [at: number, node: N])[]

  constructor(nodes: readonly N[]) {
    const heaviest = Math.max(...nodes.map((node) => node.weight))
    const points = nodes.flatMap((node) => {
      const count = Math.max(1, Math.round((POINTS * node.weight) / heaviest))
      return Array.from({ length: count }, (_, i) => [hash32(`${node.identity} ${i}`), node] as const)
    })
    this.points = points.sort(([a], [b]) => a - b)
  }

  pick(nodes: readonly N[], key: string): N {
    const { points } = this
    const from = this.firstAfter(hash32(key))
    for (let i = 0; i < points.length; i++) {
      const [, node] = points[(from + i) % points.length]!
      if (nodes.includes(node)) return node
    }
    return nodes[0]!
  }

  private firstAfter(hash: number): number {
    let low = 0
    let high = this.points.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.points[middle]![0] < hash) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** FNV-1a, and MurmurHash3's finalizer, without which similar keys would lie side by side. */
function hash32(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
