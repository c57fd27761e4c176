/**
 * A socket to a node for one client alone: calls and subscriptions pass as they are, but for the ids of calls, and what
 * closes one side closes the other. For `mode: dedicated`, and for sessions whose requests to a node differ from all others'.
 */
import { failures } from '../failures.ts'
import { Channel } from './channel.ts'
import { codeForClient, codeForNode } from './close-codes.ts'
import { Link } from './link.ts'
import { Mailbox } from './mailbox.ts'
import { mayRemember } from './may-remember.ts'
import { notificationWriter } from './notification.ts'
import { SocketAttempt } from './socket-attempt.ts'
import { subscriptionRefusals } from './subscription-refusals.ts'
import { bytesHeldBy, namedSubscription, subscriptionOf, subscriptionVerb } from './subscription.ts'
import type { Reply } from '../../jsonrpc/reply.ts'
import type { RpcRequest } from '../../jsonrpc/frame.ts'
import type { Wire } from '../../jsonrpc/wire.ts'
import type { ExchangeContext, Subscriber } from '../../pipeline/ports.ts'
import type { Outcome } from '../../plugin/outcome.ts'
import type { Answer, Failure } from '../failures.ts'
import type { AttemptTerms } from '../http-attempt.ts'
import type { Sink } from './channel.ts'
import type { LinkOwner, SocketTerms } from './link.ts'
import type { SocketNode } from './socket-node.ts'
import type { Subscription } from './subscription.ts'

const GOING_AWAY = 1001

/** A subscription at the node that is one client's own. */
class OwnSubscription implements Sink {
  readonly mailbox: Mailbox
  private readonly subscription: Subscription
  private readonly subscriber: Subscriber
  /** The node's id, which is the client's too; '' until it is granted. */
  id: Wire = ''

  constructor(subscription: Subscription, subscriber: Subscriber) {
    this.subscription = subscription
    this.subscriber = subscriber
    this.mailbox = new Mailbox(subscriber)
    subscriber.backlog.count(bytesHeldBy(subscription))
  }

  /** Nothing of it is held any more. */
  end(): void {
    this.mailbox.shut()
    this.subscriber.backlog.count(-bytesHeldBy(this.subscription))
  }

  notified(method: Wire, event: Wire): void {
    const { method: subscribeMethod, topic } = this.subscription
    this.mailbox.push({ subscribeMethod, topic, message: notificationWriter(method, event)(this.id) })
  }
}

/** What dedicated sockets need beside what all sockets do. */
export interface DedicatedTerms extends SocketTerms {
  readonly attempts: AttemptTerms
}

export class DedicatedSocket implements LinkOwner {
  private readonly subscriber: Subscriber
  private readonly terms: DedicatedTerms
  private readonly nodes: readonly SocketNode[]
  private readonly over: () => void
  private link: Link | undefined
  private channel: Channel | undefined
  private opening: Promise<Failure | undefined> | undefined
  private tried: ((failure: Failure | undefined) => void) | undefined
  private readonly subscriptions = new Set<OwnSubscription>()
  private isOver = false

  /** `nodes` in the order in which they are tried. `over` runs once, when the client or the node has ended it. */
  constructor(subscriber: Subscriber, nodes: readonly SocketNode[], terms: DedicatedTerms, over: () => void) {
    this.subscriber = subscriber
    this.nodes = nodes
    this.terms = terms
    this.over = over
    subscriber.onClose((code, reason) => {
      this.end()
      this.link?.close(codeForNode(code), reason)
    })
  }

  /** The node that it leads to; undefined while it leads nowhere. */
  get node(): SocketNode | undefined {
    return this.link?.node
  }

  async exchange(requests: readonly RpcRequest[], context: ExchangeContext): Promise<readonly Outcome[]> {
    const failure = (await this.open()) ?? (this.link?.isOpen === true ? undefined : failures['connection-lost'])
    if (failure !== undefined) return requests.map(() => this.toOutcome(failure))
    const outcomes: Outcome[] = Array.from({ length: requests.length })
    const subscribing = requests.map(async (request, at) => {
      if (subscriptionVerb(request.method) === 'subscribe') outcomes[at] = await this.subscribe(request, context)
    })
    const others = requests.filter(({ method }) => subscriptionVerb(method) !== 'subscribe')
    const answers = others.length === 0 ? [] : await this.ask(others, context)
    await Promise.all(subscribing)
    for (const [at, request] of requests.entries()) outcomes[at] ??= this.toOutcome(answers[others.indexOf(request)]!)
    return outcomes
  }

  /** Ends the client's session, as a node that goes away would. */
  close(reason: string): void {
    this.subscriber.close(GOING_AWAY, reason)
  }

  linkOpened(link: Link): void {
    this.channel = new Channel(link, this.terms)
    this.tried?.(undefined)
  }

  linkNotified(_link: Link, notification: Reply): void {
    this.channel!.notified(notification)
  }

  linkLost(link: Link, code: number, reason: string): void {
    this.tried?.(link.lostBecause)
    if (!link.wasOpen || this.isOver) return
    this.end()
    this.subscriber.close(codeForClient(code), reason)
  }

  private end(): void {
    if (this.isOver) return
    this.isOver = true
    for (const own of this.subscriptions) this.release(own)
    this.over()
  }

  /** Resolves once calls can be sent, or with why they cannot. */
  private open(): Promise<Failure | undefined> {
    if (this.isOver) return Promise.resolve(failures['connection-lost'])
    this.opening ??= this.tryNodes().then((failure) => {
      if (failure !== undefined) this.opening = undefined
      return failure
    })
    return this.opening
  }

  private async tryNodes(): Promise<Failure | undefined> {
    let failure: Failure | undefined = failures['no-node']
    for (const node of this.nodes) {
      if (failure === undefined || this.isOver) break
      failure = await new Promise<Failure | undefined>((resolve) => {
        this.tried = resolve
        this.connect(node)
      })
    }
    this.tried = undefined
    return this.isOver ? failures['client-gone'] : failure
  }

  private connect(node: SocketNode): void {
    const { counts, spec } = this.terms
    const options = { maxMessageBytes: spec.maxAnswerBytes, isWanted: () => true, rewrite: this.subscriber.rewrite }
    try {
      this.link = new Link(node, this, this.terms, counts.sockets.dedicated, options)
    } catch {
      this.tried?.(failures['bad-rewrite'])
    }
  }

  private ask(requests: readonly RpcRequest[], context: ExchangeContext): Promise<readonly Answer[]> {
    const { attempts } = this.terms
    return new Promise<readonly Answer[]>((resolve) => {
      const attempt = new SocketAttempt({ attempted: resolve }, attempts, attempts.monotonicMs() + attempts.spec.totalTimeoutMs)
      const cancel = (): void => {
        attempt.drop()
        resolve(requests.map(() => failures['client-gone']))
      }
      context.running = { cancel }
      attempt.send(this.link!, requests)
    }).then((answers) => {
      context.running = undefined
      for (const [at, request] of requests.entries()) this.noteUnsubscribed(request, answers[at]!)
      return answers
    })
  }

  private subscribe(request: RpcRequest, { afterAnswer }: ExchangeContext): Promise<Outcome> {
    const { maxSubscriptions } = this.subscriber.settings
    if (this.subscriptions.size >= maxSubscriptions) return Promise.resolve(subscriptionRefusals.tooMany(maxSubscriptions))
    // Nobody shares it, so it goes as the client wrote it.
    const subscription = { ...subscriptionOf(request), paramsText: request.paramsText }
    if (!mayRemember(bytesHeldBy(subscription), this.terms)) return Promise.resolve(failures['no-room'].refusal)
    const own = new OwnSubscription(subscription, this.subscriber)
    this.subscriptions.add(own)
    afterAnswer.push(() => own.mailbox.told())
    const dueAt = this.terms.monotonicMs() + this.terms.spec.readTimeoutMs
    return new Promise((resolve) => {
      this.channel!.subscribe(subscription, own, dueAt, (answer, id) => {
        if (id === undefined) this.release(own)
        else if (!this.isOver) this.granted(own, id)
        resolve(this.toOutcome(answer))
      })
    })
  }

  private granted(own: OwnSubscription, id: Wire): void {
    own.id = id
    this.terms.counts.upstreamSubscriptions.value++
    this.terms.counts.clientSubscriptions.value++
  }

  private noteUnsubscribed(request: RpcRequest, answer: Answer): void {
    if (subscriptionVerb(request.method) !== 'unsubscribe' || answer.kind !== 'result' || answer.payload === 'false') return
    const id = namedSubscription(request)
    for (const own of this.subscriptions) if (own.id === id) this.release(own)
  }

  private release(own: OwnSubscription): void {
    if (!this.subscriptions.delete(own)) return
    own.end()
    if (own.id === '') return
    this.channel!.forget(own.id)
    this.terms.counts.upstreamSubscriptions.value--
    this.terms.counts.clientSubscriptions.value--
  }

  private toOutcome(answer: Answer): Outcome {
    if (answer.kind !== 'failure') return answer
    this.terms.attempts.counts.failed(answer.refusal.why)
    return answer.refusal
  }
}
