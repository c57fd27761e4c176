/** What requests hold in memory: given back whatever becomes of them, counted once where they have it in common, and refused where there is no room. */
import { afterEach, expect, onTestFinished, test } from 'vitest'
import { definePlugin } from '#plugin'
import { plugins } from '../../plugins/index.ts'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { RawHttp } from '../support/raw-http.ts'
import { answer, hang, startScriptedNode } from '../support/scripted-node.ts'
import type { AnyPlugin } from '#plugin'
import type { BasicOptions, Config, TestGateway } from '../support/gateway.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'

const CALL = '{"jsonrpc":"2.0","id":1,"method":"eth_getLogs"}'
const MIB = 1024 * 1024

let node: ScriptedNode
let gateway: TestGateway
let port: number
afterEach(() => node.script(undefined))

async function start({ upstream = {}, ...more }: Partial<BasicOptions> & { upstream?: Config } = {}, catalogue: readonly AnyPlugin[] = plugins): Promise<void> {
  node = await startScriptedNode()
  const upstreams = [{ id: 'eth', nodes: [{ url: node.url }], retries: 0, coalesce: false, ...upstream }]
  const config = basic({ nodeUrl: node.url, ...more, plugins: { 'limit-cu': undefined, ...more.plugins }, top: { upstreams, ...more.top } })
  gateway = await startTestGateway(config, { files: basicFiles, catalogue })
  port = gateway.gateway.address.port
  onTestFinished(async () => {
    await gateway.stop()
    await node.stop()
  })
}

const post = (body: string, length = body.length): string => `POST /eth HTTP/1.1\r\nHost: x\r\nApikey: paid-key\r\nContent-Length: ${length}\r\n\r\n${body}`
const held = (): Promise<number> => gateway.metric('tollgate_held_bytes')

/** A client that asks, and reads nothing of its answer. */
async function stalled(): Promise<RawHttp> {
  const client = await RawHttp.connect(port)
  client.socket.pause()
  onTestFinished(() => client.end())
  return client.send(post(CALL))
}

test('clients that leave while their calls are under way leave nothing behind', async () => {
  await start()
  node.script(hang)
  for (let at = 0; at < 20; at++) {
    const client = (await RawHttp.connect(port)).send(post(CALL))
    await node.arrived(at + 1)
    client.end()
  }
  await expect.poll(() => gateway.metric('tollgate_sessions')).toBe(0)
  await expect.poll(held).toBe(0)
})

test('a body that is refused is let go of at once, however long its client goes on', async () => {
  await start({ top: { limits: { max_held: 2 * MIB, request_timeout: '30s' } } })
  const clients = await Promise.all(Array.from({ length: 30 }, () => RawHttp.connect(port)))
  for (const client of clients) client.send(post(' '.repeat(200_000), 1_000_000))
  const refused: RawHttp[] = []
  for (const client of clients) void client.answer().then(() => refused.push(client))
  await expect.poll(() => refused.length).toBeGreaterThan(19)
  expect(await held()).toBeLessThanOrEqual(2 * MIB)
  for (const client of clients) client.end()
  await expect.poll(held).toBe(0)
})

test('one answer to many calls that are the same is held once, and each client has all of it', async () => {
  await start({ top: { limits: { max_held: 12 * MIB } }, upstream: { coalesce: true } })
  const large = JSON.stringify('x'.repeat(8 * MIB))
  node.results.set('eth_getLogs', large)
  const late: (() => void)[] = []
  node.script((...asked) => late.push(() => answer(...asked)))
  const clients = await Promise.all(Array.from({ length: 6 }, stalled))
  await expect.poll(() => gateway.metric('tollgate_frames_in_flight')).toBe(6)
  for (const run of late) run()
  await expect.poll(held).toBeGreaterThan(8 * MIB)
  expect(await held()).toBeLessThanOrEqual(12 * MIB)
  const lengths = await Promise.all(
    clients.map(async (client) => {
      client.socket.resume()
      return (await client.answer())?.body.length
    }),
  )
  expect(new Set(lengths)).toEqual(new Set([large.length + CALL.length - '"method":"eth_getLogs"'.length + '"result":'.length]))
  expect(node.requests.length).toBe(1)
  await expect.poll(held).toBe(0)
})

test('answers that wait for a plugin count as well: those that there is no room for are refused, and cost nothing', async () => {
  const waiting: (() => void)[] = []
  const patient = definePlugin({
    name: 'patient',
    priority: 5,
    summary: 'Takes its time.',
    config: {},
    examples: [{}],
    onFault: 'refuse',
    create: () => ({ reply: () => new Promise<undefined>((resolve) => waiting.push(() => resolve(undefined))) }),
  })
  await start({ plugins: { patient: {} }, top: { limits: { max_held: 6 * MIB } } }, [...plugins, patient])
  node.results.set('eth_getLogs', JSON.stringify('x'.repeat(2 * MIB)))
  const clients: RawHttp[] = []
  for (let at = 0; at < 4; at++) {
    clients.push((await RawHttp.connect(port)).send(post(CALL)))
    await expect.poll(() => waiting.length).toBe(at + 1)
  }
  expect(await held()).toBeLessThanOrEqual(6 * MIB)
  for (const run of waiting) run()
  const answers = await Promise.all(clients.map((client) => client.answer()))
  expect(answers.map((given) => given?.status)).toEqual([200, 200, 503, 503])
  expect(answers.map((given) => given?.headers['x-cu-cost'])).toEqual(['10', '10', '0', '0'])
  for (const client of clients) client.end()
  await expect.poll(held).toBe(0)
})

test('large answers that nobody reads keep no small call from being served', async () => {
  const answerBytes = 16 * MIB
  await start({ top: { limits: { max_held: 2 * answerBytes + 50 } } })
  // With what is written around it once by the node and once by the gateway: two of them would leave no room for a call.
  const around = CALL.replace('"method":"eth_getLogs"', '"result":').length
  node.results.set('eth_getLogs', 'x'.repeat(answerBytes - 2 * around - 2).replace(/^x|x$/g, '"'))
  await Promise.all(Array.from({ length: 4 }, stalled))
  await expect.poll(() => gateway.metric('tollgate_frames_in_flight')).toBe(0)
  for (let at = 0; at < 20; at++) {
    const { status } = await gateway.post('/eth', CALL.replace('eth_getLogs', 'eth_blockNumber'), { apikey: 'free-key' })
    expect(status).toBe(200)
  }
  expect((await gateway.post('/eth', CALL, { apikey: 'free-key' })).json).toMatchObject({ error: { data: { reason: 'no-room' } } })
})
