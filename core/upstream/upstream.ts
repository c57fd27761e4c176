/** Nodes that stand in for each other: the pipeline's port, filled over HTTP and WebSocket. */
import { Room } from '../plugin/room.ts'
import { lastSeenBlock } from '../plugin/slots.ts'
import { callTemplate } from '../plugin/template.ts'
import { Broadcast } from './broadcast.ts'
import { UpstreamCounts } from './counts.ts'
import { Deadlines } from './deadlines.ts'
import { Departures } from './departures.ts'
import { Exchange } from './exchange.ts'
import { failures } from './failures.ts'
import { FrameExchange } from './frame-exchange.ts'
import { Gathering } from './gathering.ts'
import { HedgeDelays } from './hedge-delays.ts'
import { HttpNode } from './http-node.ts'
import { LastSeen } from './last-seen.ts'
import { Needs } from './method-needs.ts'
import { NodeHealth } from './node-health.ts'
import { PoolNode } from './pool-node.ts'
import { PoolWatch } from './pool-watch.ts'
import { Pool } from './pool.ts'
import { resultOf } from './probe.ts'
import { Reachability } from './reachability.ts'
import { RetryBudget } from './retry-budget.ts'
import { quantityOf } from './socket/chain.ts'
import { HeadSocket } from './socket/head-socket.ts'
import { SocketCounts } from './socket/socket-counts.ts'
import { socketLimits } from './socket/socket-limits.ts'
import { SocketNode } from './socket/socket-node.ts'
import { UpstreamSockets } from './socket/sockets.ts'
import type { RpcRequest } from '../jsonrpc/frame.ts'
import type { ExchangeContext, Upstream } from '../pipeline/ports.ts'
import type { ChainHead, PluginLog, WebSocketSettings } from '../plugin/define.ts'
import type { Metrics } from '../plugin/metrics.ts'
import type { Outcome } from '../plugin/outcome.ts'
import type { Call } from '../plugin/session.ts'
import type { Template } from '../plugin/template.ts'
import type { ChainFollower } from './chain-follower.ts'
import type { Followed } from './chains.ts'
import type { ExchangeTerms } from './exchange.ts'
import type { Failure } from './failures.ts'
import type { Flight } from './flight.ts'
import type { FrameTerms } from './frame-exchange.ts'
import type { MethodNeeds } from './method-needs.ts'
import type { Standing } from './node-health.ts'
import type { NodeReport } from './pool-node.ts'
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
  /** For answers while they arrive, and for notifications that wait; without bound where it is not said. */
  readonly room?: Room
  readonly backlog?: Room
  /** A clock that never steps, in milliseconds. */
  readonly monotonicMs?: () => number
  /** Is told of the chains that upstreams follow. */
  readonly chains?: { moved(upstream: string, head: ChainHead): void; turned(upstream: string, fromNumber: number): void }
  /** Bounds of sockets to nodes that are not the usual ones. */
  readonly socketLimits?: Partial<SocketLimits>
}

/** What an operator is told of an upstream. No URL is in it. */
export interface UpstreamReport {
  readonly id: string
  readonly type: UpstreamSpec['type']
  /** Number of the newest block that a node of the upstream has; null where nobody asked the nodes. */
  readonly head: number | null
  readonly finalized: number | null
  readonly nodes: readonly NodeReport[]
}

/** Methods that send a transaction. */
const SENDS = /^eth_send/

export class NodeUpstream implements Upstream, ExchangeTerms, FrameTerms, Followed {
  readonly id: string
  readonly spec: UpstreamSpec
  readonly counts: UpstreamCounts
  readonly log: PluginLog
  readonly room: Room
  readonly monotonicMs: () => number
  readonly deadlines: Deadlines
  readonly needs: Needs
  readonly budget = new RetryBudget()
  readonly departures: Departures | undefined
  readonly hedgeDelays: HedgeDelays | undefined
  /** Where reads wait for others; undefined where none does. */
  private readonly gathering: Gathering | undefined
  private readonly nodes: readonly PoolNode[]
  private readonly pool: Pool
  private readonly key: Template<Call> | undefined
  private readonly lastSeen: LastSeen | undefined
  private readonly watch: PoolWatch
  /** Notes what answers tell of the chain; undefined where nobody wants to know. */
  readonly heard: FrameTerms['heard']
  private readonly sockets: UpstreamSockets
  private readonly reachability: Reachability
  private hasSuccessor = false
  private nextId = 1
  private isClosed = false

  /**
   * Begins to look at its nodes where that is asked for, else opens no connection. Takes over the sockets of its predecessor, the
   * upstream of this id before a reload. Throws TypeError when a node's URL is none.
   */
  constructor(spec: UpstreamSpec, deps: UpstreamDeps, predecessor?: NodeUpstream) {
    this.id = spec.id
    this.spec = spec
    this.counts = new UpstreamCounts(deps.metrics, spec.id)
    this.log = deps.log
    this.room = deps.room ?? new Room({ value: 0 }, Infinity)
    this.monotonicMs = deps.monotonicMs ?? (() => performance.now())
    this.deadlines = new Deadlines(this.monotonicMs)
    const userAgent = `tollgate/${deps.version}`
    const inherited = predecessor?.handOver()
    this.nodes = spec.nodes.map((_, position) => this.makeNode(position, userAgent))
    this.pool = new Pool(this.nodes, spec.type, this.monotonicMs)
    this.needs = new Needs(this.pool, spec.rules)
    this.departures = spec.coalesce ? new Departures() : undefined
    this.hedgeDelays = spec.hedge && new HedgeDelays(spec.hedge)
    this.gathering = spec.batch.waitMs === 0 ? undefined : new Gathering(spec.batch, (...party) => this.send(...party))
    this.key = spec.type === 'chash' ? callTemplate(spec.key) : undefined
    this.lastSeen = spec.finality ? new LastSeen() : undefined
    const wantsHeads = spec.finality || this.needs.wantsHead
    this.heard = wantsHeads ? (...answer) => this.note(...answer) : undefined
    const limits = { ...socketLimits, ...deps.socketLimits }
    const counts = new SocketCounts(deps.metrics, spec.id)
    const standingOf = (position: number): Standing => this.nodes[position]!.health.standing
    const backlog = deps.backlog ?? new Room({ value: 0 }, Infinity)
    const { log, room, monotonicMs, deadlines } = this
    const terms = { spec, counts, limits, log, room, backlog, monotonicMs, deadlines, standingOf, attempts: this, userAgent }
    inherited?.use(terms)
    this.sockets = inherited ?? new UpstreamSockets(terms)
    this.watch = new PoolWatch({
      nodes: this.pool.nodes,
      attempts: this,
      wantsHeads,
      listener: {
        moved: (head) => deps.chains?.moved(spec.id, head),
        turned: (fromNumber) => deps.chains?.turned(spec.id, fromNumber),
      },
      heads: {
        nodeMoved: ({ name }, head) => this.counts.headOf(name, head),
        poolMoved: (highest) => this.counts.head(highest),
      },
      hearHeads: ({ wsUrl, http: { position } }, told) => {
        return wsUrl === undefined ? undefined : new HeadSocket(new SocketNode(wsUrl, position, spec, userAgent), terms, told)
      },
    })
    this.reachability = new Reachability(this.nodes, this.sockets, limits.reachCacheMs, this.monotonicMs)
  }

  exchange(requests: readonly RpcRequest[], context: ExchangeContext): Promise<readonly Outcome[]> {
    const { pending } = this.watch
    if (pending !== undefined) return pending.then(() => this.exchange(requests, context))
    if (this.sockets.mustCarry(requests, context)) return this.sockets.exchange(requests, context, (others, calls) => this.call(others, calls, context))
    return this.call(requests, context.calls, context)
  }

  reach({ mode }: WebSocketSettings): Promise<boolean> {
    return this.reachability.of(mode)
  }

  socketTo(node: PoolNode, context: ExchangeContext): Link | undefined {
    return this.sockets.forCall(node.wsUrl, context)
  }

  wishFor(needs: MethodNeeds, call: Call | undefined): Wish {
    const candidates = needs.old === undefined ? needs.candidates : this.needs.candidates(needs, call?.params, this.watch.heads.highest)
    if (call === undefined || (this.key === undefined && this.lastSeen === undefined)) return candidates.wish
    const minBlock = needs.isRead ? this.lastSeen?.minBlock(call.session, this.monotonicMs()) : undefined
    return { candidates, key: this.key?.(call) ?? '', minBlock }
  }

  /** The chain that the nodes follow; followed itself from the first time on that anybody asks. */
  get chain(): ChainFollower {
    return this.watch.chain
  }

  report(): UpstreamReport {
    const { heads, followed } = this.watch
    const now = this.monotonicMs()
    return {
      id: this.id,
      type: this.spec.type,
      head: heads.highest ?? followed?.head?.number ?? null,
      finalized: followed?.finalized ?? null,
      nodes: this.nodes.map((node) => node.report(heads.lagOf(node), now)),
    }
  }

  depart(flights: readonly Flight[], wish: Wish, context: ExchangeContext, deadlineAt: number): void {
    const first = flights[0]!
    if (this.spec.broadcast > 1 && first.needs.isRawTransaction) new Broadcast(first, wish, context, this, deadlineAt).start()
    else if (this.gathering?.take(flights, wish, context, deadlineAt) !== true) this.send(flights, wish, context, deadlineAt)
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
    this.watch.stop()
    for (const node of this.nodes) node.http.retire()
    if (this.hasSuccessor) return
    this.forgetHealth()
    this.sockets.retire()
  }

  /** Closes connections now; what runs on them fails, and so does every later exchange. */
  async close(): Promise<void> {
    this.isClosed = true
    this.watch.stop()
    this.sockets.close()
    for (const node of this.nodes) {
      node.health.stop()
      node.http.close()
    }
  }

  private send(flights: readonly Flight[], wish: Wish, context: ExchangeContext, deadlineAt: number): void {
    new Exchange(flights, wish, context, this, deadlineAt).start()
  }

  private call(requests: readonly RpcRequest[], calls: readonly Call[], context: ExchangeContext): Promise<readonly Outcome[]> {
    return new Promise((resolve) => {
      if (requests.length === 0) resolve([])
      else new FrameExchange(requests, calls, context, this, resolve).start()
    })
  }

  private note(method: string, call: Call | undefined, outcome: Outcome, by: PoolNode): void {
    const head = method === 'eth_blockNumber' && outcome.kind === 'result' ? quantityOf(resultOf(outcome)) : undefined
    if (head !== undefined) this.watch.heads.raised(by, head)
    if (this.lastSeen === undefined || call === undefined) return
    const hasSent = outcome.kind === 'result' && SENDS.test(method)
    call.session.set(lastSeenBlock, this.lastSeen.answered(call.session, by.head, hasSent, this.monotonicMs()))
  }

  private makeNode(position: number, userAgent: string): PoolNode {
    const { spec } = this
    const { active } = spec
    const nodeSpec = spec.nodes[position]!
    const finding = active?.chainId === undefined || nodeSpec.weight === 0 ? undefined : 'unverified'
    const health: NodeHealth = new NodeHealth(spec.passive, this.monotonicMs, active !== undefined, finding, () => this.nodeChanged(node))
    const node = new PoolNode(nodeSpec, new HttpNode(nodeSpec, position, spec, userAgent, this.monotonicMs), health)
    this.counts.healthOf(node.name, health.isUp)
    return node
  }

  private nodeChanged({ name, health, http: { position } }: PoolNode): void {
    if (!this.hasSuccessor) this.counts.healthOf(name, health.isUp)
    this.pool.nodeChanged()
    this.watch.nodeChanged()
    this.sockets.nodeChanged(position)
    if (health.isUp) this.log.info({ upstream: this.id, node: name }, 'a node is in')
    else this.log.warn({ upstream: this.id, node: name, why: health.standing }, 'a node is out')
  }

  private handOver(): UpstreamSockets {
    this.hasSuccessor = true
    this.forgetHealth()
    return this.sockets
  }

  /** A node that is not used any more is not out: nobody is to be alarmed. */
  private forgetHealth(): void {
    for (const { name } of this.nodes) this.counts.healthOf(name, true)
  }
}
