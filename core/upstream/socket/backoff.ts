/** How long to wait before a node is tried again: twice as long each time, up to a bound, and never for all at once. */
import type { SocketLimits } from './socket-limits.ts'

/** `failures` in a row, at least 1. Half of the wait is left to chance, so that gateways do not come back together. */
export function backoffMs(failures: number, { backoffMs, maxBackoffMs }: SocketLimits): number {
  return Math.min(maxBackoffMs, backoffMs * 2 ** (failures - 1)) * (0.5 + Math.random() / 2)
}
