import { describe, expect, onTestFinished, test } from 'vitest'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { reply, reset, startScriptedNode } from '../support/scripted-node.ts'
import type { Config, TestGateway } from '../support/gateway.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'

const KEY = { apikey: 'paid-key' }

async function start(accessLog: Config = {}, top: Config = {}): Promise<{ node: ScriptedNode; gateway: TestGateway }> {
  const node = await startScriptedNode()
  onTestFinished(() => node.stop())
  const gateway = await startTestGateway(basic({ nodeUrl: node.url, plugins: { 'access-log': accessLog }, top }), { files: basicFiles })
  onTestFinished(() => gateway.stop())
  return { node, gateway }
}

function call(method: string, id: number | undefined = 1): string {
  return JSON.stringify({ jsonrpc: '2.0', id, method, params: ['0xsecret'] })
}

/** The lines of frames, once there are so many. */
async function frames(gateway: TestGateway, count: number): Promise<Record<string, unknown>[]> {
  const lines = async () => (await gateway.logged()).filter((line) => line['plugin'] === 'access-log')
  await expect.poll(async () => (await lines()).length).toBe(count)
  return lines()
}

test('a frame is one line that says who called what, what it cost, what became of it, and how long it took', async () => {
  const { node, gateway } = await start()
  node.next((request, socket, itself) => void setTimeout(() => reply('{"jsonrpc":"2.0","id":{id},"result":1}')(request, socket, itself), 30))
  const { text } = await gateway.post('/eth', call('eth_call'), { ...KEY, 'x-request-id': 'my-request' })
  const [line] = await frames(gateway, 1)
  expect(line).toMatchObject({
    level: 'info',
    plugin: 'access-log',
    msg: 'frame',
    request_id: 'my-request',
    route: 'rpc',
    scheme: 'http',
    remote_addr: '127.0.0.1',
    consumer: 'paula',
    network: 'eth',
    batch: false,
    calls: 1,
    methods: { eth_call: 1 },
    cu: 5,
    outcomes: { ok: 1 },
    status: 200,
    request_bytes: call('eth_call').length,
    response_bytes: text.length,
  })
  expect(line!['upstream_ms']).toBeGreaterThanOrEqual(25)
  expect(line!['gateway_ms']).toBeGreaterThanOrEqual(0)
  expect(line).not.toHaveProperty('why')
})

test('a batch is one line, with the first refusal', async () => {
  const { node, gateway } = await start()
  node.next(reply('[{"jsonrpc":"2.0","id":{id},"result":1},{"jsonrpc":"2.0","id":{id+1},"error":{"code":3,"message":"reverted"}}]'))
  await gateway.post('/eth', `[${call('eth_call')},${call('eth_sign', 2)},7,${call('eth_call', 3)}]`, KEY)
  expect((await frames(gateway, 1))[0]).toMatchObject({
    batch: true,
    calls: 4,
    methods: { eth_call: 2, eth_sign: 1, '(other)': 1 },
    outcomes: { ok: 1, error: 1, refused: 2 },
    cu: 10,
    refused_by: 'whitelist',
    why: 'not-offered',
  })
})

test('who was refused at the door is a line too', async () => {
  const { gateway } = await start()
  await gateway.post('/eth', call('eth_call'), { apikey: 'wrong-key' })
  const [line] = await frames(gateway, 1)
  expect(line).toMatchObject({ status: 401, refused_by: 'key-auth', outcomes: { refused: 1 }, cu: 0 })
  expect(line).not.toHaveProperty('consumer')
})

test('no key, param, result or text that is no method is ever written', async () => {
  const { gateway } = await start()
  await gateway.post('/eth', call('eth_call'), KEY)
  await gateway.post('/eth/v1/free-key?apikey=other-key', call('eth_call'))
  await gateway.post('/eth', call('eth call {"bad-text":1}'), { authorization: 'Bearer wrong-key' })
  await gateway.post('/eth', call(`eth_${'x'.repeat(90)}`), KEY)
  const lines = await frames(gateway, 4)
  expect(JSON.stringify(await gateway.logged())).not.toMatch(/paid-key|free-key|other-key|wrong-key|0xsecret|bad-text|xxxx/)
  expect(lines.map((line) => line['methods'])).toEqual([{ eth_call: 1 }, { eth_call: 1 }, { '(other)': 1 }, { '(other)': 1 }])
})

test('a line names only so many different methods', async () => {
  const { gateway } = await start({ max_methods: 2 })
  const methods = ['eth_call', 'eth_chainId', 'eth_getBalance', 'eth_call', 'constructor', 'hasOwnProperty']
  await gateway.post('/eth', `[${methods.map((method, id) => call(method, id)).join(',')}]`, KEY)
  expect((await frames(gateway, 1))[0]!['methods']).toEqual({ eth_call: 2, eth_chainId: 1, '(other)': 3 })
})

describe('sampling', () => {
  test('writes the share that was asked for, evenly', async () => {
    const { gateway } = await start({ sample: 0.25 })
    for (let i = 0; i < 20; i++) await gateway.post('/eth', call('eth_chainId', i), { ...KEY, 'x-request-id': `request-${i}` })
    expect((await frames(gateway, 5)).map((line) => line['request_id'])).toEqual([3, 7, 11, 15, 19].map((i) => `request-${i}`))
  })

  test('passes over no refusal and no failure, but over a node’s own errors', async () => {
    const { node, gateway } = await start({ sample: 0 })
    await gateway.post('/eth', call('eth_chainId'), KEY)
    node.next(reply('{"jsonrpc":"2.0","id":{id},"error":{"code":3,"message":"reverted"}}'), reset)
    await gateway.post('/eth', call('eth_chainId'), KEY)
    await gateway.post('/eth', call('eth_chainId'), KEY)
    await gateway.post('/eth', call('eth_sign'), KEY)
    expect((await frames(gateway, 2)).map((line) => line['outcomes'])).toEqual([{ upstream_failed: 1 }, { refused: 1 }])
  })

  test('passes over refusals too when told so', async () => {
    const { gateway } = await start({ sample: 0, errors: 'sampled' })
    await gateway.post('/eth', call('eth_sign'), KEY)
    await gateway.post('/eth', call('eth_chainId'), KEY)
    await expect.poll(() => gateway.metric('tollgate_frames_total')).toBe(2)
    expect(await frames(gateway, 0)).toEqual([])
  })
})

test('lines of a level that is not written are not written', async () => {
  const { gateway } = await start({ level: 'debug' }, { log: { level: 'info', file: 'gateway.log' } })
  await gateway.post('/eth', call('eth_chainId'), KEY)
  await gateway.write('gateway.yaml', basic({ nodeUrl: 'http://127.0.0.1:1', plugins: { 'access-log': { level: 'debug' } } }))
  expect(await gateway.reload()).toBe(true)
  await gateway.post('/eth', call('eth_sign'), KEY)
  expect((await frames(gateway, 1))[0]).toMatchObject({ level: 'debug', methods: { eth_sign: 1 } })
})
