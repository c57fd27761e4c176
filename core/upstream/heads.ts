/** How high the nodes of an upstream are, as they say themselves, and how high the highest of them is. */
import type { Standing } from './node-health.ts'
import type { PoolNode } from './pool-node.ts'

/** Standings of nodes by which others are not measured: on another chain, or what they said before may be long ago. */
const IGNORED: ReadonlySet<Standing> = new Set<Standing>(['wrong-chain', 'unreachable', 'failing', 'unverified'])

/** Who wants to know. */
export interface HeadsListener {
  nodeMoved(node: PoolNode, head: number): void
  /** The pool's head is another. */
  poolMoved(highest: number): void
}

export class Heads {
  /** The pool's head: what the highest node has that is of the right chain and can be reached. Undefined until one has told. */
  highest: number | undefined
  private readonly nodes: readonly PoolNode[]
  private readonly listener: HeadsListener

  constructor(nodes: readonly PoolNode[], listener: HeadsListener) {
    this.nodes = nodes
    this.listener = listener
  }

  /** A node says how high it is; it may have gone back. Whether its head counts is for `update` to see. */
  note(node: PoolNode, head: number): void {
    node.head = head
    this.listener.nodeMoved(node, head)
  }

  /** A node says how high it is. */
  told(node: PoolNode, head: number): void {
    if (node.head === head) return
    this.note(node, head)
    this.update()
  }

  /** A node answered with a block of this number. */
  raised(node: PoolNode, head: number): void {
    if (head > (node.head ?? -1)) this.told(node, head)
  }

  /** To be called when a node's standing has changed. With nobody left who tells, the last one known holds. */
  update(): void {
    let highest = -1
    for (const { head, health } of this.nodes) if (head !== undefined && head > highest && !IGNORED.has(health.standing)) highest = head
    if (highest === -1 || highest === this.highest) return
    this.highest = highest
    this.listener.poolMoved(highest)
  }

  /** Blocks that a node is behind the highest; undefined where nobody has told. */
  lagOf({ head }: PoolNode): number | undefined {
    return head === undefined || this.highest === undefined ? undefined : Math.max(0, this.highest - head)
  }
}
