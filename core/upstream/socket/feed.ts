/**
 * One subscription at a node and the clients that share it. It outlives the socket: lost, it is made again on the next one and
 * what was missed is made up for, so that a client notices nothing but a delay. The last client to leave ends it.
 */
import { jsonWire } from '../../jsonrpc/wire.ts'
import { failures } from '../failures.ts'
import { backoffMs } from './backoff.ts'
import { CatchUp } from './catch-up.ts'
import { MissedHeads } from './missed-heads.ts'
import { MissedLogs } from './missed-logs.ts'
import { notificationWriter } from './notification.ts'
import type { Wire } from '../../jsonrpc/wire.ts'
import type { Outcome } from '../../plugin/outcome.ts'
import type { Answer } from '../failures.ts'
import type { Chain } from './chain.ts'
import type { Channel, Sink } from './channel.ts'
import type { SocketTerms } from './link.ts'
import type { Listener } from './listener.ts'
import type { Missed } from './missed.ts'
import type { Subscription } from './subscription.ts'

/** All feeds together, as one of them sees them. */
export interface FeedOwner {
  readonly terms: SocketTerms
  /** The newest block that is known; undefined while none is. */
  readonly head: number | undefined
  noteHead(number: number): void
  /** What the node says of its chain, over the socket that stands. */
  readonly chain: Chain
  /** A node refused a subscription that others had granted. */
  feedRefused(): void
  /** Nobody is left. */
  feedEnded(feed: Feed): void
}

const INTERNAL_ERROR = 1011
const NOTIFICATION = jsonWire('eth_subscription')

export class Feed implements Sink {
  readonly subscription: Subscription
  private readonly owner: FeedOwner
  private readonly missed: Missed | undefined
  /** Clients that were granted the subscription. */
  private readonly readers = new Set<Listener>()
  /** Clients that wait for it. */
  private readonly waiting = new Set<Listener>()
  private state: 'apart' | 'subscribing' | 'catching-up' | 'live' | 'ended' = 'apart'
  private catchUp: CatchUp | undefined
  private channel: Channel | undefined
  private nodeId: Wire | undefined
  private wasLive = false
  /** Subscribe calls since it was last live. */
  private tries = 0
  /** Nodes in a row that did not grant again what another had granted. */
  private refusals = 0
  /** The newest block that was known when it was last live. */
  private mark: number | undefined
  private timer: NodeJS.Timeout | undefined

  constructor(subscription: Subscription, owner: FeedOwner) {
    this.subscription = subscription
    this.owner = owner
    if (subscription.replayable === 'newHeads') this.missed = new MissedHeads(owner.terms.limits)
    if (subscription.replayable === 'logs') this.missed = new MissedLogs(subscription.filter, owner.terms)
  }

  /** Whether it is subscribed to, at the node of now. */
  get isGranted(): boolean {
    return this.nodeId !== undefined
  }

  get isLive(): boolean {
    return this.state === 'live'
  }

  // Clients

  join(listener: Listener): void {
    if (this.state === 'live') this.admit(listener)
    else this.waiting.add(listener)
  }

  /** Releases a client's share, once. */
  leave(listener: Listener): void {
    if (this.readers.delete(listener)) this.owner.terms.counts.clientSubscriptions.value--
    else if (!this.waiting.delete(listener)) return
    listener.left()
    if (this.isDeserted && this.state !== 'subscribing') this.end()
  }

  /** Tells all who wait, and all whom it can no longer serve; nobody is left. */
  dismiss(outcome: Outcome, code: number, reason: string): void {
    this.refuseWaiting(outcome)
    for (const reader of this.readers) {
      this.leave(reader)
      reader.close(code, reason)
    }
  }

  /** Tells those who wait that it will not be; with nobody else it ends. */
  refuseWaiting(outcome: Outcome): void {
    for (const listener of this.waiting) {
      listener.refused(outcome)
      this.leave(listener)
    }
  }

  private get isDeserted(): boolean {
    return this.readers.size + this.waiting.size === 0
  }

  private admit(listener: Listener): void {
    this.readers.add(listener)
    this.owner.terms.counts.clientSubscriptions.value++
    listener.granted(this.nodeId!)
  }

  private end(): void {
    if (this.state === 'ended') return
    this.state = 'ended'
    clearTimeout(this.timer)
    this.catchUp?.cancel()
    this.missed?.end()
    if (this.nodeId !== undefined) {
      this.channel!.unsubscribe(this.subscription.unsubscribeMethod, this.nodeId)
      this.lose()
    }
    this.owner.feedEnded(this)
  }

  private lose(): void {
    if (this.nodeId !== undefined) this.owner.terms.counts.upstreamSubscriptions.value--
    this.nodeId = undefined
    this.channel = undefined
  }

  // The node

  /** Subscribes on a socket. */
  attach(channel: Channel): void {
    this.channel = channel
    this.state = 'subscribing'
    this.tries++
    this.timer = setTimeout(() => this.unanswered(), this.owner.terms.spec.readTimeoutMs)
    channel.subscribe(this.subscription, this, Infinity, (answer, id) => this.answered(channel, answer, id))
  }

  /** The socket is lost. */
  detach(): void {
    clearTimeout(this.timer)
    if (this.state === 'live') this.mark = this.owner.head
    this.lose()
    this.state = 'apart'
    this.catchUp?.cancel()
    this.catchUp = undefined
    if (this.isDeserted) this.end()
    else if (!this.wasLive && this.tries > this.owner.terms.spec.retries) this.refuseWaiting(failures['connection-lost'].refusal)
  }

  notified(method: Wire, event: Wire): void {
    if (this.state === 'live') return this.pass(event, method)
    if (this.state === 'catching-up') this.catchUp?.hold(event)
  }

  private answered(channel: Channel, answer: Answer, id: Wire | undefined): void {
    if (this.state === 'ended' && id !== undefined) return channel.unsubscribe(this.subscription.unsubscribeMethod, id)
    if (this.channel !== channel || this.state !== 'subscribing') return
    clearTimeout(this.timer)
    if (id === undefined) return this.refused(answer.kind === 'failure' ? answer.refusal : answer)
    this.nodeId = id
    this.owner.terms.counts.upstreamSubscriptions.value++
    if (this.isDeserted) this.end()
    else if (this.wasLive && this.missed !== undefined) this.beginCatchUp(this.missed)
    else this.goLive()
  }

  /** The node does not answer the subscribe call. Should it do so after all, it is told that nobody wants it any more. */
  private unanswered(): void {
    if (this.wasLive) this.channel?.link.cut()
    else {
      this.refuseWaiting(failures['read-timeout'].refusal)
      this.end()
    }
  }

  private refused(outcome: Outcome): void {
    this.state = 'apart'
    const { limits } = this.owner.terms
    this.refuseWaiting(outcome)
    if (this.isDeserted) this.end()
    else if (++this.refusals >= limits.resubscribeAttempts) this.dismiss(outcome, INTERNAL_ERROR, 'a subscription cannot be kept')
    else {
      this.timer = setTimeout(
        () => {
          if (this.channel !== undefined) this.attach(this.channel)
        },
        backoffMs(this.refusals, limits),
      )
      this.owner.feedRefused()
    }
  }

  private goLive(): void {
    this.state = 'live'
    this.tries = this.refusals = 0
    if (this.wasLive) this.owner.terms.counts.resubscribes.value++
    this.wasLive = true
    if (this.missed !== undefined && this.missed.newest === undefined) this.begin(this.missed)
    this.noteHead()
    for (const listener of this.waiting) this.admit(listener)
    this.waiting.clear()
    const held = this.catchUp?.takeHeld() ?? []
    this.catchUp = undefined
    for (const event of held) this.pass(event, NOTIFICATION)
  }

  private beginCatchUp(missed: Missed): void {
    this.state = 'catching-up'
    const catchUp = (this.catchUp = new CatchUp(this.subscription, missed, this.owner.terms))
    const deliver = (event: Wire): void => this.deliver(event, NOTIFICATION)
    void catchUp.run(this.owner.chain, this.mark, deliver).then(() => {
      if (this.catchUp === catchUp && this.state === 'catching-up') this.goLive()
    })
  }

  /** Where the chain stands when the subscription begins: what comes later and does not arrive has been missed. */
  private begin(missed: Missed): void {
    this.owner.chain.head().then(
      (head) => {
        missed.begin(head)
        this.owner.noteHead(head)
      },
      () => undefined, // then nothing is made up for until the first event has told where the chain stands
    )
  }

  // Events

  private pass(event: Wire, method: Wire): void {
    if (this.missed !== undefined && !this.missed.admit(event)) return
    this.noteHead()
    this.deliver(event, method)
  }

  /** New heads tell where the chain stands; logs tell that it has come at least so far. */
  private noteHead(): void {
    const newest = this.missed?.newest
    const isExact = this.subscription.replayable === 'newHeads'
    if (newest !== undefined && (isExact || newest > (this.owner.head ?? -1))) this.owner.noteHead(newest)
  }

  private deliver(event: Wire, method: Wire): void {
    const write = notificationWriter(method, event)
    const { method: subscribeMethod, topic } = this.subscription
    for (const reader of this.readers) reader.push({ subscribeMethod, topic, message: write(reader.id) })
  }
}
