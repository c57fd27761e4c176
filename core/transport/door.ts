/** What a transport needs of the gateway: where a session belongs, and the pipeline that serves it. */
import type { Pipeline } from '../pipeline/frame-run.ts'
import type { CounterHandle } from '../plugin/metrics.ts'
import type { Destination, LiveSession, Origin } from '../pipeline/session.ts'

export interface Door {
  readonly pipeline: Pipeline
  /** Makes the session for what has arrived; undefined when no route takes it. */
  enter(origin: Origin): LiveSession | undefined
  /** Where a session that is already open belongs by now. */
  find(host: string, path: string): Destination | undefined
  /** The wall clock in epoch milliseconds. */
  now(): number
  /** True once the gateway is stopping: answers then ask the client to close the connection. */
  isDraining(): boolean
  /** What all WebSockets together are counted in. */
  readonly sockets: SocketCounts
  /** Counts a request that was refused before it became a session. `why` is a closed word. */
  refusedAtEdge(why: string): void
}

/** Counters of all WebSockets together. */
interface SocketCounts {
  readonly messagesIn: CounterHandle
  readonly messagesOut: CounterHandle
  readonly pushesSent: CounterHandle
  /** Dropped by a plugin, for want of budget, or for a slow reader. */
  readonly pushesDropped: CounterHandle
  /** Sockets closed because their client read too slowly. */
  readonly slowConsumers: CounterHandle
}
