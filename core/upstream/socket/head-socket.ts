/**
 * New heads as a node pushes them, on a socket of their own, for the gateway itself. A node that cannot be reached or does not
 * grant the subscription is tried again later: its head is asked for at an interval as well.
 */
import { RpcRequest } from '../../jsonrpc/frame.ts'
import { backoffMs } from './backoff.ts'
import { quantityOf } from './chain.ts'
import { Channel } from './channel.ts'
import { Link } from './link.ts'
import { readEvent } from './read-event.ts'
import { subscriptionOf } from './subscription.ts'
import type { Reply } from '../../jsonrpc/reply.ts'
import type { Wire } from '../../jsonrpc/wire.ts'
import type { Sink } from './channel.ts'
import type { LinkOwner, SocketTerms } from './link.ts'
import type { SocketNode } from './socket-node.ts'

const NEW_HEADS = subscriptionOf(new RpcRequest(undefined, 'eth_subscribe', '"eth_subscribe"', '["newHeads"]'))

export class HeadSocket implements LinkOwner, Sink {
  private readonly node: SocketNode
  private readonly terms: SocketTerms
  private readonly told: (head: number) => void
  private link: Link | undefined
  private channel: Channel | undefined
  private retry: NodeJS.Timeout | undefined
  /** Times in a row that it did not come to a first head. */
  private failures = 0
  private isStopped = false

  /** Connects at once. `told` hears the number of each new head. */
  constructor(node: SocketNode, terms: SocketTerms, told: (head: number) => void) {
    this.node = node
    this.terms = terms
    this.told = told
    this.connect()
  }

  stop(): void {
    this.isStopped = true
    clearTimeout(this.retry)
    this.link?.close(1000, '')
  }

  linkOpened(link: Link): void {
    this.channel = new Channel(link, this.terms)
    const dueAt = this.terms.monotonicMs() + this.terms.spec.readTimeoutMs
    this.channel.subscribe(NEW_HEADS, this, dueAt, (_answer, id) => {
      if (id === undefined) link.close(1000, '')
    })
  }

  linkNotified(_link: Link, notification: Reply): void {
    this.channel?.notified(notification)
  }

  linkLost(): void {
    this.link = this.channel = undefined
    if (this.isStopped) return
    this.retry = setTimeout(() => this.connect(), backoffMs(++this.failures, this.terms.limits)).unref()
  }

  notified(_method: Wire, event: Wire): void {
    const head = quantityOf(readEvent(event)['number'])
    if (head === undefined) return
    this.failures = 0
    this.told(head)
  }

  private connect(): void {
    const { counts, spec } = this.terms
    this.link = new Link(this.node, this, this.terms, counts.sockets.heads, { maxMessageBytes: spec.maxAnswerBytes, isWanted: () => true })
  }
}
