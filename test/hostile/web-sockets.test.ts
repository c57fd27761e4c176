/** WebSockets that are used against the gateway: bounded, closed with the code that says why, and no other socket the worse for it. */
import { deflateRawSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { OPCODE, RawWebSocket, frame } from '../support/raw-web-socket.ts'
import { answer, startScriptedNode } from '../support/scripted-node.ts'
import type { TestGateway } from '../support/gateway.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'

const CALL = '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}'

let node: ScriptedNode
let gateway: TestGateway
beforeAll(async () => {
  node = await startScriptedNode()
  const settings = { mode: 'http', compression: true, max_message_bytes: 100_000, max_buffered_bytes: 200_000, max_errors: 10_000 }
  gateway = await startTestGateway(basic({ nodeUrl: node.url, plugins: { 'ws-jsonrpc-proxy': settings } }), { files: basicFiles })
})
afterAll(async () => {
  await gateway.stop()
  await node.stop()
})

async function open(headers: Readonly<Record<string, string>> = {}): Promise<RawWebSocket> {
  const { client, status } = await RawWebSocket.handshake(gateway.gateway.address.port, '/eth', { apikey: 'paid-key', ...headers })
  expect(status).toBe(101)
  return client
}

/** Another socket is served as ever, and nothing of the attack is left. */
async function expectUnharmed(): Promise<void> {
  const client = await open()
  client.send(frame(OPCODE.text, CALL))
  expect((await client.next())?.payload.toString()).toContain('"result"')
  client.end()
  await expect.poll(() => gateway.metric('tollgate_sessions')).toBe(0)
  await expect.poll(() => gateway.metric('tollgate_held_bytes')).toBe(0)
}

test('a message in more fragments than anybody needs is closed with 1008', async () => {
  const client = await open()
  client.send(frame(OPCODE.text, '{', { fin: false }))
  client.send(...Array.from({ length: 2000 }, () => frame(OPCODE.continuation, ' ', { fin: false })))
  expect(await client.closeCode()).toBe(1008)
  await expectUnharmed()
})

test('a message that is small on the way and large when it is here is closed with 1009', async () => {
  const client = await open({ 'Sec-WebSocket-Extensions': 'permessage-deflate' })
  client.send(frame(OPCODE.text, deflateRawSync(Buffer.alloc(50_000_000, ' ')), { rsv: 4 }))
  expect(await client.closeCode()).toBe(1009)
  await expectUnharmed()
})

test('a frame that claims more than may come is closed with 1009 before any of it has', async () => {
  const client = await open()
  client.send(frame(OPCODE.text, '{', { claims: 2 ** 31 }))
  expect(await client.closeCode()).toBe(1009)
  await expectUnharmed()
})

test('pings without an end, by a client that reads none of the answers, end the socket', async () => {
  const client = await open()
  client.socket.pause()
  const flood = Buffer.concat(Array.from({ length: 5000 }, () => frame(OPCODE.ping, 'x'.repeat(125))))
  for (let at = 0; at < 200 && !client.socket.destroyed; at++) {
    client.socket.write(flood)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  await expect.poll(() => gateway.metric('tollgate_sessions'), { timeout: 10_000 }).toBe(0)
  client.end()
  await expectUnharmed()
})

test('calls without an end, by a client that reads none of the answers, are closed as a slow consumer', async () => {
  const before = await gateway.metric('tollgate_slow_consumers_total')
  node.results.set('eth_getLogs', JSON.stringify('x'.repeat(100_000)))
  const client = await open()
  client.socket.pause()
  const calls = frame(OPCODE.text, CALL.replace('eth_blockNumber', 'eth_getLogs'))
  const sending = setInterval(() => client.socket.write(Buffer.concat(Array.from({ length: 20 }, () => calls))), 5)
  await expect.poll(() => gateway.metric('tollgate_slow_consumers_total'), { timeout: 15_000 }).toBe(before + 1)
  clearInterval(sending)
  client.end()
  await expectUnharmed()
})

test('a client that sends more calls at once than it may is not read, and then served', async () => {
  const client = await open()
  client.send(...Array.from({ length: 500 }, (_, at) => frame(OPCODE.text, CALL.replace('"id":1', `"id":${at}`))))
  const ids = new Set<unknown>()
  for (let at = 0; at < 500; at++) ids.add((JSON.parse((await client.next())!.payload.toString()) as { id: unknown }).id)
  expect(ids.size).toBe(500)
  client.end()
  await expectUnharmed()
})

test('thousands of messages that wait for a node, and are then answered at once, are answered one after the other', async () => {
  const late: (() => void)[] = []
  node.script((request, socket, of) => late.push(() => answer(request, socket, of)))
  const client = await open()
  const held = Array.from({ length: 64 }, (_, at) => frame(OPCODE.text, CALL.replace('"id":1', `"id":${at}`)))
  const NOTHING = 7000
  client.socket.write(Buffer.concat([...held, ...Array.from({ length: NOTHING }, () => frame(OPCODE.text, '[0]'))]))
  await expect.poll(() => late.length).toBe(64)
  node.script(undefined)
  for (const run of late) run()
  for (let at = 0; at < 64 + NOTHING; at++) expect(await client.next()).toBeDefined()
  client.end()
  await expectUnharmed()
})

test('batches in which nothing is a call count as messages that are no JSON-RPC', async () => {
  const client = await open()
  client.socket.write(Buffer.concat(Array.from({ length: 10_001 }, () => frame(OPCODE.text, '[0,{}]'))))
  expect(await client.closeCode()).toBe(1008)
  client.end()
  await expectUnharmed()
})

test('messages that are small on the way, and wait, count as held', async () => {
  const late: (() => void)[] = []
  node.script((request, socket, of) => late.push(() => answer(request, socket, of)))
  const client = await open({ 'Sec-WebSocket-Extensions': 'permessage-deflate' })
  const held = Array.from({ length: 64 }, (_, at) => frame(OPCODE.text, CALL.replace('"id":1', `"id":${at}`)))
  const large = frame(OPCODE.text, deflateRawSync(CALL.replace('1,', `1,${' '.repeat(99_000)}`)), { rsv: 4 })
  client.socket.write(Buffer.concat([...held, ...Array.from({ length: 50 }, () => large)]))
  await expect.poll(() => late.length).toBe(64)
  await expect.poll(() => gateway.metric('tollgate_held_bytes')).toBeGreaterThan(50 * 99_000)
  client.end()
  node.script(undefined)
  await expectUnharmed()
})
