/** Nodes that stand in for each other: the pipeline's port, filled over HTTP and WebSocket. */
import { callTemplate } from '../plugin/template.ts'
import { UpstreamCounts } from './counts.ts'
import { Departures } from './departures.ts'
import { Exchange } from './exchange.ts'
import { failures } from './failures.ts'
import { FrameExchange } from './frame-exchange.ts'
import { HttpNode } from './http-node.ts'
import { Needs } from './method-needs.ts'
import { NodeHealth } from './node-health.ts'
import { PoolNode } from './pool-node.ts'
import { Pool } from './pool.ts'
import { RetryBudget } from './retry-budget.ts'
import { SocketCounts } from './socket/socket-counts.ts'
import { socketLimits } from './socket/socket-limits.ts'
import { UpstreamSockets } from './socket/sockets.ts'
import type { RpcRequest } from '../jsonrpc/frame.ts'
import type { ExchangeContext, Room, Upstream } from '../pipeline/ports.ts'
import type { PluginLog, WebSocketSettings } from '../plugin/define.ts'
import type { Metrics } from '../plugin/metrics.ts'
import type { Outcome } from '../plugin/outcome.ts'
import type { Call } from '../plugin/session.ts'
import type { Template } from '../plugin/template.ts'
import type { ExchangeTerms } from './exchange.ts'
import type { Failure } from './failures.ts'
import type { Flight } from './flight.ts'
import type { FrameTerms } from './frame-exchange.ts'
import type { MethodNeeds } from './method-needs.ts'
import type { Wish } from './pool.ts'
import type { Link } from './socket/link.ts'
import type { SocketLimits } from './socket/socket-limits.ts'
import type { UpstreamSpec } from './spec.ts'

/** What upstreams need of the rest of the gateway. */
export interface UpstreamDeps {
  readonly metrics: Metrics
  readonly log: PluginLog
  /** Tollgate's own, for the User-Agent header. */
  readonly version: string
  /** Where answers are held while they arrive; without bound where it is not said. */
  readonly room?: Room
  /** A clock that never steps, in milliseconds. */
  readonly monotonicMs?: () => number
  /** Bounds of sockets to nodes that are not the usual ones. */
  readonly socketLimits?: Partial<SocketLimits>
}

export class NodeUpstream implements Upstream, ExchangeTerms, FrameTerms {
  readonly id: string
  readonly spec: UpstreamSpec
  readonly counts: UpstreamCounts
  readonly log: PluginLog
  readonly room: Room
  readonly monotonicMs: () => number
  readonly needs: Needs
  readonly budget = new RetryBudget()
  readonly departures: Departures | undefined
  private readonly nodes: readonly PoolNode[]
  private readonly pool: Pool
  private readonly key: Template<Call> | undefined
  private readonly sockets: UpstreamSockets
  private readonly reachCacheMs: number
  private readonly reached = new Map<WebSocketSettings['mode'], { readonly untilMs: number; readonly isReachable: Promise<boolean> }>()
  private hasSuccessor = false
  private nextId = 1
  private isClosed = false

  /**
   * Opens no connection. Takes over the sockets of its predecessor, the upstream of this id before a reload. Throws TypeError
   * when a node's URL is none.
   */
  constructor(spec: UpstreamSpec, deps: UpstreamDeps, predecessor?: NodeUpstream) {
    this.id = spec.id
    this.spec = spec
    this.counts = new UpstreamCounts(deps.metrics, spec.id)
    this.log = deps.log
    this.room = deps.room ?? { heldBytes: { value: 0 }, maxHeldBytes: Infinity }
    this.monotonicMs = deps.monotonicMs ?? (() => performance.now())
    const userAgent = `tollgate/${deps.version}`
    this.nodes = spec.nodes.map((_, position) => this.makeNode(position, userAgent))
    this.pool = new Pool(this.nodes, spec.type, this.monotonicMs)
    this.needs = new Needs(this.pool, spec.rules)
    this.departures = spec.coalesce ? new Departures() : undefined
    this.key = spec.type === 'chash' ? callTemplate(spec.key) : undefined
    const limits = { ...socketLimits, ...deps.socketLimits }
    const counts = new SocketCounts(deps.metrics, spec.id)
    const terms = { spec, counts, limits, log: deps.log, monotonicMs: this.monotonicMs, attempts: this, userAgent }
    const inherited = predecessor?.handOver()
    inherited?.use(terms)
    this.sockets = inherited ?? new UpstreamSockets(terms)
    this.reachCacheMs = limits.reachCacheMs
  }

  exchange(requests: readonly RpcRequest[], context: ExchangeContext): Promise<readonly Outcome[]> {
    if (this.sockets.mustCarry(requests, context)) return this.sockets.exchange(requests, context, (others, calls) => this.call(others, calls, context))
    return this.call(requests, context.calls, context)
  }

  reach({ mode }: WebSocketSettings): Promise<boolean> {
    const now = this.monotonicMs()
    let answer = this.reached.get(mode)
    if (answer === undefined || now >= answer.untilMs) {
      answer = { untilMs: now + this.reachCacheMs, isReachable: this.reachNow(mode) }
      this.reached.set(mode, answer)
    }
    return answer.isReachable
  }

  socketTo(node: PoolNode, context: ExchangeContext): Link | undefined {
    return this.sockets.forCall(node.wsUrl, context)
  }

  wishFor(needs: MethodNeeds, call: Call | undefined): Wish {
    const candidates = needs.old === undefined ? needs.candidates : this.needs.candidates(needs, call?.params, undefined)
    if (this.key === undefined || call === undefined) return candidates.wish
    return { candidates, key: this.key(call) ?? '', minBlock: undefined }
  }

  depart(flights: readonly Flight[], wish: Wish, context: ExchangeContext, deadlineAt: number): void {
    new Exchange(flights, wish, context, this, deadlineAt).start()
  }

  pick(wish: Wish, tried: readonly PoolNode[], isRead: boolean): PoolNode | undefined {
    return this.isClosed ? undefined : this.pool.pick(wish, tried, isRead)
  }

  whyNone({ candidates }: Wish): Failure {
    if (this.isClosed || this.pool.nodes.length === 0) return failures['no-node']
    return candidates.ranks.length === 0 ? failures['no-capable-node'] : failures['no-healthy-node']
  }

  get hasSpare(): boolean {
    return this.pool.nodes.length > 1
  }

  takeIds(count: number): number {
    const first = this.nextId
    this.nextId += count
    return first
  }

  get isBusy(): boolean {
    return this.nodes.some((node) => node.http.isBusy)
  }

  /** Closes connections as soon as nothing runs on them; exchanges still work. Without a successor subscriptions end. */
  retire(): void {
    for (const node of this.nodes) node.http.retire()
    if (!this.hasSuccessor) this.sockets.retire()
  }

  /** Closes connections now; what runs on them fails, and so does every later exchange. */
  async close(): Promise<void> {
    this.isClosed = true
    this.sockets.close()
    for (const node of this.nodes) node.health.stop()
    await Promise.all(this.nodes.map((node) => node.http.close()))
  }

  private call(requests: readonly RpcRequest[], calls: readonly Call[], context: ExchangeContext): Promise<readonly Outcome[]> {
    return new Promise((resolve) => {
      if (requests.length === 0) resolve([])
      else new FrameExchange(requests, calls, context, this, resolve).start()
    })
  }

  /** A session with a socket of its own needs one; all others are served over HTTP where there is none. */
  private async reachNow(mode: WebSocketSettings['mode']): Promise<boolean> {
    if (mode !== 'http' && (await this.sockets.reach())) return true
    if (mode === 'dedicated' && !this.sockets.isEmpty) return false
    for (const node of this.nodes) if (await node.http.reach()) return true
    return false
  }

  private makeNode(position: number, userAgent: string): PoolNode {
    const { spec } = this
    const node = spec.nodes[position]!
    const health: NodeHealth = new NodeHealth(spec.passive, this.monotonicMs, false, undefined, () => this.pool.nodeChanged())
    return new PoolNode(node, new HttpNode(node, position, spec, userAgent), health)
  }

  private handOver(): UpstreamSockets {
    this.hasSuccessor = true
    return this.sockets
  }
}
