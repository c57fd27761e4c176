/** What a transport needs of the gateway: where a session belongs, and the pipeline that serves it. */
import type { Pipeline } from '../pipeline/frame-run.ts'
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
  /** Counts a request that was refused before it became a session. `why` is a closed word. */
  refusedAtEdge(why: string): void
}
