/**
 * Asks every node at an interval how it is: which chain, how high, whether it is still catching up. Finds nodes that are on
 * another chain, cannot be reached, or are behind the others, and finds when they are back. A node that does not know what it
 * is asked (the chain may be none of Ethereum's kind) is well as long as it answers.
 */
import { nodeFault } from './node-errors.ts'
import { probe, resultOf } from './probe.ts'
import { quantityOf } from './socket/chain.ts'
import type { Answer } from './failures.ts'
import type { AttemptTerms } from './http-attempt.ts'
import type { Heads } from './heads.ts'
import type { CheckFinding } from './node-health.ts'
import type { PoolNode } from './pool-node.ts'
import type { ActiveSpec } from './spec.ts'

/** What is remembered of a node between two checks. */
interface Record {
  readonly node: PoolNode
  isBusy: boolean
  failures: number
  successes: number
}

/** What one check brought; undefined is what the node does not say. */
interface Finding {
  readonly chainId: number | undefined
  readonly head: number | undefined
  /** Blocks that the node itself says it is behind; 0 when it has caught up, Infinity where it does not say. */
  readonly behind: number
}

export class NodeChecks {
  private readonly records: readonly Record[]
  private readonly spec: ActiveSpec
  private readonly heads: Heads
  private readonly terms: AttemptTerms
  /** Whether nodes are taken out by what is found; else only their heads are wanted. */
  private readonly judges: boolean
  private timer: NodeJS.Timeout | undefined

  constructor(nodes: readonly PoolNode[], spec: ActiveSpec, judges: boolean, heads: Heads, terms: AttemptTerms) {
    this.records = nodes.map((node) => ({ node, isBusy: false, failures: 0, successes: 0 }))
    this.spec = spec
    this.judges = judges
    this.heads = heads
    this.terms = terms
  }

  /** Checks at once and then at the interval. Resolves when each node has been found well, or not, for the first time. */
  async start(): Promise<void> {
    this.timer = setInterval(() => void this.round(), this.spec.intervalMs).unref()
    await this.round()
  }

  /** A node is out or in, so the highest may be another, and who was behind it is not behind the next. */
  nodeChanged(): void {
    if (!this.judges) return
    this.heads.update()
    for (const { node } of this.records) {
      if (node.health.standing === 'lagging' && this.lagOf(node) <= this.spec.maxLag) node.health.checked(undefined)
    }
  }

  stop(): void {
    clearInterval(this.timer)
  }

  private async round(): Promise<void> {
    await Promise.all(this.records.map((record) => this.check(record)))
    // How high the highest is was not known before all had answered.
    if (this.judges) for (const { node } of this.records) if (node.health.isUp && this.lagOf(node) > this.spec.maxLag) node.health.checked('lagging')
  }

  private async check(record: Record): Promise<void> {
    const { node } = record
    // A node that hangs is asked again when it has been given up, and one that wants a pause after it. One whose connections
    // are all in use shows by that how it is.
    if (record.isBusy || node.health.standing === 'pausing' || node.inFlight >= this.terms.spec.maxConnections) return
    record.isBusy = true
    const finding = await this.ask(node)
    record.isBusy = false
    // Whether its head counts is known when it has been judged.
    if (typeof finding === 'object' && finding.head !== undefined) this.heads.note(node, finding.head)
    if (this.judges && finding !== 'unknown') this.judge(record, finding)
    this.heads.update()
  }

  /** `unknown` where the gateway itself is short of something. */
  private async ask(node: PoolNode): Promise<Finding | 'failed' | 'unknown'> {
    const { monotonicMs } = this.terms
    const askedAt = monotonicMs()
    const ask = (method: string): Promise<Answer> => probe(node, method, [], this.terms, this.spec.timeoutMs)
    const wantsChain = this.judges && this.spec.chainId !== undefined
    const answers = await Promise.all([ask('eth_blockNumber'), ...(this.judges ? [ask('eth_syncing')] : []), ...(wantsChain ? [ask('eth_chainId')] : [])])
    const words = new Set(answers.map(meaningOf))
    if (words.has('unknown')) return 'unknown'
    const [head, syncing, chain] = answers
    const isNonsense = [head, chain].some((answer) => answer?.kind === 'result' && quantityOf(resultOf(answer)) === undefined)
    if (words.has('failed') || isNonsense) return 'failed'
    node.checkMs = monotonicMs() - askedAt
    return { chainId: chain && quantityOf(resultOf(chain)), head: quantityOf(resultOf(head)), behind: syncing ? blocksBehind(resultOf(syncing)) : 0 }
  }

  /** Takes a node out, or lets it back once it was well often enough. */
  private judge(record: Record, finding: Finding | 'failed'): void {
    const { health } = record.node
    const trouble = finding === 'failed' ? 'unreachable' : this.troubleOf(record.node, finding)
    if (trouble !== undefined) {
      record.successes = 0
      record.failures = trouble === 'unreachable' ? record.failures + 1 : 0
      const isEnough = trouble !== 'unreachable' || record.failures >= this.spec.failures || health.standing === 'unverified'
      if (isEnough) health.checked(trouble)
      return
    }
    record.failures = 0
    record.successes = health.isUp ? 0 : record.successes + 1
    if (health.isUp || health.standing === 'unverified' || record.successes >= this.spec.successes) health.checked(undefined)
  }

  private troubleOf(node: PoolNode, { chainId, behind }: Finding): CheckFinding | undefined {
    const { chainId: wanted, maxLag } = this.spec
    if (wanted !== undefined && chainId !== wanted) return chainId === undefined ? 'unverified' : 'wrong-chain'
    if (behind > maxLag) return 'syncing'
    return this.lagOf(node) > maxLag ? 'lagging' : undefined
  }

  private lagOf(node: PoolNode): number {
    return this.heads.lagOf(node) ?? 0
  }
}

/** What an answer to a check says of its node. `silent` is a node that does not know what it was asked, but answers. */
function meaningOf(answer: Answer): 'told' | 'silent' | 'failed' | 'unknown' {
  if (answer.kind === 'result') return 'told'
  if (answer.kind === 'error') return nodeFault(answer.payload, 0) === undefined ? 'silent' : 'failed'
  if (answer.blame !== 'none') return 'failed'
  return answer.refusal.why === 'http-status' ? 'silent' : 'unknown'
}

/** What `eth_syncing` says: false, or an object with the numbers of blocks. */
function blocksBehind(syncing: unknown): number {
  if (typeof syncing !== 'object' || syncing === null) return syncing === true ? Infinity : 0
  const { currentBlock, highestBlock } = syncing as { currentBlock?: unknown; highestBlock?: unknown }
  return (quantityOf(highestBlock) ?? Infinity) - (quantityOf(currentBlock) ?? 0)
}
