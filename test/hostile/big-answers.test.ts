/**
 * Two hundred answers of 20 MB at once, 4 GB in all, for clients that do not read: no more is held than `max_held` says,
 * what there is no room for is refused in good order, and whoever was served has every byte when it reads at last.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { basic, basicFiles } from '../support/gateway.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { metric } from '../support/metric.ts'
import { startScriptedNode } from '../support/scripted-node.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import type { Script, ScriptedNode } from '../support/scripted-node.ts'

const MIB = 1024 * 1024
const CLIENTS = 200
const ANSWER = Buffer.alloc(20_000_000, 'x')
const MAX_HELD = 64 * MIB
/** A piece that arrives may still be counted before it is known that there is no room for it. */
const PIECE_BYTES = 64 * 1024
/**
 * What the process may occupy beside what it did before: an answer is put together from its pieces, and what is free is not at
 * once the system's again, so each byte that is held costs up to three; and the heap grows with the work.
 */
const MAX_OCCUPIED = 3 * MAX_HELD + 128 * MIB

type Stalled = Awaited<ReturnType<typeof request>>

/** Every call has a connection of its own, and no patience ends. */
const dispatcher = new Agent({ bodyTimeout: 0, headersTimeout: 0 })
let node: ScriptedNode
let gateway: GatewayProcess

beforeAll(async () => {
  node = await startScriptedNode()
  node.script(large)
  const upstreams = [
    { id: 'eth', nodes: [{ url: node.url }], timeout: { connect: '10s', read: '30s', total: '60s' }, retries: 0, coalesce: false, batch: { max: 1 } },
  ]
  const limits = { max_held: MAX_HELD, max_event_loop_lag: '30s' }
  const plugins = { 'access-log': undefined, 'limit-monthly-cu': undefined, 'limit-cu': undefined }
  const config = basic({ nodeUrl: node.url, plugins, top: { upstreams, limits } })
  gateway = await startGatewayProcess({ ...config, log: { level: 'info' } }, { files: basicFiles })
})
afterAll(async () => {
  await dispatcher.destroy()
  await gateway.stop()
  await node.stop()
})

const large: Script = (request, socket) => {
  const head = `{"jsonrpc":"2.0","id":${request.calls[0]!.id},"result":"`
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${head.length + ANSWER.length + 2}\r\n\r\n${head}`)
  socket.write(ANSWER)
  socket.write('"}')
}

/** Asks, and reads no more of the answer than its head. */
function stalled(body: string): Promise<Stalled> {
  return request(`${gateway.url}/eth`, { method: 'POST', headers: { apikey: 'paid-key', 'content-type': 'application/json' }, body, dispatcher })
}

interface Reply {
  readonly result?: string
  readonly error?: { readonly data: { readonly reason: string } }
}

function outcome({ result, error }: Reply): string {
  return result === undefined ? error!.data.reason : `${result.length} bytes`
}

const held = (): Promise<number> => metric(gateway.adminUrl, 'tollgate_held_bytes')
const occupied = (): Promise<number> => metric(gateway.adminUrl, 'process_resident_memory_bytes')

/** What becomes of all clients, and how much was held and occupied at most. */
async function wave(): Promise<{ outcomes: Map<string, number>; mostHeld: number; mostOccupied: number }> {
  let mostHeld = 0
  let mostOccupied = 0
  const look = async (): Promise<void> => {
    mostHeld = Math.max(mostHeld, await held())
    mostOccupied = Math.max(mostOccupied, await occupied())
  }
  const answers: Stalled[] = []
  const asked = Array.from({ length: CLIENTS }, async () => void answers.push(await stalled('{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}')))
  do await Promise.all([look(), delay(20)])
  while (answers.length < CLIENTS)
  await Promise.all(asked)
  const outcomes = new Map<string, number>()
  for (const { statusCode, body } of answers) {
    const key = `${statusCode} ${outcome((await body.json()) as Reply)}`
    outcomes.set(key, (outcomes.get(key) ?? 0) + 1)
  }
  await expect.poll(held, { timeout: 20_000 }).toBe(0)
  return { outcomes, mostHeld, mostOccupied }
}

test('no more is held than may be, and the rest is refused', { timeout: 60_000 }, async () => {
  const base = await occupied()
  const { outcomes, mostHeld, mostOccupied } = await wave()
  expect([...outcomes.keys()].toSorted()).toEqual([`200 ${ANSWER.length} bytes`, '503 no-room'])
  expect(outcomes.get(`200 ${ANSWER.length} bytes`)).toBeGreaterThanOrEqual(2)
  expect(mostHeld).toBeGreaterThan(MAX_HELD / 2)
  expect(mostHeld).toBeLessThanOrEqual(MAX_HELD + PIECE_BYTES)
  expect(mostOccupied - base).toBeLessThan(MAX_OCCUPIED)
})

test('a second time costs no more than the first', { timeout: 60_000 }, async () => {
  const base = await occupied()
  const { outcomes, mostOccupied } = await wave()
  expect(outcomes.get(`200 ${ANSWER.length} bytes`)).toBeGreaterThanOrEqual(2)
  expect(mostOccupied - base).toBeLessThan(MAX_OCCUPIED)
})

test('what members of a batch were answered counts while the others are waited for', { timeout: 60_000 }, async () => {
  const call = (id: number): string => `{"jsonrpc":"2.0","id":${id},"method":"eth_blockNumber"}`
  const answers: Stalled[] = []
  const asked = stalled(`[${Array.from({ length: 20 }, (_, id) => call(id)).join()}]`).then((answer) => answers.push(answer))
  let most = 0
  do most = Math.max(most, (await Promise.all([held(), delay(20)]))[0])
  while (answers.length === 0)
  await asked
  const replies = (await answers[0]!.body.json()) as Reply[]
  const outcomes = replies.map(outcome)
  expect(new Set(outcomes)).toEqual(new Set([`${ANSWER.length} bytes`, 'no-room']))
  expect(outcomes.filter((each) => each !== 'no-room').length * ANSWER.length).toBeLessThanOrEqual(MAX_HELD)
  expect(most).toBeLessThanOrEqual(MAX_HELD + PIECE_BYTES)
  await expect.poll(held, { timeout: 20_000 }).toBe(0)
})
