/** How high the nodes of an upstream are, as they say themselves, and how high the highest of them is. */
import type { PoolNode } from './pool-node.ts'

export class Heads {
  /** The pool's head: what the highest node has that is of the right chain and can be reached. Undefined until one has told. */
  highest: number | undefined
  private readonly nodes: readonly PoolNode[]
  private readonly known: (highest: number) => void

  /** `known` is told of the pool's head whenever a node has told its own. */
  constructor(nodes: readonly PoolNode[], known: (highest: number) => void) {
    this.nodes = nodes
    this.known = known
  }

  /** A node says how high it is. It may have gone back. */
  told(node: PoolNode, head: number): void {
    node.head = head
    this.update()
  }

  /** A node answered with a block of this number. */
  raised(node: PoolNode, head: number): void {
    if (head > (node.head ?? -1)) this.told(node, head)
  }

  update(): void {
    const told = this.nodes.flatMap(({ head, health: { standing } }) => (head === undefined || IGNORED.has(standing) ? [] : [head]))
    if (told.length === 0) return
    this.highest = Math.max(...told)
    this.known(this.highest)
  }
}

/** What a node said before is nothing to measure others by. */
const IGNORED: ReadonlySet<string> = new Set(['wrong-chain', 'unreachable', 'failing', 'unverified'])
