/** Notifications for one client, held back until the client has been told the id that they carry. */
import { documentBytes } from '../../jsonrpc/encode.ts'
import type { Notification, Subscriber } from '../../pipeline/ports.ts'

const TRY_AGAIN_LATER = 1013

export class Mailbox {
  private readonly subscriber: Subscriber
  /** Undefined once the client knows its id. */
  private held: Notification[] | undefined = []
  private heldBytes = 0

  constructor(subscriber: Subscriber) {
    this.subscriber = subscriber
  }

  push(notification: Notification): void {
    if (this.held === undefined) return this.subscriber.push(notification)
    this.held.push(notification)
    this.heldBytes += documentBytes(notification.message)
    if (this.heldBytes > this.subscriber.settings.maxBufferedBytes) this.subscriber.close(TRY_AGAIN_LATER, 'notifications wait too long for an answer')
  }

  /** The answer that tells the client its id is on its way. */
  told(): void {
    const held = this.held ?? []
    this.held = undefined
    for (const notification of held) this.subscriber.push(notification)
  }

  /** What is held is not sent any more. */
  drop(): void {
    this.held = []
    this.heldBytes = 0
  }
}
