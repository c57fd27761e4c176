/** How calls that subscribe or unsubscribe are refused by the gateway itself, and how it answers in a node's place. */
import { refuse } from '../../plugin/outcome.ts'
import { MAX_BYTES, MAX_VALUES } from './subscription.ts'
import type { Refusal, Result } from '../../plugin/outcome.ts'

export const subscriptionRefusals = {
  none: refuse('methodNotAllowed', 'no-subscriptions', { message: 'Subscriptions are not available on this network' }),
  needsWebSocket: refuse('methodNotAllowed', 'needs-websocket', { message: 'Subscriptions need a WebSocket connection' }),
  badId: refuse('invalidParams', 'bad-subscription-id', { message: 'Invalid params: the first param must be the id of a subscription' }),
  tooLarge: refuse('invalidParams', 'subscription-too-large', {
    message: `What is subscribed to at once holds at most ${MAX_VALUES} values and ${MAX_BYTES} bytes`,
    limit: MAX_VALUES,
  }),
  tooMany: (limit: number): Refusal =>
    refuse('limited', 'too-many-subscriptions', { message: `A connection may have at most ${limit} subscriptions at once`, limit }),
}

/** What a node answers to an unsubscribe call. */
export const unsubscribed: Readonly<Record<'known' | 'unknown', Result>> = {
  known: { kind: 'result', payload: 'true' },
  unknown: { kind: 'result', payload: 'false' },
}
