/**
 * A whole gateway in front of a node that spoils every second answer, in every way of the table: whoever calls has the answer
 * to that very call, or a clean error, before the total time is over; and in the end nothing is held.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { failures } from '../../core/upstream/failures.ts'
import { basic, basicFiles } from '../support/gateway.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { metric } from '../support/metric.ts'
import { delays, leftovers, misdeeds } from '../support/misdeeds.ts'
import { answer, http, startScriptedNode } from '../support/scripted-node.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import type { NodeRequest, Script, ScriptedNode } from '../support/scripted-node.ts'

/** What is occupied is to be what is in use: garbage beside the heap may lie for as long as V8 likes. */
const COLLECT_EVERY_MS = 250
const COLLECTING = ['--expose-gc', '--import', `data:text/javascript,setInterval(gc, ${COLLECT_EVERY_MS}).unref()`]

const CALLERS = 20

let node: ScriptedNode
let gateway: GatewayProcess

beforeAll(async () => {
  node = await startScriptedNode()
  const upstreams = [
    {
      id: 'eth',
      nodes: [{ url: node.url }],
      timeout: { connect: '1s', read: '2s', total: '3s' },
      retries: 0,
      max_answer: 1_048_576,
      checks: { passive: { failures: 1000, ratio: 1 } },
    },
  ]
  const config = basic({ nodeUrl: node.url, plugins: { 'limit-cu': undefined, 'access-log': undefined }, top: { upstreams, log: { level: 'warn' } } })
  gateway = await startGatewayProcess(
    { ...config, log: { level: 'info' } },
    { files: basicFiles, command: ['--max-old-space-size=128', ...COLLECTING, 'core/main.ts'] },
  )
})
afterAll(async () => {
  await gateway.stop()
  await node.stop()
})

interface Reply {
  readonly id: number
  readonly result?: unknown
  readonly error?: { readonly code: number; readonly data?: { readonly reason: string } }
}

/** What became of the call of this number: `own`, the reason of a clean error, or what is neither. */
async function call(number: number): Promise<string> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: number, method: 'eth_call', params: [number] })
  const headers = { apikey: 'paid-key', 'content-type': 'application/json' }
  const response = await fetch(`${gateway.url}/eth`, { method: 'POST', headers, body })
  const text = await response.text()
  const { id, result, error } = JSON.parse(text) as Reply
  if (id !== number) return text
  if (error === undefined) return JSON.stringify(result) === `{"method":"eth_call","params":[${number}]}` ? 'own' : text
  return error.data?.reason ?? text
}

/** The number of the call that a request carries. */
function numberOf(request: NodeRequest): number {
  return Number(/\d+/.exec(request.calls[0]!.params!))
}

/** What becomes of calls when the node does this with those of odd numbers. */
async function outcomes(script: Script): Promise<{ all: readonly string[]; odd: Set<string>; even: Set<string> }> {
  node.script((request, socket, self) => (numberOf(request) % 2 === 1 ? script : answer)(request, socket, self))
  const all = await Promise.all(Array.from({ length: CALLERS }, (_, number) => call(number)))
  const of = (rest: number): Set<string> => new Set(all.filter((_, number) => number % 2 === rest))
  return { all, odd: of(1), even: of(0) }
}

test('the table has more than forty rows', () => {
  expect(new Set([...misdeeds, ...delays, ...leftovers].map(([what]) => what)).size).toBeGreaterThan(40)
})

test.each(misdeeds)('%s', async (_what, script, outcome) => {
  const { odd, even } = await outcomes(script)
  expect(even).toEqual(new Set(['own']))
  expect(odd).toEqual(new Set([outcome.split(' ')[1]]))
})

test('silence, and what drips, in all ways at once', async () => {
  const way = (number: number): (typeof delays)[number] => delays[((number - 1) / 2) % delays.length]!
  const { all } = await outcomes((...asked) => way(numberOf(asked[0]))[1](...asked))
  expect(all).toEqual(Array.from({ length: CALLERS }, (_, number) => (number % 2 === 0 ? 'own' : way(number)[2].split(' ')[1])))
})

test.each(leftovers)('an answer, and on its connection %s', async (_what, script) => {
  // Whoever is sent on that connection next may lose it.
  const allowed = new Set(['own', ...Object.keys(failures)])
  for (let turn = 0; turn < 3; turn++) {
    const { odd, even } = await outcomes(script)
    expect([...odd, ...even].filter((outcome) => !allowed.has(outcome))).toEqual([])
    expect(odd).toContain('own')
  }
})

test('a node that asks for a pause is left alone, and the calls are refused at once', async () => {
  node.script((_request, socket) => void socket.write(http('slow down', 429, { 'retry-after': 1 })))
  expect(await call(1)).toBe('http-status')
  const before = node.requests.length
  node.script(undefined)
  expect(await call(2)).toBe('no-healthy-node')
  expect(node.requests).toHaveLength(before)
  await expect.poll(() => call(3), { timeout: 5000 }).toBe('own')
})

test('nothing is held in the end, and memory does not grow with the number of rounds', async () => {
  const occupied = async (): Promise<number> =>
    (await metric(gateway.adminUrl, 'nodejs_heap_size_used_bytes')) + (await metric(gateway.adminUrl, 'nodejs_external_memory_bytes'))
  const round = async (): Promise<number> => {
    for (const [, script] of misdeeds) await outcomes(script)
    node.script(undefined)
    for (let number = 0; number < 200; number++) await call(number)
    await delay(4 * COLLECT_EVERY_MS)
    return occupied()
  }
  const sizes = [await round(), await round(), await round()]
  const [first, ...later] = sizes
  expect(Math.min(...later), `bytes after each round: ${sizes.join()}`).toBeLessThan(first! * 1.2 + 8 * 1024 * 1024)
  await expect.poll(() => metric(gateway.adminUrl, 'tollgate_held_bytes')).toBe(0)
  await expect.poll(() => metric(gateway.adminUrl, 'tollgate_upstream_in_flight')).toBe(0)
  await expect.poll(() => metric(gateway.adminUrl, 'tollgate_frames_in_flight')).toBe(0)
})
