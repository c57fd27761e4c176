/** Two workers as an operator runs them: real processes on one port, killed, reloaded, drained. */
import { readFileSync } from 'node:fs'
import { readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { basic, basicFiles } from '../support/gateway.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { answer, startScriptedNode } from '../support/scripted-node.ts'
import type { Config } from '../support/gateway.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'

interface Workers {
  readonly node: ScriptedNode
  readonly gateway: GatewayProcess
  readonly config: Config
}

/** Two workers before a scripted node. The free consumer has 50 CU for a day, the paying one no limit. */
async function startWorkers(lease: 'auto' | 'exact'): Promise<Workers & { readonly stop: () => Promise<void> }> {
  const node = await startScriptedNode()
  const plans = [
    { id: 'free', tier: 'free', seconds_quota: 50, monthly_quota: -1 },
    { id: 'pro', tier: 'paid', seconds_quota: -1, monthly_quota: -1 },
  ]
  const plugins = { 'limit-cu': { time_window: 86_400 }, 'ws-jsonrpc-proxy': { mode: 'http' } }
  const config = basic({ nodeUrl: node.url, plugins, top: { workers: 2, meter: { lease }, log: { level: 'info' }, plans } })
  const gateway = await startGatewayProcess(config, { files: basicFiles }).catch(async (error: unknown) => {
    await node.stop()
    throw error
  })
  const stop = async (): Promise<void> => {
    await gateway.stop()
    await node.stop()
  }
  return { node, gateway, config, stop }
}

/** Two workers of a test's own. */
async function ownWorkers(): Promise<Workers> {
  const workers = await startWorkers('auto')
  onTestFinished(() => workers.stop())
  return workers
}

const CALL = '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}'

interface Answered {
  readonly status: number
  readonly headers: Headers
  readonly body: Record<string, unknown>
}

/** One call on a connection of its own, so that either worker may get it. */
async function call(gateway: GatewayProcess, key = 'paid-key', body = CALL): Promise<Answered> {
  const response = await fetch(`${gateway.url}/eth`, {
    method: 'POST',
    headers: { apikey: key, 'content-type': 'application/json', connection: 'close' },
    body,
  })
  return { status: response.status, headers: response.headers, body: (await response.json()) as Record<string, unknown> }
}

const calls = (gateway: GatewayProcess, count: number, key?: string): Promise<Answered[]> =>
  Promise.all(Array.from({ length: count }, () => call(gateway, key)))

async function metric(gateway: GatewayProcess, series: string): Promise<number> {
  const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${series} `))
      ?.slice(series.length) ?? Number.NaN,
  )
}

/** What a consumer has used of its month, as it stands on the disk; it is written within a moment. */
function recorded(gateway: GatewayProcess, username: string): number {
  const db = new DatabaseSync(join(gateway.dir, 'data/usage.sqlite'), { readOnly: true })
  const row = db.prepare("SELECT used FROM usage WHERE budget = 'limit-monthly-cu' AND key = ?").get(username)
  db.close()
  return Number(row?.['used'] ?? 0)
}

/** The processes of the workers, those that have been replaced included, in the order in which they began to serve. */
const pids = (gateway: GatewayProcess): number[] => gateway.log.flatMap(({ msg, pid }) => (msg === 'a worker serves' ? [Number(pid)] : []))

/** Resolves once something is so, which it soon is. */
async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await delay(20)
}

/** Whether a process is there, and no zombie. */
function lives(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

describe('two workers', () => {
  let gateway: GatewayProcess
  let node: ScriptedNode
  let config: Config
  let stop: () => Promise<void>
  beforeAll(async () => {
    ;({ gateway, node, config, stop } = await startWorkers('exact'))
  })
  afterAll(() => stop())

  const used = async (): Promise<number> => Number((await call(gateway)).headers.get('x-monthly-used'))

  test('answer on one port, each its part of the connections, and /metrics adds them up', async () => {
    expect(await gateway.logged('listening')).toMatchObject({ workers: 2, generation: 1 })
    for (const { status } of await calls(gateway, 40)) expect(status).toBe(200)
    await until(() => gateway.log.filter(({ msg }) => msg === 'frame').length === 40)
    expect(new Set(gateway.log.flatMap(({ msg, worker }) => (msg === 'frame' ? [worker] : [])))).toEqual(new Set([1, 2]))
    expect(await metric(gateway, 'tollgate_calls_total{network="eth",method="eth_blockNumber",outcome="ok"}')).toBe(40)
    expect(await metric(gateway, 'tollgate_frame_duration_seconds_count{route="rpc",scheme="http"}')).toBe(40)
    expect(await metric(gateway, 'tollgate_workers')).toBe(2)
    expect(await metric(gateway, 'process_resident_memory_bytes{worker="2"}')).toBeGreaterThan(1e6)
    expect((await fetch(`${gateway.adminUrl}/readyz`)).status).toBe(200)
  })

  test('tell at /upstreams what each of them sees of the nodes', async () => {
    const { upstreams } = (await (await fetch(`${gateway.adminUrl}/upstreams`)).json()) as { upstreams: Record<string, unknown>[] }
    const node = { node: '0', healthy: true, standing: 'up', head: null, lag: null, in_flight: 0, latency_ms: null, check_ms: null }
    const eth = { id: 'eth', type: 'roundrobin', head: null, finalized: null, nodes: [node] }
    expect(upstreams).toEqual([
      { worker: 1, ...eth },
      { worker: 2, ...eth },
    ])
  })

  test('admit exactly 50 of 400 calls at once where the budget is 50', async () => {
    const before = node.calls.length
    const answers = await calls(gateway, 400, 'free-key')
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(50)
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(350)
    expect(node.calls.length - before).toBe(50)
    expect((await call(gateway, 'free-key')).body).toMatchObject({ error: { code: -32005, data: { reason: 'rate', limit: 50 } } })
  })

  test('give back what a call turned out not to cost', async () => {
    const before = await used()
    node.script((_request, socket) => socket.destroy())
    for (const { status } of await calls(gateway, 20)) expect(status).toBe(502)
    node.script(undefined)
    expect(await used()).toBe(before + 1)
  })

  test('have a port that keeps answering while one of them is killed under load, and budgets and metrics that stay right', async () => {
    const CLIENTS = 8
    const before = await used()
    const charged = await metric(gateway, 'tollgate_cu_charged_total{network="eth",method="eth_blockNumber"}')
    const over = new AbortController()
    let served = 0
    const load = Array.from({ length: CLIENTS }, async () => {
      while (!over.signal.aborted) {
        const answered = await call(gateway).catch(() => undefined) // what the killed process had accepted
        if (answered?.status === 200) served++
      }
    })
    await until(() => served > 20)
    process.kill(pids(gateway)[0]!, 'SIGKILL')
    await gateway.logged('a worker has ended and is replaced')
    const servedByBoth = served
    await until(() => pids(gateway).length === 3)
    expect(served).toBeGreaterThan(servedByBoth)
    over.abort()
    await Promise.all(load)
    const after = (await used()) - 1
    expect(after).toBeGreaterThanOrEqual(before + served)
    expect(after).toBeLessThanOrEqual(before + served + CLIENTS)
    await until(() => recorded(gateway, 'paula') === after + 1)
    expect(await metric(gateway, 'tollgate_worker_restarts_total')).toBe(1)
    expect(await metric(gateway, 'tollgate_cu_charged_total{network="eth",method="eth_blockNumber"}')).toBeGreaterThan(charged)
  })

  test('can be recycled one by one: asked to end, a worker answers what it has begun, and another takes its place', async () => {
    const charged = await metric(gateway, 'tollgate_cu_charged_total{network="eth",method="eth_blockNumber"}')
    const open: (() => void)[] = []
    node.script((request, socket) => void open.push(() => answer(request, socket, node)))
    const asked = calls(gateway, 20)
    await until(() => open.length === 20)
    process.kill(pids(gateway).at(-1)!, 'SIGTERM')
    await delay(50)
    for (const release of open) release()
    for (const { status } of await asked) expect(status).toBe(200)
    node.script(undefined)
    await until(() => pids(gateway).length === 4)
    expect(await metric(gateway, 'tollgate_cu_charged_total{network="eth",method="eth_blockNumber"}')).toBe(charged + 20)
  })

  test('are not joined by a second gateway on the same port, though they share it', async () => {
    const second = startGatewayProcess({ ...config, listen: gateway.url.replace('http://', '') }, { files: basicFiles })
    const failure = await second.then(
      () => '',
      (error: Error) => error.message,
    )
    expect(failure).toMatch(/ended \(1\)/)
    expect(failure.match(/EADDRINUSE/g)).toHaveLength(1)
  })

  test('take over a reload as one generation', async () => {
    await gateway.write('whitelist.yaml', { networks: { eth: { free: ['eth_chainId'], paid: [] } } })
    await until(async () => (await metric(gateway, 'tollgate_config_generation')) === 2)
    for (const { status } of await calls(gateway, 20)) expect(status).toBe(405)
    expect(await metric(gateway, 'tollgate_config_last_reload_success')).toBe(1)
    expect(await metric(gateway, 'tollgate_config_reloads_total{outcome="reloaded"}')).toBe(1)
  })

  test('close the WebSockets of a consumer that is revoked, in every worker, and leave the others', async () => {
    const open = async (key: string): Promise<WebSocket> => {
      const socket = new WebSocket(`${gateway.wsUrl}/eth`, { headers: { apikey: key } })
      onTestFinished(() => socket.terminate())
      await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
      return socket
    }
    const revoked = await Promise.all(Array.from({ length: 12 }, () => open('free-key')))
    const kept = await open('paid-key')
    expect(await metric(gateway, 'tollgate_sessions{scheme="ws"}')).toBe(13)
    const closed = Promise.all(revoked.map((socket) => new Promise<number>((resolve) => socket.once('close', resolve))))
    const [frank, paula] = config['consumers'] as [Config, Config]
    await gateway.write('gateway.yaml', { ...config, consumers: [{ ...frank, disabled: true }, paula] })
    expect(new Set(await closed)).toEqual(new Set([4401]))
    expect((await call(gateway, 'free-key')).status).toBe(401)
    expect(kept.readyState).toBe(WebSocket.OPEN)
  })

  test('are replaced by workers of the last good configuration, whatever is on the disk by then', async () => {
    await gateway.write('gateway.yaml', 'listen: [broken')
    await gateway.logged('configuration refused, the last good one serves on')
    const before = pids(gateway).length
    for (const pid of pids(gateway).filter(lives)) process.kill(pid, 'SIGKILL')
    await until(() => pids(gateway).length === before + 2)
    for (const { status } of await calls(gateway, 10, 'free-key')) expect(status).toBe(401)
    expect(await metric(gateway, 'tollgate_config_generation')).toBe(3)
    expect(await metric(gateway, 'tollgate_config_last_reload_success')).toBe(0)
  })

  test('open the log file anew on SIGHUP', async () => {
    const file = join(gateway.dir, 'gateway.log')
    await gateway.write('gateway.yaml', { ...config, log: { level: 'info', file: 'gateway.log' } })
    const workersIn = async (path: string): Promise<number> => {
      await calls(gateway, 10)
      const lines = (await readFile(path, 'utf8').catch(() => '')).split('\n').filter((line) => line.includes('"msg":"frame"'))
      return new Set(lines.map((line) => (JSON.parse(line) as { worker: number }).worker)).size
    }
    await until(async () => (await workersIn(file)) === 2)
    await rename(file, `${file}.1`)
    gateway.signal('SIGHUP')
    await until(async () => (await workersIn(file)) === 2)
  })
})

// The second is sent in pieces.
test.each([4_000, 20_000])('a configuration of %i keys is handed to all workers, and to the next that takes a place', async (keys) => {
  const { gateway, config } = await ownWorkers()
  const customers = Array.from({ length: keys }, (_, at) => ({
    username: `customer-${at}`,
    plan: 'pro',
    plugins: { 'key-auth': { key: `customer-key-${at}` } },
  }))
  const statuses = async (): Promise<number[]> => (await calls(gateway, 10, `customer-key-${keys - 1}`)).map(({ status }) => status)
  await gateway.write('gateway.yaml', { ...config, consumers: [...(config['consumers'] as Config[]), ...customers] })
  await until(async () => (await metric(gateway, 'tollgate_config_generation')) === 2)
  expect(await statuses()).toEqual(Array.from({ length: 10 }, () => 200))
  for (const pid of pids(gateway)) process.kill(pid, 'SIGKILL')
  await until(() => pids(gateway).length === 4)
  expect(await statuses()).toEqual(Array.from({ length: 10 }, () => 200))
})

test('what a worker held ahead of a budget when it was killed comes free, and the rest of the budget is served, exactly', async () => {
  const { gateway, node } = await ownWorkers()
  const serve = async (count: number): Promise<number> => (await calls(gateway, count, 'free-key')).filter(({ status }) => status === 200).length
  let served = 0
  for (let round = 0; round < 5; round++) served += await serve(4)
  await until(() => recorded(gateway, 'frank') === served)
  process.kill(pids(gateway)[0]!, 'SIGKILL')
  await gateway.logged('a worker has ended and is replaced')
  await until(async () => (served += await serve(2)) >= 50)
  expect(await serve(20)).toBe(0)
  expect([served, node.calls.length]).toEqual([50, 50])
  await until(() => recorded(gateway, 'frank') === 50)
})

test('connections are counted over all workers, and those of one that was killed come free', async () => {
  const node = await startScriptedNode()
  onTestFinished(() => node.stop())
  const plugins = { 'limit-conn': { conn: 6, key: '$consumer_name' }, 'ws-jsonrpc-proxy': { mode: 'http' } }
  const gateway = await startGatewayProcess(basic({ nodeUrl: node.url, plugins, top: { workers: 2, log: { level: 'info' } } }), { files: basicFiles })
  onTestFinished(() => gateway.stop())
  const sockets: WebSocket[] = []
  const open = async (count: number): Promise<number> => {
    const tries = await Promise.allSettled(
      Array.from({ length: count }, async () => {
        const socket = new WebSocket(`${gateway.wsUrl}/eth`, { headers: { apikey: 'paid-key' } })
        onTestFinished(() => socket.terminate())
        await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
        sockets.push(socket)
      }),
    )
    return tries.filter(({ status }) => status === 'fulfilled').length
  }
  expect(await open(30)).toBe(6)
  expect(await open(5)).toBe(0)
  process.kill(pids(gateway)[0]!, 'SIGKILL')
  await until(async () => {
    await open(1)
    return sockets.filter(({ readyState }) => readyState === WebSocket.OPEN).length === 6 && pids(gateway).length === 3
  })
  expect(await open(5)).toBe(0)
})

describe('a stop of two workers', () => {
  test('answers everything that was accepted, and exits 0', async () => {
    const { gateway, node } = await ownWorkers()
    const open: (() => void)[] = []
    node.script((request, socket) => void open.push(() => answer(request, socket, node)))
    const asked = calls(gateway, 20)
    await until(() => open.length === 20)
    gateway.signal('SIGTERM')
    await gateway.logged('draining; a second signal ends at once')
    expect(await (await fetch(`${gateway.adminUrl}/readyz`)).json()).toMatchObject({ status: 'not ready', reasons: ['draining'] })
    for (const release of open) release()
    for (const { status, headers } of await asked) {
      expect(status).toBe(200)
      expect(headers.get('x-cu-cost')).toBe('1')
    }
    expect(await gateway.ended).toEqual({ code: 0, signal: undefined })
    expect(pids(gateway).filter(lives)).toEqual([])
  })

  test('ends at once with a second signal', async () => {
    const { gateway, node } = await ownWorkers()
    node.script(() => undefined)
    const asked = call(gateway).catch(() => 'cut')
    await node.arrived(1)
    gateway.signal('SIGTERM')
    await gateway.logged('draining; a second signal ends at once')
    gateway.signal('SIGTERM')
    expect(await gateway.ended).toEqual({ code: 1, signal: undefined })
    expect(await asked).toBe('cut')
    await until(() => pids(gateway).every((pid) => !lives(pid)))
  })

  test('by killing their primary leaves none behind', async () => {
    const { gateway } = await ownWorkers()
    gateway.signal('SIGKILL')
    await until(() => pids(gateway).every((pid) => !lives(pid)))
  })
})

test('a start of workers with a configuration that has problems lists them once, and exits 1', async () => {
  const config = { ...basic({ nodeUrl: 'http://127.0.0.1:1' }), workers: 2, lisen: 'x', drain_timeout: 'soon' }
  const failure = await startGatewayProcess(config, { files: basicFiles }).then(
    () => '',
    (error: Error) => error.message,
  )
  expect(failure).toMatch(/^the gateway ended \(1\)/)
  expect(failure.match(/lisen: unknown key/g)).toHaveLength(1)
  expect(failure.match(/drain_timeout: must be a duration/g)).toHaveLength(1)
})
