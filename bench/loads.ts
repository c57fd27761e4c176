/** Loads that scenarios share. Each connection has a key of its own. */
import { NETWORK, keyOf } from './configuration.ts'
import type { Side } from './cost.ts'
import type { CallText, Request } from './load/requests.ts'

const SMALL: CallText = { method: 'eth_blockNumber', params: '[]' }
const CONNECTIONS = 32

function requests(count: number, calls: readonly CallText[], isBatch: boolean): Request[] {
  return Array.from({ length: count }, (_, i) => ({ path: `/${NETWORK}`, key: keyOf(i), calls, isBatch, results: calls.length }))
}

/** Small calls, one at a time on each of 32 connections. */
export const singles: Side['load'] = { wire: 'http', connections: CONNECTIONS, inFlight: 1, requests: requests(CONNECTIONS, [SMALL], false) }
