/** A running gateway whose configuration is edited: what changes, what stays, and that no request fails for it. */
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { startScriptedNode } from '../support/scripted-node.ts'
import { metric } from '../support/metric.ts'
import { post, shippedFiles, systemConfig } from './stage.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'

const offering = (...methods: readonly string[]) => ({ networks: { 'eth-local': { free: ['eth_blockNumber', ...methods] } } })
const body = (method: string): string => `{"jsonrpc":"2.0","id":1,"method":"${method}"}`
/** What the issue promises is 2 s; what is waited for is more, because other tests run beside this one. */
const NOTICED = { timeout: 10_000, interval: 50 }

let node: ScriptedNode
let gateway: GatewayProcess
beforeAll(async () => {
  node = await startScriptedNode()
})
afterAll(() => node.stop())
beforeEach(async () => {
  gateway = await startGatewayProcess(systemConfig(node.url), { files: { ...shippedFiles, 'whitelist.yaml': offering('eth_chainId') } })
})
afterEach(() => gateway.stop())

const status = async (method: string): Promise<number> => (await post(`${gateway.url}/eth-local`, body(method))).status
const lastReload = (): Promise<number> => metric(gateway.adminUrl, 'tollgate_config_last_reload_success')

/** Calls without a pause, several at once, until it is stopped; answers how many were served and what went wrong. */
function startLoad(): () => Promise<{ served: number; failed: string[] }> {
  const load = { isOver: false }
  let served = 0
  const failed: string[] = []
  const caller = async (): Promise<void> => {
    while (!load.isOver) {
      const answer = await post(`${gateway.url}/eth-local`, body('eth_blockNumber')).catch((error: unknown) => ({ status: 0, text: String(error) }))
      if (answer.status === 200 && answer.text.includes('"result"')) served++
      else failed.push(`${answer.status} ${answer.text}`)
      await delay(2)
    }
  }
  const callers = [caller(), caller(), caller(), caller()]
  return async () => {
    load.isOver = true
    await Promise.all(callers)
    return { served, failed }
  }
}

describe('an edit of whitelist.yaml', () => {
  test('changes decisions while calls go on, and no call fails', async () => {
    const stopLoad = startLoad()
    expect([await status('eth_chainId'), await status('eth_gasPrice')]).toEqual([200, 405])
    await gateway.write('whitelist.yaml', offering('eth_gasPrice'))
    await expect.poll(() => status('eth_gasPrice'), NOTICED).toBe(200)
    expect(await status('eth_chainId')).toBe(405)
    await writeFile(join(gateway.dir, 'whitelist.yaml'), JSON.stringify(offering('eth_chainId'))) // in place, not by renaming
    await expect.poll(() => status('eth_chainId'), NOTICED).toBe(200)
    const { served, failed } = await stopLoad()
    expect(failed).toEqual([])
    expect(served).toBeGreaterThan(20)
    expect(await metric(gateway.adminUrl, 'tollgate_config_generation')).toBe(3)
  })

  test('that is broken changes nothing, and is told in metrics and log until it is mended', async () => {
    await gateway.write('whitelist.yaml', 'networks:\n  eth-local:\n    free: [eth_gasPrice\n')
    await expect.poll(lastReload, NOTICED).toBe(0)
    expect([await status('eth_chainId'), await status('eth_gasPrice')]).toEqual([200, 405])
    await expect.poll(() => gateway.output).toMatch(/whitelist\.yaml:\d+/)
    await gateway.write('whitelist.yaml', offering('eth_gasPrice'))
    await expect.poll(lastReload, NOTICED).toBe(1)
    expect([await status('eth_chainId'), await status('eth_gasPrice')]).toEqual([405, 200])
  })
})

describe('a configuration of fifty thousand keys', () => {
  const KEYS = 50_000
  const customer = (at: number) => ({ username: `customer-${at}`, plan: 'pro', plugins: { 'key-auth': { key: `customer-key-${at}` } } })
  const consumers = [...(systemConfig('')['consumers'] as object[]), ...Array.from({ length: KEYS }, (_, at) => customer(at))]
  const statusOf = async (at: number): Promise<number> => (await post(`${gateway.url}/eth-local`, body('eth_blockNumber'), `customer-key-${at}`)).status
  const generation = (): Promise<number> => metric(gateway.adminUrl, 'tollgate_config_generation')
  /** It takes some seconds; what is waited for is more. */
  const READ = { timeout: 60_000, interval: 100 }

  test('is taken over, and left, while calls go on, and no call fails', async () => {
    const stopLoad = startLoad()
    await gateway.write('gateway.yaml', systemConfig(node.url, undefined, { consumers }))
    await expect.poll(generation, READ).toBe(2)
    expect([await statusOf(0), await statusOf(KEYS - 1), await statusOf(KEYS)]).toEqual([200, 200, 401])
    await gateway.write('gateway.yaml', systemConfig(node.url, undefined, { consumers: consumers.slice(0, -1) }))
    await expect.poll(generation, READ).toBe(3)
    expect([await statusOf(0), await statusOf(KEYS - 1)]).toEqual([200, 401])
    const { served, failed } = await stopLoad()
    expect(failed).toEqual([])
    expect(served).toBeGreaterThan(20)
  })

  test('of which one is wrong changes nothing, and is told with its line', async () => {
    const wrong = { ...customer(KEYS), plan: 'gone' }
    const lines = [...consumers, wrong, customer(0)].map((consumer) => JSON.stringify(consumer))
    const config = systemConfig(node.url, undefined, { consumers: [] })
    await gateway.write('gateway.yaml', JSON.stringify(config).replace('"consumers":[]', `"consumers":[\n${lines.join(',\n')}]`))
    await expect.poll(lastReload, READ).toBe(0)
    expect([await status('eth_chainId'), await statusOf(0)]).toEqual([200, 401])
    const last = consumers.length
    await expect.poll(() => gateway.output).toContain(`gateway.yaml:${last + 2} consumers[${last}].plan: no plan has the id gone`)
    expect(gateway.output).toContain(`gateway.yaml:${last + 3} consumers[${last + 1}].username: another consumer has the username customer-0`)
  })
})

test('a configuration behind a link that is swapped, as Kubernetes mounts it, is read again', async () => {
  const versioned = join(gateway.dir, 'mounted')
  for (const [version, method] of [
    ['1', 'eth_chainId'],
    ['2', 'eth_gasPrice'],
  ] as const) {
    await mkdir(join(versioned, version), { recursive: true })
    await writeFile(join(versioned, version, 'whitelist.yaml'), JSON.stringify(offering(method)))
  }
  await symlink('1', join(versioned, '..data'))
  await symlink('..data/whitelist.yaml', join(versioned, 'whitelist.yaml'))
  const config = systemConfig(node.url) as { routes: { plugins: { whitelist: { config_path: string } } }[] }
  config.routes[0]!.plugins.whitelist.config_path = 'mounted/whitelist.yaml'
  await gateway.write('gateway.yaml', config)
  await expect.poll(() => metric(gateway.adminUrl, 'tollgate_config_generation'), NOTICED).toBe(2)
  expect([await status('eth_chainId'), await status('eth_gasPrice')]).toEqual([200, 405])
  await symlink('2', join(versioned, '..data_new'))
  await rename(join(versioned, '..data_new'), join(versioned, '..data'))
  await expect.poll(() => status('eth_gasPrice'), NOTICED).toBe(200)
  expect(await status('eth_chainId')).toBe(405)
})

describe("an operator's own plugin", () => {
  const plugin = (result: string) => `
import { answer, definePlugin } from '#plugin'

export default definePlugin({
  name: 'greeting',
  priority: 1500, // after the whitelist, before what is charged
  summary: 'Answers eth_chainId by itself.',
  config: {},
  examples: [{}],
  onFault: 'refuse',
  create: () => ({ access: (call) => (call.method === 'eth_chainId' ? answer('"${result}"') : undefined) }),
})`
  const greeting = async (): Promise<unknown> => (JSON.parse((await post(`${gateway.url}/eth-local`, body('eth_chainId'))).text) as { result: unknown }).result

  test('runs in its place once the configuration names it, and anew when its file is edited', async () => {
    await gateway.write('plugins/greeting.ts', plugin('hello'))
    const config = systemConfig(node.url, undefined, { plugins_dir: 'plugins' }) as { routes: { plugins: Record<string, unknown> }[] }
    config.routes[0]!.plugins['greeting'] = {}
    await gateway.write('gateway.yaml', config)
    await expect.poll(greeting, NOTICED).toBe('hello')
    expect(await status('eth_gasPrice')).toBe(405) // the whitelist still comes first
    await gateway.write('plugins/greeting.ts', plugin('good day'))
    await expect.poll(greeting, NOTICED).toBe('good day')
  })

  test('that cannot be loaded keeps the configuration from being used', async () => {
    await gateway.write('plugins/greeting.ts', 'this is no TypeScript')
    await gateway.write('gateway.yaml', systemConfig(node.url, undefined, { plugins_dir: 'plugins' }))
    await expect.poll(lastReload, NOTICED).toBe(0)
    expect(await status('eth_chainId')).toBe(200)
  })
})
