/** What WebSockets hold in memory: messages while they arrive, and what their clients have not read. All of it is bounded for all of them together. */
import { once } from 'node:events'
import { constants, deflateRawSync } from 'node:zlib'
import { describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { Outbox } from '../../core/transport/outbox.ts'
import { draw, refuse } from '#plugin'
import { OPCODE, RawWebSocket, frame } from '../support/raw-web-socket.ts'
import { startSockets } from './fixture.ts'
import type { AddressInfo } from 'node:net'
import type { Client } from './fixture.ts'

const CALL = '{"jsonrpc":"2.0","id":1,"method":"m"}'
const KIB = 1024

async function rawClient(port: number, headers: Readonly<Record<string, string>> = {}): Promise<RawWebSocket> {
  const { client, status } = await RawWebSocket.handshake(port, '/eth', headers)
  expect(status).toBe(101)
  onTestFinished(() => client.end())
  return client
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise(setImmediate)
}

describe('a message that arrives', () => {
  test('counts while it is under way, in one frame or in many', async () => {
    const { port, load } = await startSockets({ atOnce: true })
    const held = (): number => load.room.held.value
    const client = await rawClient(port)
    const whole = frame(OPCODE.text, ' '.repeat(300 * KIB))
    client.send(whole.subarray(0, 200 * KIB))
    await expect.poll(held).toBeGreaterThan(199 * KIB)
    client.send(whole.subarray(200 * KIB))
    await client.next()
    expect(held()).toBe(0)
    client.send(frame(OPCODE.text, ' '.repeat(100 * KIB), { fin: false }), frame(OPCODE.continuation, ' '.repeat(100 * KIB), { fin: false }))
    await expect.poll(held).toBe(200 * KIB)
    client.send(frame(OPCODE.ping), frame(OPCODE.continuation, CALL))
    await client.next()
    expect(held()).toBe(0)
  })

  test('for which there is no room ends its socket, and no other', async () => {
    const { port, load, core } = await startSockets({ atOnce: true, maxHeldBytes: 600 * KIB })
    const calm = await rawClient(port)
    const greedy = await Promise.all(Array.from({ length: 10 }, () => rawClient(port)))
    for (const client of greedy) client.send(frame(OPCODE.text, ' '.repeat(90 * KIB), { fin: false }))
    await expect.poll(() => core.sessions.ws.value).toBe(6)
    expect(load.room.held.value).toBe(5 * 90 * KIB)
    calm.send(frame(OPCODE.text, CALL))
    expect((await calm.next())?.payload.toString()).toContain('"result"')
  })

  test('compressed and in fragments counts as all that it may become', async () => {
    const { port, load } = await startSockets({ atOnce: true, settings: { compression: true, maxMessageBytes: 300 * KIB } })
    const client = await rawClient(port, { 'Sec-WebSocket-Extensions': 'permessage-deflate' })
    const deflate = (text: string): Buffer => deflateRawSync(text, { finishFlush: constants.Z_SYNC_FLUSH })
    const [head, tail] = [deflate(' '.repeat(200 * KIB)), deflate(CALL)]
    client.send(frame(OPCODE.text, head, { fin: false, rsv: 4 }))
    await expect.poll(() => load.room.held.value).toBe(300 * KIB)
    client.send(frame(OPCODE.continuation, tail))
    expect((await client.next())?.payload.toString()).toContain('"result"')
    expect(load.room.held.value).toBe(0)
  })

  test('but is not whole after the time that a request has is closed with 1008', async () => {
    const { port } = await startSockets({ atOnce: true, requestTimeoutMs: 50 })
    const client = await rawClient(port)
    client.send(frame(OPCODE.text, '{', { fin: false }))
    const pongs = setInterval(() => client.send(frame(OPCODE.pong)), 5)
    expect(await client.closeCode()).toBe(1008)
    clearInterval(pongs)
  })

  test('in time is served, however many came before it in pieces', async () => {
    const { port } = await startSockets({ atOnce: true, requestTimeoutMs: 1000 })
    const client = await rawClient(port)
    const message = frame(OPCODE.text, CALL)
    client.send(message.subarray(0, 10))
    for (let at = 0; at < 60; at++) {
      await new Promise((resolve) => setTimeout(resolve, 20))
      client.send(message.subarray(10), message.subarray(0, 10))
      expect((await client.next())?.opcode).toBe(OPCODE.text)
    }
  })
})

describe('what clients have not read', () => {
  const EVENT = `"${'x'.repeat(100 * KIB)}"`
  const notification = (seq: number) => ({ subscribeMethod: 'eth_subscribe', topic: 'logs', message: `{"seq":${seq},"fill":${EVENT}}` })
  const seqs = ({ messages }: Client): number[] => messages.filter((text) => text.startsWith('{"seq"')).map((text) => Number(/\d+/.exec(text)))

  /** Pushes to one client that reads and three that do not; tells the most that waited at once. */
  async function push(rounds: number, slowConsumer: 'close' | 'drop-oldest') {
    const maxBacklogBytes = 4 * KIB * KIB
    const fixture = await startSockets({ settings: { slowConsumer, maxBufferedBytes: 2 ** 30 }, maxBacklogBytes, atOnce: true })
    const { connect, subscribers, load } = fixture
    const clients: Client[] = []
    for (let at = 0; at < 4; at++) {
      const client = await connect()
      client.call(1)
      await expect.poll(() => subscribers.length).toBe(at + 1)
      await expect.poll(() => client.messages.length).toBe(1)
      clients.push(client)
    }
    const [brisk, ...slow] = clients
    for (const { socket } of slow) socket.pause()
    let most = 0
    for (let seq = 1; seq <= rounds; seq++) {
      for (const subscriber of subscribers) subscriber.push(notification(seq))
      most = Math.max(most, load.backlog.held.value)
      await new Promise(setImmediate)
      most = Math.max(most, load.backlog.held.value)
      await until(() => brisk!.messages.length > seq - 10)
    }
    await expect.poll(() => seqs(brisk!)).toEqual(Array.from({ length: rounds }, (_, at) => at + 1))
    expect(most).toBeLessThanOrEqual(maxBacklogBytes)
    expect(most).toBeGreaterThan(maxBacklogBytes / 2)
    return { ...fixture, slow }
  }

  test('ends the sockets of those who are far behind once all of them leave too much, and of nobody else', async () => {
    const { core, slow } = await push(300, 'close')
    expect(core.sockets.slowConsumers.value).toBe(slow.length)
    for (const { socket } of slow) socket.resume()
    for (const { closed } of slow) expect([1013, 1006]).toContain((await closed).code)
  })

  test('is dropped where that is chosen', async () => {
    const { core, slow } = await push(300, 'drop-oldest')
    expect(core.sockets.slowConsumers.value).toBe(0)
    expect(core.sockets.pushesDropped.value).toBeGreaterThan(100)
    for (const { socket } of slow) socket.resume()
    for (const client of slow) {
      await expect.poll(() => seqs(client).length).toBeGreaterThan(0)
      expect(seqs(client)).toEqual(seqs(client).toSorted((a, b) => a - b))
    }
  })

  test.each(['close', 'drop-oldest'] as const)('in its socket ends that as well, where nothing else can be let go of (%s)', async (slowConsumer) => {
    const { connect, subscribers, core, load } = await startSockets({ settings: { slowConsumer }, maxBacklogBytes: 50 * KIB, atOnce: true })
    const { call, socket, messages, closed } = await connect()
    call(1)
    await expect.poll(() => messages.length).toBe(1)
    socket.pause()
    for (let seq = 1; seq < 1000 && core.sockets.slowConsumers.value === 0; seq++) {
      subscribers[0]!.push(notification(seq))
      await new Promise(setImmediate)
    }
    expect(core.sockets.slowConsumers.value).toBe(1)
    await expect.poll(() => load.backlog.held.value).toBe(0)
    socket.resume()
    await closed
  })

  test('of a meter that has to be waited for is bounded as well', async () => {
    const counted: (() => void)[] = []
    const meter = { draw: () => new Promise<readonly number[]>((resolve) => counted.push(() => resolve([-1]))) }
    const claim = draw('meter', 'k', 1, { kind: 'fixed', ms: 1000 }, 1, () => refuse('limited', 'x'))
    const members = [{ name: 'meter', priority: 1, instance: { push: () => ({ ...claim }) } }]
    const { connect, subscribers, core, load } = await startSockets({
      settings: { slowConsumer: 'drop-oldest' },
      maxBacklogBytes: 1000 * KIB,
      meter,
      members,
      atOnce: true,
    })
    const client = await connect()
    client.call(1)
    await expect.poll(() => client.messages.length).toBe(1)
    for (let seq = 1; seq <= 20; seq++) subscribers[0]!.push(notification(seq))
    expect(load.backlog.held.value).toBeGreaterThan(800 * KIB)
    expect(load.backlog.held.value).toBeLessThanOrEqual(1000 * KIB)
    const dropped = core.sockets.pushesDropped.value
    for (let seq = 1; seq <= 20 - dropped; seq++) {
      await expect.poll(() => counted.length).toBe(seq)
      counted[seq - 1]!()
    }
    await expect.poll(() => seqs(client)).toEqual(Array.from({ length: 20 - dropped }, (_, at) => at + 1))
    await expect.poll(() => load.backlog.held.value).toBe(0)
  })

  test('is forgotten once its socket has closed, also where something is on its way in this very turn', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    onTestFinished(() => server.close())
    await once(server, 'listening')
    const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
    onTestFinished(() => client.terminate())
    const [[socket]] = (await Promise.all([once(server, 'connection'), once(client, 'open')])) as [[WebSocket], unknown]
    const { load, settings } = await startSockets()
    const outbox = new Outbox(socket, settings, 30_000, load, () => undefined)
    socket.close() // ws counts what is sent from now on, and nothing takes it away again
    outbox.answer(CALL)
    outbox.close()
    await new Promise(setImmediate)
    expect(load.backlog.held.value).toBe(0)
  })

  test('of large answers has its place among answers until it is read, or the socket has closed', async () => {
    const payload = Buffer.from(`"${'x'.repeat(20_000_000)}"`)
    const { connect, load } = await startSockets({ settings: { maxAnswerBytes: 2 ** 30 }, payload, atOnce: true })
    const held = (): number => load.room.held.value
    const { call, socket, messages } = await connect()
    socket.pause()
    call(1)
    call(2)
    await expect.poll(held).toBeGreaterThan(payload.length)
    expect(held()).toBeLessThan(payload.length + KIB) // the same bytes twice
    expect(load.backlog.held.value).toBeLessThan(KIB)
    socket.resume()
    await expect.poll(() => messages.length).toBe(2)
    await expect.poll(held).toBe(0)
    socket.pause()
    call(3)
    await expect.poll(held).toBeGreaterThan(payload.length)
    socket.terminate()
    await expect.poll(held).toBe(0)
  })

  test('of one answer that is larger than what may wait for a slow reader ends nothing: it is read as fast as the client can', async () => {
    const payload = Buffer.from(`"${'x'.repeat(12_000_000)}"`)
    const { connect, core } = await startSockets({ payload, atOnce: true })
    const { call, messages } = await connect()
    for (let id = 1; id <= 3; id++) {
      call(id)
      await expect.poll(() => messages.length).toBe(id)
    }
    expect(core.sockets.slowConsumers.value).toBe(0)
  })
})
