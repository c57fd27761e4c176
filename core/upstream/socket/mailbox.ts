/** Notifications for one client, held back until the client has been told the id that they carry. */
import { documentBytes } from '../../jsonrpc/encode.ts'
import type { Notification, Subscriber } from '../../pipeline/ports.ts'

const TRY_AGAIN_LATER = 1013

export class Mailbox {
  private readonly subscriber: Subscriber
  private state: 'holding' | 'open' | 'shut' = 'holding'
  private held: Notification[] = []
  private heldBytes = 0

  constructor(subscriber: Subscriber) {
    this.subscriber = subscriber
  }

  push(notification: Notification): void {
    if (this.state === 'open') this.subscriber.push(notification)
    else if (this.state === 'holding') this.hold(notification)
  }

  /** The answer that tells the client its id is on its way. */
  told(): void {
    if (this.state !== 'holding') return
    this.state = 'open'
    for (const notification of this.take()) this.subscriber.push(notification)
  }

  /** Nothing is sent any more. */
  shut(): void {
    this.state = 'shut'
    this.take()
  }

  private hold(notification: Notification): void {
    const { settings, backlog } = this.subscriber
    const bytes = documentBytes(notification.message)
    this.held.push(notification)
    this.heldBytes += bytes
    backlog.count(bytes)
    if (this.heldBytes > settings.maxBufferedBytes || backlog.isOverfull) this.subscriber.close(TRY_AGAIN_LATER, 'notifications wait too long for an answer')
  }

  private take(): readonly Notification[] {
    const { held } = this
    this.subscriber.backlog.count(-this.heldBytes)
    this.held = []
    this.heldBytes = 0
    return held
  }
}
