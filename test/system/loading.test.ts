/** What a start loads: that is most of the time that it takes. */
import { setTimeout as delay } from 'node:timers/promises'
import { SignJWT } from 'jose'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { basic, basicFiles } from '../support/gateway.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { startRedis } from '../support/redis.ts'
import { startScriptedNode } from '../support/scripted-node.ts'
import type { Config } from '../support/gateway.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'

const CALL = '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}'
const PRELOADED = new URL('../support/loaded-modules.ts', import.meta.url).href
const SECRET = 'a-secret-of-thirty-two-bytes-or-more'

async function start(plugins: Config, top: Config = {}): Promise<GatewayProcess> {
  const node = await startScriptedNode()
  onTestFinished(() => node.stop())
  const config = basic({ nodeUrl: node.url, plugins: { 'ws-jsonrpc-proxy': { mode: 'http' }, ...plugins }, top: { log: { level: 'info' }, ...top } })
  const gateway = await startGatewayProcess(config, {
    files: basicFiles,
    command: ['--import', PRELOADED, 'core/main.ts'],
  })
  onTestFinished(() => gateway.stop())
  return gateway
}

/** Longer than it takes until a gateway has loaded what it does not need to be ready. */
const SETTLED_MS = 1500

/** The modules that a gateway has loaded. `time` counts the questions. */
async function loaded(gateway: GatewayProcess, time: number): Promise<readonly string[]> {
  gateway.signal('SIGUSR2')
  return (await gateway.logged(`loaded ${time}`))['modules'] as string[]
}

/** Their packages, undici among them where it is Node's own. */
function packagesOf(modules: readonly string[]): ReadonlySet<string> {
  return new Set(modules.flatMap((url) => /.*\/node_modules\/([^/@]+|@[^/]+\/[^/]+)|\/deps\/(undici)\//.exec(url)?.slice(1).find(Boolean) ?? []))
}

/** Sends a call over HTTP and one over a WebSocket, and reads the metrics. */
async function use({ url, wsUrl, adminUrl }: GatewayProcess, headers: Readonly<Record<string, string>>): Promise<void> {
  const answer = await fetch(`${url}/eth`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: CALL })
  expect(answer.status).toBe(200)
  const socket = new WebSocket(`${wsUrl}/eth`, { headers })
  await new Promise((resolve, reject) =>
    socket
      .once('open', () => socket.send(CALL))
      .once('message', resolve)
      .once('error', reject),
  )
  socket.terminate()
  expect((await fetch(`${adminUrl}/metrics`)).status).toBe(200)
}

test('no package is loaded that the configuration has no use for', async () => {
  const packages = packagesOf(await loaded(await start({}), 1))
  expect(packages).toContain('pino')
  for (const name of ['ioredis', 'jose', 'typebox', 'undici']) expect(packages).not.toContain(name)
})

test('what the configuration has a use for is loaded before calls come, and nothing with them', async () => {
  const redis = await startRedis()
  onTestFinished(() => redis.stop())
  const gateway = await start(
    { 'key-auth': undefined, 'jwt-auth': { require_exp: false } },
    { store: redis.url, consumers: [{ username: 'ann', plan: 'free', plugins: { 'jwt-auth': { key: 'ann-app', secret: SECRET } } }] },
  )
  await delay(SETTLED_MS)
  const before = await loaded(gateway, 1)
  for (const name of ['ioredis', 'jose', 'undici']) expect(packagesOf(before)).toContain(name)
  const token = await new SignJWT({ key: 'ann-app' }).setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode(SECRET))
  await use(gateway, { authorization: `Bearer ${token}` })
  const after = (await loaded(gateway, 2)).filter((url) => !url.startsWith('node:'))
  expect(after.filter((url) => !before.includes(url))).toEqual([])
})
