/**
 * What is subscribed to on one socket: which notification of the node belongs to whom. A node may be quicker with its first
 * notifications than with its answer to the call that asked for them: those wait for it.
 */
import { jsonWire } from '../../jsonrpc/wire.ts'
import { failures } from '../failures.ts'
import { readNotification } from './notification.ts'
import { textOf } from './source-text.ts'
import type { Reply } from '../../jsonrpc/reply.ts'
import type { Wire } from '../../jsonrpc/wire.ts'
import type { Answer } from '../failures.ts'
import type { Link, SocketTerms } from './link.ts'
import type { NodeNotification } from './notification.ts'
import type { Subscription } from './subscription.ts'

/** Where a subscription's notifications go. */
export interface Sink {
  notified(method: Wire, event: Wire): void
}

/** Takes what still comes for a subscription while the node is being told that it is over. */
const nobody: Sink = { notified: () => undefined }

/** A node's id of a subscription: a string or a number. */
const ID = /^["\d-]/

export class Channel {
  readonly link: Link
  private readonly terms: SocketTerms
  private readonly sinks = new Map<Wire, Sink>()
  private unansweredSubscribes = 0
  private early: NodeNotification[] = []

  constructor(link: Link, terms: SocketTerms) {
    this.link = link
    this.terms = terms
  }

  /** Subscribes. `done` hears of the answer before `sink` gets the first notification; `id` is the node's, where it has granted one. */
  subscribe(subscription: Subscription, sink: Sink, dueAt: number, done: (answer: Answer, id: Wire | undefined) => void): void {
    this.unansweredSubscribes++
    this.link.ask({ methodText: jsonWire(subscription.method), paramsText: subscription.paramsText }, dueAt, (answer) => {
      this.unansweredSubscribes--
      const id = answer.kind === 'result' ? textOf(answer.payload) : undefined
      if (id === undefined) done(answer, undefined)
      else if (!ID.test(id) || this.sinks.has(id)) done(failures['bad-answer'], undefined)
      else {
        this.sinks.set(id, sink)
        done(answer, id)
        this.handEarly(id)
      }
      if (this.unansweredSubscribes === 0) this.dropEarly()
    })
  }

  /** Ends a subscription, for us at once, for the node when it hears of it. */
  unsubscribe(method: string, id: Wire): void {
    this.sinks.set(id, nobody)
    const dueAt = this.terms.monotonicMs() + this.terms.spec.readTimeoutMs
    this.link.ask({ methodText: jsonWire(method), paramsText: `[${id}]` }, dueAt, () => this.forget(id))
  }

  /** From now on the id stands for nothing. */
  forget(id: Wire): void {
    this.sinks.delete(id)
  }

  notified(reply: Reply): void {
    const notification = readNotification(reply)
    const sink = notification === undefined ? undefined : this.sinks.get(notification.subscription)
    if (sink !== undefined) sink.notified(notification!.method, notification!.event)
    else if (notification !== undefined && this.mayKeep(notification)) {
      this.early.push(notification)
      this.terms.backlog.count(notification.event.length)
    } else this.terms.counts.stray.value++
  }

  private mayKeep({ event }: NodeNotification): boolean {
    return this.unansweredSubscribes > 0 && this.early.length < this.terms.limits.earlyNotifications && this.terms.backlog.fits(event.length)
  }

  private handEarly(id: Wire): void {
    if (this.early.length === 0) return
    const [own, others] = [this.early.filter((each) => each.subscription === id), this.early.filter((each) => each.subscription !== id)]
    this.early = others
    for (const { method, event } of own) {
      this.terms.backlog.count(-event.length)
      this.sinks.get(id)?.notified(method, event)
    }
  }

  private dropEarly(): void {
    this.terms.counts.stray.value += this.early.length
    for (const { event } of this.early) this.terms.backlog.count(-event.length)
    this.early = []
  }
}
