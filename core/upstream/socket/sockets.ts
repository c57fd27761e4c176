/**
 * The sockets of one upstream: a few per node for the calls of all clients, one for all their subscriptions, and one for
 * each client that has its own. They outlive a reload that changes the upstream.
 */
import { failures } from '../failures.ts'
import { CallSockets } from './call-sockets.ts'
import { DedicatedSocket } from './dedicated.ts'
import { Feeds } from './feeds.ts'
import { SocketNode, fitFirst } from './socket-node.ts'
import { subscriptionRefusals } from './subscription-refusals.ts'
import { holdTooMuch, subscriptionVerb } from './subscription.ts'
import type { RpcRequest } from '../../jsonrpc/frame.ts'
import type { ExchangeContext, Subscriber } from '../../pipeline/ports.ts'
import type { Outcome } from '../../plugin/outcome.ts'
import type { Call, UpstreamRequest } from '../../plugin/session.ts'
import type { DedicatedTerms } from './dedicated.ts'
import type { Link } from './link.ts'

/** What the sockets of an upstream are made from. */
export interface SocketsTerms extends DedicatedTerms {
  readonly userAgent: string
}

/** Sends calls that need no socket. */
type Forward = (requests: readonly RpcRequest[], calls: readonly Call[]) => Promise<readonly Outcome[]>

export class UpstreamSockets {
  private terms: SocketsTerms
  private nodes: readonly SocketNode[] = []
  /** By the node's address. */
  private calls: ReadonlyMap<string, CallSockets> = new Map()
  private readonly feeds: Feeds
  private readonly dedicated = new Map<Subscriber, DedicatedSocket>()
  private nextTurn = 0

  /** Opens no socket. Throws TypeError when a node's URL is none. */
  constructor(terms: SocketsTerms) {
    this.terms = terms
    this.feeds = new Feeds([], terms)
    this.use(terms)
  }

  /** From now on these nodes and bounds count. Subscriptions stay, and so do clients with a socket of their own to a node that stays. */
  use(terms: SocketsTerms): void {
    const { spec, userAgent } = terms
    this.terms = terms
    this.nodes = spec.nodes.flatMap(({ wsUrl, weight }, position) =>
      wsUrl === undefined || weight === 0 ? [] : [new SocketNode(wsUrl, position, spec, userAgent)],
    )
    for (const sockets of this.calls.values()) sockets.retire()
    this.calls = new Map(this.nodes.map((node) => [node.wsUrl, new CallSockets(node, terms)]))
    this.feeds.use(this.nodes, terms)
    for (const socket of this.dedicated.values()) {
      if (socket.node !== undefined && !this.calls.has(socket.node.wsUrl)) socket.close('the node is not used any more')
    }
  }

  /** An open socket for a call to the node of this address that any client's calls may share. */
  forCall(wsUrl: string | undefined, { subscriber, rewrite }: ExchangeContext): Link | undefined {
    const mayShare = subscriber === undefined ? this.terms.spec.multiplex : subscriber.settings.mode === 'shared'
    if (wsUrl === undefined || !mayShare || isRewritten(rewrite)) return undefined
    return this.calls.get(wsUrl)?.pick()
  }

  /** Whether a frame is more than calls that can go anywhere. */
  mustCarry(requests: readonly RpcRequest[], { subscriber }: ExchangeContext): boolean {
    if (subscriber?.settings.mode === 'dedicated' && this.nodes.length > 0) return true
    return requests.some(({ method }) => subscriptionVerb(method) !== undefined)
  }

  /** Sends the calls of a frame; `call` takes those that no socket has to carry. */
  async exchange(requests: readonly RpcRequest[], context: ExchangeContext, call: Forward): Promise<readonly Outcome[]> {
    if (context.subscriber?.isGone === true) return requests.map(() => failures['client-gone'].refusal)
    const isAbout = ({ method }: RpcRequest | Call): boolean => subscriptionVerb(method) !== undefined
    if (!holdTooMuch(requests.filter(isAbout))) return this.carry(requests, context, call)
    const others = requests.filter((request) => !isAbout(request))
    const calls = context.calls.filter((each) => !isAbout(each))
    const answers = others.length === 0 ? [] : await this.carry(others, { ...context, calls }, call)
    return requests.map((request) => answers[others.indexOf(request)] ?? subscriptionRefusals.tooLarge)
  }

  private async carry(requests: readonly RpcRequest[], context: ExchangeContext, call: Forward): Promise<readonly Outcome[]> {
    const { subscriber, rewrite } = context
    if (subscriber?.settings.mode === 'dedicated' && this.nodes.length > 0) return this.socketOf(subscriber).exchange(requests, context)
    const own = subscriber !== undefined && isRewritten(rewrite) && this.nodes.length > 0 ? this.socketOf(subscriber) : undefined
    const outcomes: Outcome[] = Array.from({ length: requests.length })
    const aboutSubscriptions = requests.map(async (request, at) => {
      const verb = subscriptionVerb(request.method)
      if (verb === undefined) return
      if (subscriber === undefined) outcomes[at] = subscriptionRefusals.needsWebSocket
      else if (own !== undefined) outcomes[at] = (await own.exchange([request], { ...context }))[0]!
      else if (verb === 'unsubscribe') outcomes[at] = this.feeds.unsubscribe(request, subscriber)
      else outcomes[at] = await this.feeds.subscribe(request, subscriber, context)
    })
    const others = requests.filter(({ method }) => subscriptionVerb(method) === undefined)
    const callsOfOthers = context.calls.filter(({ method }) => subscriptionVerb(method) === undefined)
    const answers = others.length === 0 ? [] : await call(others, callsOfOthers)
    await Promise.all(aboutSubscriptions)
    for (const [at, request] of requests.entries()) outcomes[at] ??= answers[others.indexOf(request)] ?? failures['no-node'].refusal
    return outcomes
  }

  /** Whether a node can be reached by WebSocket. */
  async reach(): Promise<boolean> {
    if (this.nodes.length === 0) return false
    return Promise.any(
      [...this.calls.values()].map(async (sockets) => {
        if (!(await sockets.reach())) throw new Error('unreachable')
      }),
    ).then(
      () => true,
      () => false,
    )
  }

  /** A node is up or out: who listens to one that is on another chain, or behind the others, does not any more. */
  nodeChanged(position: number): void {
    this.feeds.nodeChanged(position)
    if (this.terms.standingOf(position) !== 'wrong-chain') return
    for (const socket of this.dedicated.values()) if (socket.node?.position === position) socket.close('the node is on another chain')
  }

  get isEmpty(): boolean {
    return this.nodes.length === 0
  }

  /** Ends the sessions that depend on a socket; calls in flight still end. */
  retire(): void {
    const reason = 'the network is not served any more'
    for (const sockets of this.calls.values()) sockets.retire()
    this.feeds.close(reason)
    for (const socket of this.dedicated.values()) socket.close(reason)
  }

  /** Closes all sockets; calls on them fail. */
  close(): void {
    for (const sockets of this.calls.values()) sockets.close(1001, '')
    this.retire()
  }

  private socketOf(subscriber: Subscriber): DedicatedSocket {
    let socket = this.dedicated.get(subscriber)
    if (socket === undefined) {
      const first = this.nextTurn++ % this.nodes.length
      const nodes = fitFirst([...this.nodes.slice(first), ...this.nodes.slice(0, first)], (position) => this.terms.standingOf(position))
      socket = new DedicatedSocket(subscriber, nodes, this.terms, () => this.dedicated.delete(subscriber))
      this.dedicated.set(subscriber, socket)
    }
    return socket
  }
}

/** Whether the session asks for something of its own of requests to a node. */
function isRewritten({ path, host, headers }: UpstreamRequest): boolean {
  return path !== undefined || host !== undefined || headers !== undefined
}
