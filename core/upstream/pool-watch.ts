/** What is known of an upstream's nodes beside what calls tell: checks of each, how high they are, the chain they follow. */
import { ChainFollower } from './chain-follower.ts'
import { Heads } from './heads.ts'
import { NodeChecks } from './node-checks.ts'
import type { ChainListener } from './chain-follower.ts'
import type { AttemptTerms } from './http-attempt.ts'
import type { PoolNode } from './pool-node.ts'
import type { ActiveSpec } from './spec.ts'

/** How nodes are looked at where the configuration does not say: for their heads only. */
const HEADS_ONLY: ActiveSpec = { intervalMs: 2000, timeoutMs: 2000, chainId: undefined, maxLag: Infinity, successes: 1, failures: 1 }

export class PoolWatch {
  readonly heads: Heads
  private readonly nodes: readonly PoolNode[]
  private readonly spec: ActiveSpec
  private readonly listener: ChainListener
  private readonly terms: AttemptTerms
  private readonly checks: NodeChecks | undefined
  /** Pending until a node is known to be on the right chain, or none is; undefined once that is so, and where any chain is right. */
  private verifying: Promise<void> | undefined
  private verified: () => void = () => undefined
  private follower: ChainFollower | undefined
  private isStopped = false

  /** `wantsHeads`: somebody has to know how high the nodes are, though they are not checked. */
  constructor(nodes: readonly PoolNode[], wantsHeads: boolean, listener: ChainListener, terms: AttemptTerms, headKnown: (highest: number) => void) {
    const { active } = terms.spec
    this.nodes = nodes
    this.spec = active ?? HEADS_ONLY
    this.listener = listener
    this.terms = terms
    this.heads = new Heads(nodes, headKnown)
    this.checks = active !== undefined || wantsHeads ? new NodeChecks(nodes, this.spec, active !== undefined, this.heads, terms) : undefined
    const checked = this.checks?.start()
    if (active?.chainId === undefined) return
    this.verifying = new Promise((resolve) => (this.verified = resolve))
    void checked?.then(() => this.endVerifying())
  }

  /** What a call has to wait for before it can be sent anywhere. */
  get pending(): Promise<void> | undefined {
    return this.verifying
  }

  /** To be told whenever a node is up or out. */
  nodeChanged(): void {
    this.checks?.nodeChanged()
    if (this.verifying !== undefined && this.nodes.some(({ health }) => health.isUp)) this.endVerifying()
  }

  /** The chain of the nodes, followed from now on. */
  get chain(): ChainFollower {
    if (this.follower === undefined) {
      this.follower = new ChainFollower(this.nodes, this.listener, this.terms, this.spec.intervalMs, this.spec.timeoutMs)
      if (this.isStopped) this.follower.stop()
    }
    return this.follower
  }

  /** Whether anybody asked for the chain. */
  get isFollowed(): boolean {
    return this.follower !== undefined
  }

  stop(): void {
    this.isStopped = true
    this.checks?.stop()
    this.follower?.stop()
    this.endVerifying()
  }

  private endVerifying(): void {
    this.verifying = undefined
    this.verified()
  }
}
