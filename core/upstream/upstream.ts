/** Nodes that stand in for each other: the pipeline's port, filled over HTTP. */
import { UpstreamCounts } from './counts.ts'
import { Exchange } from './exchange.ts'
import { HttpNode } from './http-node.ts'
import { RoundRobin } from './round-robin.ts'
import type { RpcRequest } from '../jsonrpc/frame.ts'
import type { ExchangeContext, Upstream } from '../pipeline/ports.ts'
import type { PluginLog } from '../plugin/define.ts'
import type { Metrics } from '../plugin/metrics.ts'
import type { Outcome } from '../plugin/outcome.ts'
import type { ExchangeTerms } from './exchange.ts'
import type { UpstreamSpec } from './spec.ts'

/** What upstreams need of the rest of the gateway. */
export interface UpstreamDeps {
  readonly metrics: Metrics
  readonly log: PluginLog
  /** Tollgate's own, for the User-Agent header. */
  readonly version: string
  /** A clock that never steps, in milliseconds. */
  readonly monotonicMs?: () => number
}

export class NodeUpstream implements Upstream, ExchangeTerms {
  readonly id: string
  readonly spec: UpstreamSpec
  readonly counts: UpstreamCounts
  readonly log: PluginLog
  readonly monotonicMs: () => number
  private readonly nodes: readonly HttpNode[]
  private readonly turns: RoundRobin<HttpNode>
  private nextId = 1
  private isClosed = false

  /** Opens no connection. Throws TypeError when a node's URL is none. */
  constructor(spec: UpstreamSpec, deps: UpstreamDeps) {
    this.id = spec.id
    this.spec = spec
    this.counts = new UpstreamCounts(deps.metrics, spec.id)
    this.log = deps.log
    this.monotonicMs = deps.monotonicMs ?? (() => performance.now())
    this.nodes = spec.nodes.map((node, position) => new HttpNode(node, position, this.spec, `tollgate/${deps.version}`))
    this.turns = new RoundRobin(this.nodes)
  }

  exchange(requests: readonly RpcRequest[], context: ExchangeContext): Promise<readonly Outcome[]> {
    return new Promise((resolve) => {
      if (requests.length === 0) resolve([])
      else new Exchange(requests, context, this, resolve).start()
    })
  }

  async reach(): Promise<boolean> {
    for (const node of this.nodes) if (await node.reach()) return true
    return false
  }

  pick(tried: readonly HttpNode[]): HttpNode | undefined {
    return this.isClosed ? undefined : this.turns.pick(tried)
  }

  takeIds(count: number): number {
    const first = this.nextId
    this.nextId += count
    return first
  }

  get isBusy(): boolean {
    return this.nodes.some((node) => node.isBusy)
  }

  /** Closes connections as soon as nothing runs on them; exchanges still work. */
  retire(): void {
    for (const node of this.nodes) node.retire()
  }

  /** Closes connections now; what runs on them fails, and so does every later exchange. */
  async close(): Promise<void> {
    this.isClosed = true
    await Promise.all(this.nodes.map((node) => node.close()))
  }
}
