/**
 * The few sockets to one node that carry the calls of all clients. Opened by the first call that wants one, which itself
 * does not wait: until a socket stands, calls go over HTTP.
 */
import { backoffMs } from './backoff.ts'
import { Link } from './link.ts'
import type { LinkOwner, SocketTerms } from './link.ts'
import type { SocketNode } from './socket-node.ts'

export class CallSockets implements LinkOwner {
  readonly node: SocketNode
  private readonly terms: SocketTerms
  private links: Link[] = []
  /** Sockets in a row that could not be opened, or were lost soon. */
  private failures = 0
  private retryAt = 0
  private openedAt = 0
  private whenTried: ((isOpen: boolean) => void)[] = []
  private isRetired = false

  /** Opens no socket. */
  constructor(node: SocketNode, terms: SocketTerms) {
    this.node = node
    this.terms = terms
  }

  /** The socket for the next call: the first that is not crowded, so that calls share system calls. Undefined while none stands. */
  pick(): Link | undefined {
    const { limits, monotonicMs } = this.terms
    let least: Link | undefined
    for (const link of this.links) {
      if (!link.isOpen || !link.keepsUp) continue
      if (link.callsInFlight < limits.crowdedCalls) return link
      if (least === undefined || link.callsInFlight < least.callsInFlight) least = link
    }
    if (this.links.length < limits.callSockets && monotonicMs() >= this.retryAt) this.openAnother()
    return least
  }

  /** Whether a socket stands, or can be opened now. */
  reach(): Promise<boolean> {
    if (this.links.some((link) => link.isOpen)) return Promise.resolve(true)
    return new Promise((resolve) => {
      this.whenTried.push(resolve)
      this.openAnother()
    })
  }

  /** Closes each socket once the calls on it have ended. */
  retire(): void {
    this.isRetired = true
    for (const link of this.links) link.drain()
    this.links = []
  }

  /** Closes all sockets; calls on them fail. */
  close(code: number, reason: string): void {
    this.isRetired = true
    for (const link of this.links) link.close(code, reason)
  }

  linkOpened(): void {
    this.openedAt = this.terms.monotonicMs()
    this.tried(true)
  }

  linkLost(link: Link): void {
    this.links = this.links.filter((other) => other !== link)
    const now = this.terms.monotonicMs()
    const wasSteady = link.wasOpen && now - this.openedAt >= this.terms.limits.steadyMs
    this.failures = wasSteady ? 0 : this.failures + 1
    this.retryAt = wasSteady ? now : now + backoffMs(this.failures, this.terms.limits)
    if (!link.wasOpen) this.tried(false)
  }

  /** A node has nothing to tell where nobody has subscribed. */
  linkNotified(): void {
    this.terms.counts.stray.value++
  }

  private openAnother(): void {
    const isConnecting = this.links.some((link) => !link.wasOpen)
    if (isConnecting) return
    const { counts, limits, spec } = this.terms
    if (this.isRetired || this.links.length >= limits.callSockets) return this.tried(false)
    this.links.push(new Link(this.node, this, this.terms, counts.sockets.calls, { maxMessageBytes: spec.maxAnswerBytes, isWanted: () => false }))
  }

  private tried(isOpen: boolean): void {
    const waiting = this.whenTried
    this.whenTried = []
    for (const resolve of waiting) resolve(isOpen)
  }
}
