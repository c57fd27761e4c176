/** Loads that scenarios share. */
import { BIG_METHOD } from './node.ts'
import { NETWORK, keyOf } from './configuration.ts'
import type { Side } from './cost.ts'
import type { CallText, Request } from './load/requests.ts'

/** What a side is asked, wherever it listens. */
export type SideLoad = Side['load']

const SMALL: CallText = { method: 'eth_blockNumber', params: '[]' }
const CONNECTIONS = 32
const BATCH = 100

/** One request with these calls from each of so many clients. */
function requests(count: number, calls: readonly CallText[], isBatch = false): Request[] {
  return Array.from({ length: count }, (_, i) => ({ path: `/${NETWORK}`, key: keyOf(i), calls, isBatch, results: calls.length }))
}

/** Small calls, one at a time on each of 32 connections, by 32 consumers. */
const singles: SideLoad = { wire: 'http', connections: CONNECTIONS, inFlight: 1, requests: requests(CONNECTIONS, [SMALL]) }
const hundred = Array.from({ length: BATCH }, () => SMALL)

export const loads = {
  singles,
  /** The same made by autocannon. */
  autocannon: { ...singles, wire: 'autocannon' },
  /** Small calls, one or eight at a time on each of 32 WebSockets. */
  'ws-one': { ...singles, wire: 'ws' },
  'ws-eight': { ...singles, wire: 'ws', inFlight: 8 },
  /** Batches of 100 small calls on each of 8 connections. */
  batches: { ...singles, connections: 8, requests: requests(CONNECTIONS, hundred, true) },
  /** What never changes, so that a cache may answer it. */
  cacheable: { ...singles, requests: requests(CONNECTIONS, [{ method: 'eth_chainId', params: '[]' }]) },
  /** Answers of 10 MB, one at a time. */
  big: { ...singles, connections: 1, requests: requests(1, [{ method: BIG_METHOD, params: '["0x1312d00",{"tracer":"callTracer"}]' }]) },
  /** What a public endpoint is asked; one in a hundred is refused. */
  mix: { ...singles, requests: mix(true) },
  /** The same without what is refused, for servers that refuse nothing. */
  'mix-allowed': { ...singles, requests: mix(false) },
} satisfies Record<string, SideLoad>

/** Small calls that are spread over these paths and keys, in turn. */
export function spreadOver(paths: readonly string[], keys: readonly string[]): SideLoad {
  const count = Math.max(paths.length, keys.length)
  const spread = Array.from({ length: count }, (_, i) => ({
    path: paths[i % paths.length]!,
    key: keys[i % keys.length]!,
    calls: [SMALL],
    isBatch: false,
    results: 1,
  }))
  return { ...singles, requests: spread }
}

/** A thousand frames, always the same: shares in tenths of a percent. */
function mix(withRefused: boolean): Request[] {
  const word = 'ab'.repeat(32)
  const address = 'c0'.repeat(20)
  const call = { method: 'eth_call', params: `[{"to":"0x${address}","data":"0x70a08231${word}"},"latest"]` }
  const balance = { method: 'eth_getBalance', params: `["0x${address}","latest"]` }
  const random = seeded()
  const frames: (readonly CallText[])[] = [
    ...times(350, () => [call]),
    ...times(150, () => [balance]),
    ...times(150, () => [SMALL]),
    ...times(100, () => [{ method: 'eth_getBlockByNumber', params: '["0x1312d00",false]' }]),
    ...times(100, () => [{ method: 'eth_getTransactionReceipt', params: `["0x${word}"]` }]),
    ...times(50, () => [{ method: 'eth_getLogs', params: `[{"fromBlock":"0x1312c00","toBlock":"0x1312d00","address":"0x${address}"}]` }]),
    ...times(50, () => [{ method: 'eth_sendRawTransaction', params: `["0x02f8${word.repeat(4)}"]` }]),
    ...times(50, () => times(10 + Math.floor(91 * random()), (i) => [call, balance, SMALL][i % 3]!)),
    ...(withRefused ? times(10, () => [{ method: 'debug_setHead', params: '["0x0"]' }]) : []),
  ]
  for (let i = frames.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    ;[frames[i], frames[j]] = [frames[j]!, frames[i]!]
  }
  return frames.map((calls, i) => ({
    path: `/${NETWORK}`,
    key: keyOf(i % CONNECTIONS),
    calls,
    isBatch: calls.length > 1,
    results: calls[0]!.method === 'debug_setHead' ? 0 : calls.length,
  }))
}

function times<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i))
}

/** Numbers from 0 to 1, the same in every run (a linear congruential generator with the numbers of Numerical Recipes). */
function seeded(): () => number {
  let state = 1
  return () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32
}
