/** What is known of an upstream's nodes beside what calls tell: checks of each, how high they are, the chain they follow. */
import { ChainFollower } from './chain-follower.ts'
import { Heads } from './heads.ts'
import { NodeChecks } from './node-checks.ts'
import type { ChainListener } from './chain-follower.ts'
import type { HeadsListener } from './heads.ts'
import type { AttemptTerms } from './http-attempt.ts'
import type { PoolNode } from './pool-node.ts'
import type { ActiveSpec } from './spec.ts'

/** How nodes are looked at where the configuration does not say: for their heads only. */
const HEADS_ONLY: ActiveSpec = { intervalMs: 2000, timeoutMs: 2000, chainId: undefined, maxLag: Infinity, successes: 1, failures: 1 }

/** What a watch needs of its upstream. */
export interface WatchTerms {
  /** Those that take calls. */
  readonly nodes: readonly PoolNode[]
  readonly attempts: AttemptTerms
  /** Whether it has to be known how high the nodes are, though they are not checked. */
  readonly wantsHeads: boolean
  /** Is told of the chain, where that is followed. */
  readonly listener: ChainListener
  /** Is told of heads. */
  readonly heads: HeadsListener
  /** Has a node push its new heads; undefined where it cannot. */
  hearHeads(node: PoolNode, told: (head: number) => void): { stop(): void } | undefined
}

export class PoolWatch {
  readonly heads: Heads
  /** The chain; undefined while nobody has asked for it. */
  followed: ChainFollower | undefined
  /** What calls wait for: until a node is known to be on the right chain, or none is. Undefined from then on, and where any chain is right. */
  pending: Promise<void> | undefined
  private readonly terms: WatchTerms
  private readonly spec: ActiveSpec
  private checks: NodeChecks | undefined
  private pushed: readonly { stop(): void }[] = []
  private verified: () => void = () => undefined
  private isStopped = false

  constructor(terms: WatchTerms) {
    const { active } = terms.attempts.spec
    this.terms = terms
    this.spec = active ?? HEADS_ONLY
    this.heads = new Heads(terms.nodes, {
      nodeMoved: (node, head) => terms.heads.nodeMoved(node, head),
      poolMoved: (highest) => {
        terms.heads.poolMoved(highest)
        this.followed?.nudge()
      },
    })
    if (active === undefined && !terms.wantsHeads) return
    this.listen()
    const checked = this.check()
    if (active?.chainId === undefined) return
    this.pending = new Promise((resolve) => (this.verified = resolve))
    void checked.then(() => this.endVerifying())
  }

  /** To be told whenever a node is up or out. */
  nodeChanged(): void {
    this.checks?.nodeChanged()
    if (this.pending !== undefined && this.terms.nodes.some(({ health }) => health.isUp)) this.endVerifying()
  }

  /** The chain of the nodes, followed from now on. */
  get chain(): ChainFollower {
    return (this.followed ??= this.follow())
  }

  stop(): void {
    this.isStopped = true
    this.checks?.stop()
    this.followed?.stop()
    for (const heads of this.pushed) heads.stop()
    this.endVerifying()
  }

  private follow(): ChainFollower {
    const { nodes, listener, attempts } = this.terms
    const follower = new ChainFollower(nodes, listener, attempts, this.spec.intervalMs, this.spec.timeoutMs)
    if (this.isStopped) follower.stop()
    else if (this.checks === undefined) {
      this.listen()
      // Which of several to follow takes to know how high each is.
      if (nodes.length > 1) void this.check()
    }
    return follower
  }

  /** Asks nodes from now on. Resolves when each has answered, or not. */
  private check(): Promise<void> {
    const { nodes, attempts } = this.terms
    this.checks = new NodeChecks(nodes, this.spec, attempts.spec.active !== undefined, this.heads, attempts)
    return this.checks.start()
  }

  /** Has nodes push what is new from now on. */
  private listen(): void {
    this.pushed = this.terms.nodes.flatMap((node) => this.terms.hearHeads(node, (head) => this.heard(node, head)) ?? [])
  }

  private heard(node: PoolNode, head: number): void {
    const isNew = head > (this.heads.highest ?? -1)
    this.heads.told(node, head)
    if (!isNew && this.followed?.source === node) this.followed.nudge() // a block in place of another
  }

  private endVerifying(): void {
    this.pending = undefined
    this.verified()
  }
}
