/**
 * All that clients subscribe to at one upstream, on one socket to one of its nodes: not among the calls, whose answers can
 * end a socket by their size. When the socket is lost the next node takes over, with all subscriptions.
 */
import { failures } from '../failures.ts'
import { backoffMs } from './backoff.ts'
import { Chain } from './chain.ts'
import { Channel } from './channel.ts'
import { Feed } from './feed.ts'
import { Link } from './link.ts'
import { Client, Listener } from './listener.ts'
import { mayRemember } from './may-remember.ts'
import { fitFirst } from './socket-node.ts'
import { subscriptionRefusals, unsubscribed } from './subscription-refusals.ts'
import { bytesHeldBy, namedSubscription, subscriptionOf } from './subscription.ts'
import type { Reply } from '../../jsonrpc/reply.ts'
import type { RpcRequest } from '../../jsonrpc/frame.ts'
import type { ExchangeContext, Subscriber } from '../../pipeline/ports.ts'
import type { Outcome } from '../../plugin/outcome.ts'
import type { Standing } from '../node-health.ts'
import type { FeedOwner } from './feed.ts'
import type { LinkOwner, SocketTerms } from './link.ts'
import type { SocketNode } from './socket-node.ts'

const GOING_AWAY = 1001

/** Standings of a node whose events are of another chain, or late. What else is wrong with a node the socket itself tells. */
const LEFT: ReadonlySet<Standing> = new Set<Standing>(['wrong-chain', 'lagging', 'syncing'])

export class Feeds implements FeedOwner, LinkOwner {
  terms: SocketTerms
  head: number | undefined
  private nodes: readonly SocketNode[]
  private turn = 0
  private link: Link | undefined
  private channel: Channel | undefined
  private chainOfLink: Chain | undefined
  private openedAt = 0
  /** By what is subscribed to. */
  private readonly feeds = new Map<string, Feed>()
  private readonly clients = new Map<Subscriber, Client>()
  /** Nodes in a row that could not be reached. */
  private unreached = 0
  /** Sockets in a row that could not be opened, or were lost soon. */
  private failures = 0
  private retry: NodeJS.Timeout | undefined
  private headPoll: NodeJS.Timeout | undefined

  /** Opens no socket. */
  constructor(nodes: readonly SocketNode[], terms: SocketTerms) {
    this.nodes = nodes
    this.terms = terms
  }

  // Clients

  /** Resolves with the client's own id of the subscription, or with why there is none. */
  subscribe(request: RpcRequest, subscriber: Subscriber, { afterAnswer }: ExchangeContext): Promise<Outcome> {
    if (this.nodes.length === 0) return Promise.resolve(subscriptionRefusals.none)
    const client = this.clientOf(subscriber)
    const { maxSubscriptions } = subscriber.settings
    if (client.listeners.size >= maxSubscriptions) return Promise.resolve(subscriptionRefusals.tooMany(maxSubscriptions))
    const feed = this.feedOf(request)
    if (feed === undefined) return Promise.resolve(failures['no-room'].refusal)
    return new Promise((resolve) => {
      const listener = new Listener(client, feed, this.terms.spec.readTimeoutMs, resolve)
      afterAnswer.push(() => listener.told())
      feed.join(listener)
      this.connect()
    })
  }

  /** Answers as nodes do: true, or false where the client has no such subscription. */
  unsubscribe(request: RpcRequest, subscriber: Subscriber): Outcome {
    const id = namedSubscription(request)
    if (id === undefined) return subscriptionRefusals.badId
    const listener = this.clients.get(subscriber)?.find(id)
    if (listener?.feed.subscription.unsubscribeMethod !== request.method) return unsubscribed.unknown
    listener.feed.leave(listener)
    return unsubscribed.known
  }

  /** From now on these are the nodes. Subscriptions stay; where the socket's node is gone they move. */
  use(nodes: readonly SocketNode[], terms: SocketTerms): void {
    this.nodes = nodes
    this.terms = terms
    this.turn = this.failures = this.unreached = 0
    if (nodes.length === 0) this.dismissAll('subscriptions are not available any more')
    else if (this.link !== undefined && !nodes.some(({ wsUrl }) => wsUrl === this.link!.node.wsUrl)) this.link.close(GOING_AWAY, '')
  }

  /** A node is up or out: subscriptions leave one that is not to be listened to any more, and wait no longer for one that is well. */
  nodeChanged(position: number): void {
    const standing = this.terms.standingOf(position)
    if (standing === 'up' && this.retry !== undefined) {
      clearTimeout(this.retry)
      this.retry = undefined
      this.connect()
    }
    if (this.link?.node.position !== position || !LEFT.has(standing)) return
    const isBetter = this.nodes.some((node) => this.terms.standingOf(node.position) === 'up')
    if (isBetter || standing === 'wrong-chain') this.link.close(GOING_AWAY, '')
  }

  /** Ends all subscriptions and the sessions that have them. */
  close(reason: string): void {
    this.nodes = []
    this.dismissAll(reason)
  }

  private dismissAll(reason: string): void {
    for (const feed of this.feeds.values()) feed.dismiss(subscriptionRefusals.none, GOING_AWAY, reason)
    clearTimeout(this.retry)
    clearInterval(this.headPoll)
    this.headPoll = undefined
    this.link?.close(GOING_AWAY, '')
  }

  private clientOf(subscriber: Subscriber): Client {
    let client = this.clients.get(subscriber)
    if (client === undefined) {
      const made = (client = new Client(subscriber))
      this.clients.set(subscriber, made)
      subscriber.onClose(() => {
        this.clients.delete(subscriber)
        for (const listener of made.listeners) listener.feed.leave(listener)
      })
    }
    return client
  }

  /** The feed of what a call subscribes to; undefined where there is no room for another one. */
  private feedOf(request: RpcRequest): Feed | undefined {
    const subscription = subscriptionOf(request)
    let feed = this.feeds.get(subscription.key)
    if (feed === undefined) {
      const bytes = bytesHeldBy(subscription)
      if (!mayRemember(bytes, this.terms)) return undefined
      this.terms.backlog.count(bytes)
      this.feeds.set(subscription.key, (feed = new Feed(subscription, this)))
      if (this.channel !== undefined && this.link!.isOpen) feed.attach(this.channel)
      this.headPoll ??= setInterval(() => this.pollHead(), this.terms.limits.headPollMs)
    }
    return feed
  }

  // Feeds

  get chain(): Chain {
    return this.chainOfLink!
  }

  noteHead(number: number): void {
    this.head = number
  }

  feedEnded(feed: Feed): void {
    this.terms.backlog.count(-bytesHeldBy(feed.subscription))
    if (this.feeds.get(feed.subscription.key) === feed) this.feeds.delete(feed.subscription.key)
    if (this.feeds.size > 0) return
    clearTimeout(this.retry)
    clearInterval(this.headPoll)
    this.retry = this.headPoll = undefined
  }

  /** A node that grants none of what others granted is left for the next one. */
  feedRefused(): void {
    if (this.nodes.length > 1 && ![...this.feeds.values()].some((feed) => feed.isGranted)) this.link?.close(GOING_AWAY, '')
  }

  /** Where logs are subscribed to and new heads are not, nothing else tells how far the chain has come. */
  private pollHead(): void {
    const live = new Set([...this.feeds.values()].map((feed) => (feed.isLive ? feed.subscription.replayable : undefined)))
    if (!live.has('logs') || live.has('newHeads')) return
    this.chain.head().then(
      (head) => this.noteHead(head),
      () => undefined, // the last known one is older, and more is asked for after a loss
    )
  }

  // The socket

  /** Connects to the next node, unless a socket stands, comes or has to be waited for. */
  private connect(): void {
    if (this.link !== undefined || this.retry !== undefined || this.nodes.length === 0) return
    const { counts, spec } = this.terms
    const first = this.turn % this.nodes.length
    const [node] = fitFirst([...this.nodes.slice(first), ...this.nodes.slice(0, first)], (position) => this.terms.standingOf(position))
    if (node === undefined) return this.wait(failures['no-healthy-node'].refusal)
    const options = { maxMessageBytes: spec.maxAnswerBytes, isWanted: () => this.feeds.size > 0 }
    this.link = new Link(node, this, this.terms, counts.sockets.subscriptions, options)
  }

  linkOpened(link: Link): void {
    this.openedAt = this.terms.monotonicMs()
    this.unreached = 0
    this.channel = new Channel(link, this.terms)
    this.chainOfLink = new Chain(link, this.terms)
    for (const feed of this.feeds.values()) feed.attach(this.channel)
  }

  linkNotified(_link: Link, notification: Reply): void {
    this.channel?.notified(notification)
  }

  linkLost(link: Link): void {
    const { limits, log, monotonicMs, spec } = this.terms
    const wasSteady = link.wasOpen && monotonicMs() - this.openedAt >= limits.steadyMs
    this.link = this.channel = undefined
    this.turn++
    this.failures = wasSteady ? 0 : this.failures + 1
    for (const feed of this.feeds.values()) feed.detach()
    if (!link.wasOpen && ++this.unreached % Math.max(1, this.nodes.length) === 0) {
      for (const feed of this.feeds.values()) feed.refuseWaiting(link.lostBecause.refusal)
    }
    if (this.feeds.size === 0) return
    log.warn({ upstream: spec.id, node: link.node.position, subscriptions: this.feeds.size }, 'the socket of the subscriptions is lost')
    this.connectIn(this.failures < this.nodes.length ? 0 : backoffMs(this.failures - this.nodes.length + 1, limits))
  }

  /** No node is to be listened to now. Who waits for a first event is told; who had some waits for a node. */
  private wait(outcome: Outcome): void {
    for (const feed of this.feeds.values()) feed.refuseWaiting(outcome)
    if (this.feeds.size > 0) this.connectIn(this.terms.limits.maxBackoffMs)
  }

  private connectIn(waitMs: number): void {
    this.retry = setTimeout(() => {
      this.retry = undefined
      this.connect()
    }, waitMs)
  }
}
