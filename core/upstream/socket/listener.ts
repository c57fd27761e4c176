/** One client's subscriptions, each under an id of its own. */
import { randomBytes, randomInt } from 'node:crypto'
import { failures } from '../failures.ts'
import { Mailbox } from './mailbox.ts'
import type { Wire } from '../../jsonrpc/wire.ts'
import type { Notification, Subscriber } from '../../pipeline/ports.ts'
import type { Outcome } from '../../plugin/outcome.ts'
import type { Feed } from './feed.ts'

const ID_BYTES = 16
/** The widest that randomInt draws; a double holds it exactly. */
const MAX_NUMBER = 2 ** 48 - 1

/** A client with subscriptions. */
export class Client {
  readonly subscriber: Subscriber
  /** Those that it has, and those that it waits for. */
  readonly listeners = new Set<Listener>()

  constructor(subscriber: Subscriber) {
    this.subscriber = subscriber
  }

  /** The subscription of this id, as JSON text. Another client's is never found. */
  find(id: Wire): Listener | undefined {
    for (const listener of this.listeners) if (listener.id === id) return listener
    return undefined
  }
}

/** A client's share of a feed. */
export class Listener {
  readonly feed: Feed
  /** The client's id as JSON text; '' until the subscription is granted. */
  id: Wire = ''
  private readonly client: Client
  private readonly resolve: (outcome: Outcome) => void
  private readonly timer: NodeJS.Timeout
  private readonly mailbox: Mailbox

  /** `resolve` gets the answer to the subscribe call; the first one given counts. */
  constructor(client: Client, feed: Feed, timeoutMs: number, resolve: (outcome: Outcome) => void) {
    this.client = client
    this.feed = feed
    this.resolve = resolve
    this.mailbox = new Mailbox(client.subscriber)
    this.timer = setTimeout(() => {
      this.refused(failures['read-timeout'].refusal)
      feed.leave(this)
    }, timeoutMs)
    client.listeners.add(this)
  }

  /** The subscription is granted, under an id of the same JSON type as the node's that nobody can guess. */
  granted(nodeId: Wire): void {
    clearTimeout(this.timer)
    this.id = nodeId.startsWith('"') ? `"0x${randomBytes(ID_BYTES).toString('hex')}"` : String(randomInt(MAX_NUMBER))
    this.resolve({ kind: 'result', payload: this.id })
  }

  refused(outcome: Outcome): void {
    this.resolve(outcome)
  }

  /** It is over. */
  left(): void {
    clearTimeout(this.timer)
    this.client.listeners.delete(this)
    this.mailbox.shut()
    this.resolve(failures['client-gone'].refusal)
  }

  /** The client has been told its id. */
  told(): void {
    this.mailbox.told()
  }

  push(notification: Notification): void {
    this.mailbox.push(notification)
  }

  /** Ends the client's session. */
  close(code: number, reason: string): void {
    this.client.subscriber.close(code, reason)
  }
}
