/** Subscription notifications: read as a node sends them, written as a client gets them. The event in between is passed on as it came. */
import { membersOf } from './source-text.ts'
import type { Document } from '../../jsonrpc/encode.ts'
import type { Reply } from '../../jsonrpc/reply.ts'
import type { Wire } from '../../jsonrpc/wire.ts'

/** Events over this size go to all clients as the same bytes instead of as a copy each. */
const SHARE_OVER_BYTES = 16_384

/** What a node tells its subscriber. */
export interface NodeNotification {
  /** Source text of the method, such as `"eth_subscription"`. */
  readonly method: Wire
  /** Source text of the node's id of the subscription. */
  readonly subscription: Wire
  /** Source text of the event. */
  readonly event: Wire
}

/** Reads a notification; undefined for what is none. */
export function readNotification({ method, params }: Reply): NodeNotification | undefined {
  if (method === undefined || params === undefined) return undefined
  const members = membersOf(params)
  const subscription = members?.get('subscription')
  const event = members?.get('result')
  return subscription === undefined || event === undefined ? undefined : { method, subscription, event }
}

/** Writes an event for many clients: all but their own subscription ids. */
export function notificationWriter(method: Wire, event: Wire): (subscription: Wire) => Document {
  const head = `{"jsonrpc":"2.0","method":${method},"params":{"subscription":`
  if (event.length <= SHARE_OVER_BYTES) {
    const tail = `,"result":${event}}}`
    return (subscription) => head + subscription + tail
  }
  const bytes = Buffer.from(event, 'latin1')
  return (subscription) => [`${head}${subscription},"result":`, bytes, '}}']
}
