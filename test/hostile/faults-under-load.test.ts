/**
 * Faults while sixty clients call: nodes, signals, disks, descriptors, clocks, configurations. No answer but those of the
 * table, no answer for another, and what is recorded lies between what was acknowledged and what was asked for.
 */
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { Load, recordedUsage } from '../support/load.ts'
import { metric } from '../support/metric.ts'
import { RawHttp } from '../support/raw-http.ts'
import { makeSmallDisk } from '../support/small-disk.ts'
import { drip, hang, reply, reset, startScriptedNode } from '../support/scripted-node.ts'
import type { GatewayProcess, GatewayProcessOptions } from '../support/gateway-process.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'
import type { SmallDisk } from '../support/small-disk.ts'

let node: ScriptedNode
let load: Load
let dir: string
beforeEach(async () => {
  node = await startScriptedNode()
  load = new Load({ http: 30, ws: 30, perSecond: 300 })
  dir = await mkdtemp(join(tmpdir(), 'tollgate-load-'))
})
afterEach(async () => {
  await load.stop()
  await node.stop()
  await rm(dir, { recursive: true, force: true })
})

function config(top: Record<string, unknown> = {}): Record<string, unknown> {
  return basic({
    nodeUrl: node.url,
    plugins: { 'access-log': { sample: 0 }, 'ws-jsonrpc-proxy': { mode: 'http' } },
    top: {
      log: { level: 'info' },
      upstreams: [{ id: 'eth', nodes: [{ url: node.url }], retries: 0 }],
      plans: [{ id: 'load', tier: 'free', seconds_quota: -1, monthly_quota: -1 }],
      consumers: load.consumers,
      ...top,
    },
  })
}

async function start(options: GatewayProcessOptions = {}, top: Record<string, unknown> = {}): Promise<GatewayProcess> {
  const gateway = await startGatewayProcess(config(top), { files: basicFiles, dir, ...options })
  onTestFinished(() => gateway.stop())
  return gateway
}

/** The billing cycles that something was recorded in. */
function cyclesOf(dataDir: string): unknown[] {
  const db = new DatabaseSync(join(dataDir, 'usage.sqlite'), { readOnly: true })
  const rows = db.prepare('SELECT DISTINCT cycle FROM usage WHERE used > 0 ORDER BY cycle').all()
  db.close()
  return rows.map(({ cycle }) => cycle)
}

/** Waits until so many more frames have had an outcome. */
async function frames(count: number): Promise<void> {
  const from = load.frames
  await expect.poll(() => load.frames - from, { timeout: 30_000 }).toBeGreaterThanOrEqual(count)
}

async function expectRightAccounts(dataDir = join(dir, 'data')): Promise<void> {
  await load.stop()
  expect(load.odd).toEqual([])
  expect(load.violations(recordedUsage(dataDir))).toEqual([])
}

test('nodes that hang, reset, drip, lie and go away fail their calls cleanly, and the calls after them are served', async () => {
  const impatient = { id: 'eth', nodes: [{ url: node.url }], timeout: { connect: '500ms', read: '200ms', total: '1s' }, retries: 0 }
  const gateway = await start({}, { upstreams: [impatient] })
  load.start(`${gateway.url}/eth`)
  const faults = [
    hang,
    reset,
    drip('HTTP/1.1 200 OK\r\nX: ', 'x', 20),
    reply('{"jsonrpc":"2.0","id":999999999,"result":"0xdead"}'),
    reply('<html>', 500),
    reply('[]'),
  ]
  for (const fault of faults) {
    await frames(40)
    node.script(fault)
    await frames(40)
    node.script(undefined)
  }
  const { port } = node
  await node.stop()
  await frames(40)
  node = await startScriptedNode({ port })
  const served = load.count('ok')
  await expect.poll(() => load.count('ok') - served, { timeout: 10_000 }).toBeGreaterThan(100)
  await load.stop()
  gateway.signal('SIGTERM')
  expect(await gateway.ended).toEqual({ code: 0, signal: undefined })
  expect(new Set(load.outcomes.keys())).not.toContain('internal')
  await expectRightAccounts()
})

test('SIGTERM loses no call and no usage; SIGKILL no more usage than a second holds, and the database is sound', async () => {
  const first = await start()
  const { port } = new URL(first.url)
  load.start(`${first.url}/eth`)
  await frames(300)
  load.closes.clear()
  first.signal('SIGTERM')
  expect(await first.ended).toEqual({ code: 0, signal: undefined })
  // Every call that was charged was answered, and every answer was charged; each socket was told why.
  await expect.poll(() => load.differences(recordedUsage(join(dir, 'data')))).toEqual([])
  await expect.poll(() => Object.fromEntries(load.closes)).toEqual({ 1001: 30 })
  const next = await start({}, { listen: `127.0.0.1:${port}` })
  await delay(1200) // longer than the flush interval, so that something has to be there
  await frames(200)
  const killedAt = performance.now()
  next.signal('SIGKILL')
  await next.ended
  for (const client of load.clients) client.forgive(killedAt)
  expect(load.violations(recordedUsage(join(dir, 'data')))).toEqual([])
  const last = await start({}, { listen: `127.0.0.1:${port}` })
  await frames(200)
  await load.stop()
  last.signal('SIGTERM')
  await last.ended
  await expectRightAccounts()
})

test('a configuration that is broken in a dozen ways, one after the other, fails no call', async () => {
  const gateway = await start()
  load.start(`${gateway.url}/eth`)
  await frames(50)
  const lostBefore = load.count('lost')
  const broken: (string | Record<string, unknown>)[] = [
    '',
    '{',
    'routes: [}',
    '\0\0\0\0',
    '- a list',
    `a: &a [*a]`,
    config({ routes: [], upstreams: 'none' }),
    config({ unknown_key: 1 }),
    config({ plans: [] }),
    config({ consumers: [...load.consumers, ...load.consumers] }),
    config({ limits: { max_body: 'much' } }),
    config({ upstreams: [{ id: 'eth', nodes: [{ url: 'ftp://x' }] }] }),
    config({ log: { file: '/no/such/directory/and/no/right/to/make/it\0' } }),
    config({ plugins_dir: './no-such-directory' }),
  ]
  for (const text of broken) {
    const refused = await metric(gateway.adminUrl, 'tollgate_config_reloads_total', { outcome: 'refused' })
    await gateway.write('gateway.yaml', text)
    await expect.poll(() => metric(gateway.adminUrl, 'tollgate_config_reloads_total', { outcome: 'refused' }), { timeout: 5000 }).toBeGreaterThan(refused)
  }
  for (const [name, text] of [['whitelist.yaml', 'networks: 5'], ['cu-pricing.yaml', 'default: -1']] as const) await gateway.write(name, text) // prettier-ignore
  await gateway.write('gateway.yaml', config())
  await frames(100)
  await rm(join(dir, 'gateway.yaml'))
  await frames(100)
  expect([...load.outcomes.keys()].filter((outcome) => outcome !== 'ok' && outcome !== 'lost')).toEqual([])
  expect(load.count('lost')).toBe(lostBefore)
  await load.stop()
  gateway.signal('SIGTERM')
  await gateway.ended
  await expectRightAccounts()
})

describe('a disk that is full', () => {
  async function smallDisk(): Promise<SmallDisk> {
    const disk = await makeSmallDisk(join(dir, 'data'))
    onTestFinished(() => disk.stop())
    return disk
  }

  test('costs no call, and what was served is recorded once there is room', async () => {
    const disk = await smallDisk()
    const gateway = await start({ program: disk.program, command: [...disk.command, 'core/main.ts'] })
    const failing = (): Promise<number> => metric(gateway.adminUrl, 'tollgate_usage_store_failing')
    load.start(`${gateway.url}/eth`)
    for (let times = 0; times < 2; times++) {
      await frames(50)
      await disk.fill(gateway.pid)
      await expect.poll(failing, { timeout: 15_000 }).toBe(1)
      await frames(150)
      await disk.clear(gateway.pid)
      await expect.poll(failing, { timeout: 15_000 }).toBe(0)
    }
    expect([...load.outcomes.keys()].filter((outcome) => outcome !== 'ok')).toEqual([])
    await load.stop()
    gateway.signal('SIGTERM')
    expect((await gateway.ended).code).toBe(0)
    await cp(disk.path, join(dir, 'saved'), { recursive: true })
    await expectRightAccounts(join(dir, 'saved'))
  })

  test('ends the start with one clear line, and the next one begins once there is room', async () => {
    const disk = await smallDisk()
    await disk.fill()
    const options = { program: disk.program, command: [...disk.command, 'core/main.ts'] }
    const ending = await start(options).then(
      () => 'it started',
      (error: Error) => error.message,
    )
    await disk.clear()
    expect(ending).toMatch(/ended \(1\) before it listened:\ntollgate: .*usage\.sqlite: cannot open the usage database \(.*\); check that data_dir .*\n*$/)
    await start(options)
  })

  test('while the process is asked to stop ends it all the same, and what is lost is told', async () => {
    const disk = await smallDisk()
    const gateway = await start({ program: disk.program, command: [...disk.command, 'core/main.ts'] })
    load.start(`${gateway.url}/eth`)
    await frames(50)
    await disk.fill(gateway.pid)
    await frames(50)
    gateway.signal('SIGTERM')
    expect((await gateway.ended).code).toBe(0)
    expect(gateway.log.map(({ msg }) => msg).slice(-2)).toEqual(['usage since the disk failed is lost', 'stopped'])
  })
})

test('file descriptors that run out cost connections, and not the process', async () => {
  const limited = ['-c', 'ulimit -n 90 && exec "$0" "$@"', process.execPath, 'core/main.ts']
  const gateway = await start({ program: '/bin/sh', command: limited })
  load.start(`${gateway.url}/eth`)
  const port = Number(new URL(gateway.url).port)
  const crowd = await Promise.all(Array.from({ length: 300 }, () => RawHttp.connect(port).catch(() => undefined)))
  await frames(100)
  for (const client of crowd) client?.end()
  const served = load.count('ok')
  await expect.poll(() => load.count('ok') - served, { timeout: 15_000 }).toBeGreaterThan(200)
  await load.stop()
  gateway.signal('SIGTERM')
  expect(await gateway.ended).toEqual({ code: 0, signal: undefined })
  await expectRightAccounts()
})

test('a clock that steps, back and forth and over the end of a month, charges every call to one month', async () => {
  let stepMs = 0
  const eve = Date.UTC(2026, 10, 30, 23, 59, 59)
  const began = performance.now()
  const now = (): number => eve + stepMs + (performance.now() - began)
  const gateway = await startTestGateway(config({ log: { level: 'info', file: 'gateway.log' } }), { files: basicFiles, now })
  load.start(`${gateway.url}/eth`)
  for (const step of [0, 3_600_000, -3_600_000, 40 * 86_400_000, -86_400_000, 0]) {
    stepMs = step
    await frames(80)
  }
  await load.stop()
  expect(load.odd).toEqual([])
  expect([...load.outcomes.keys()].filter((outcome) => outcome !== 'ok')).toEqual([])
  // All months together: each charge is in one of them, and in no other.
  await expect.poll(() => load.differences(recordedUsage(join(gateway.dir, 'data'))), { timeout: 10_000 }).toEqual([])
  expect(cyclesOf(join(gateway.dir, 'data'))).toEqual(['2026-11-01', '2026-12-01', '2027-01-01'])
  await gateway.stop()
})
