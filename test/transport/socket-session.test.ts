import { describe, expect, test } from 'vitest'
import { draw, refuse } from '#plugin'
import { startSockets } from './fixture.ts'
import type { Member } from '../pipeline/fixture.ts'

const ids = (messages: readonly string[]): unknown[] => messages.map((message) => (JSON.parse(message) as { id: unknown }).id)

describe('calls in flight', () => {
  test('above the bound wait: the socket is paused, nothing is refused, nothing is lost', async () => {
    const { connect, waiting } = await startSockets({ settings: { maxInFlight: 2 } })
    const { call, messages } = await connect()
    for (let id = 1; id <= 5; id++) call(id)
    await expect.poll(() => waiting.length).toBe(2)
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(waiting).toHaveLength(2)
    for (let answered = 0; answered < 5; answered++) {
      await expect.poll(() => waiting.length).toBeGreaterThan(answered)
      waiting[answered]!.answer()
    }
    await expect.poll(() => messages.length).toBe(5)
    expect(ids(messages)).toEqual([1, 2, 3, 4, 5])
  })

  test('may overtake each other, as they do on a node', async () => {
    const { connect, waiting } = await startSockets()
    const { call, messages } = await connect()
    call(1, 'slow')
    call(2, 'quick')
    await expect.poll(() => waiting.length).toBe(2)
    waiting[1]!.answer()
    await expect.poll(() => ids(messages)).toEqual([2])
    waiting[0]!.answer()
    await expect.poll(() => ids(messages)).toEqual([2, 1])
  })
})

describe('a session', () => {
  test('runs its close hooks once, however it ends', async () => {
    const log: string[] = []
    const recording: Member = { name: 'rec', priority: 1, instance: { open: () => void log.push('open'), close: () => void log.push('close') } }
    const { connect, core } = await startSockets({ members: [recording] })
    const polite = await connect()
    const abrupt = await connect()
    expect(core.sessions.ws.value).toBe(2)
    polite.socket.close(1000)
    abrupt.socket.terminate()
    await expect.poll(() => core.sessions.ws.value).toBe(0)
    expect(log).toEqual(['open', 'open', 'close', 'close'])
  })

  test('that ends cancels what it had in flight and tells whoever pushes to it, once', async () => {
    const { connect, waiting, subscribers, core } = await startSockets()
    const { call, socket } = await connect()
    call(1)
    await expect.poll(() => waiting.length).toBe(1)
    const ends: unknown[] = []
    subscribers[0]!.onClose((code, reason) => ends.push([code, reason]))
    socket.close(4321, 'done')
    await expect.poll(() => ends).toEqual([[4321, 'done']])
    waiting[0]!.answer()
    await expect.poll(() => core.frames.ws.value).toBe(0)
    expect(ends).toHaveLength(1)
  })

  test('is drained with 1001 after the answers that are under way', async () => {
    const { connect, waiting, sessions } = await startSockets()
    const { call, messages, closed } = await connect()
    call(1)
    await expect.poll(() => waiting.length).toBe(1)
    sessions.drain()
    waiting[0]!.answer()
    expect((await closed).code).toBe(1001)
    expect(ids(messages)).toEqual([1])
  })

  test('lives no longer than its maximum lifetime', async () => {
    const { connect } = await startSockets({ settings: { maxLifetimeMs: 30 } })
    expect((await (await connect()).closed).code).toBe(1001)
  })

  test('of a client that answers no pings is cut', async () => {
    const { port, core } = await startSockets({ settings: { pingIntervalMs: 15 } })
    const { RawWebSocket } = await import('../support/raw-web-socket.ts')
    const { client } = await RawWebSocket.handshake(port, '/eth')
    await expect.poll(() => core.sessions.ws.value).toBe(1)
    await expect.poll(() => core.sessions.ws.value).toBe(0)
    client.end()
  })

  test('of a client that answers pings stays', async () => {
    const { connect, core } = await startSockets({ settings: { pingIntervalMs: 10 } })
    await connect()
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(core.sessions.ws.value).toBe(1)
  })

  test('whose credential expires is closed with 4401', async () => {
    const expiring: Member = { name: 'jwt', priority: 1, instance: { open: (session) => session.expireAt(Date.now() + 40) } }
    const { connect } = await startSockets({ members: [expiring] })
    expect(await (await connect()).closed).toEqual({ code: 4401, reason: 'credential expired' })
  })
})

describe('a session that a new snapshot judges', () => {
  test('is closed with 4401 when its key is revoked, and others stay', async () => {
    let revoked = false
    const auth: Member = { name: 'auth', priority: 1, instance: { open: () => (revoked ? refuse('unauthorized', 'invalid-key') : undefined) } }
    const { connect, sessions, core } = await startSockets({ members: [auth], atOnce: true })
    const { closed, call, messages } = await connect()
    sessions.rejudge()
    call(1)
    await expect.poll(() => messages.length).toBe(1)
    revoked = true
    sessions.rejudge()
    expect(await closed).toEqual({ code: 4401, reason: 'invalid-key' })
    await expect.poll(() => core.sessions.ws.value).toBe(0)
  })

  test('waits with its messages while it is judged, and loses none', async () => {
    let admit = (): void => undefined
    let opened = 0
    const slow: Member = {
      name: 'slow',
      priority: 1,
      instance: { open: () => (opened++ === 0 ? undefined : new Promise<undefined>((resolve) => (admit = () => resolve(undefined)))) },
    }
    const { connect, sessions } = await startSockets({ members: [slow], atOnce: true })
    const { call, messages } = await connect()
    sessions.rejudge()
    call(1)
    call(2)
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(messages).toEqual([])
    admit()
    await expect.poll(() => ids(messages)).toEqual([1, 2])
  })

  test('is closed with 1008 when its route is gone', async () => {
    const { connect, sessions, world } = await startSockets()
    const { closed } = await connect()
    world.destination = undefined
    sessions.rejudge()
    expect((await closed).code).toBe(1008)
  })
})

describe('notifications', () => {
  const notification = (text: string) => ({ subscribeMethod: 'eth_subscribe', topic: 'newHeads', message: text })

  test('are metered: what a plugin drops or a budget has no room for is not sent, and both are counted', async () => {
    let budget = 2
    const metering: Member = {
      name: 'meter',
      priority: 1,
      instance: {
        push: (push) => (push.topic === 'logs' ? 'drop' : draw('meter', 'k', 2, { kind: 'fixed', ms: 1000 }, 1, () => refuse('limited', 'x'))),
      },
    }
    const { connect, subscribers, core } = await startSockets({ members: [metering], atOnce: true })
    const { call, messages } = await connect()
    call(1)
    await expect.poll(() => messages.length).toBe(1)
    subscribers[0]!.push({ ...notification('"a"'), topic: 'logs' })
    for (; budget > 0; budget--) subscribers[0]!.push(notification('"b"'))
    await expect.poll(() => messages.slice(1)).toEqual(['"b"', '"b"'])
    expect(core.sockets.pushesDropped.value).toBe(1)
    expect(core.sockets.pushesSent.value).toBe(2)
  })

  test('towards a client that does not read cost at most the buffer bound, then the socket is closed with 1013', async () => {
    const { connect, subscribers, core } = await startSockets({ settings: { maxBufferedBytes: 1_000_000 }, atOnce: true })
    const slow = await connect()
    const other = await connect()
    for (const [at, client] of [slow, other].entries()) {
      client.call(1)
      await expect.poll(() => subscribers.length).toBe(at + 1)
      await expect.poll(() => client.messages.length).toBe(1)
    }
    slow.socket.pause()
    const text = `"${'x'.repeat(100_000)}"`
    for (let sent = 0; sent < 400 && core.sockets.slowConsumers.value === 0; sent++) {
      subscribers[0]!.push(notification(text))
      if (sent % 10 === 0) subscribers[1]!.push(notification(`"${sent}"`))
      await new Promise(setImmediate)
    }
    expect(core.sockets.slowConsumers.value).toBe(1)
    slow.socket.resume()
    expect((await slow.closed).code).toBe(1013)
    const forOther = other.messages.length
    expect(forOther).toBeGreaterThan(1)
    other.call(2)
    await expect.poll(() => ids(other.messages.filter((message) => message.startsWith('{')))).toEqual([1, 2])
  })

  test.each(['close', 'drop-oldest'] as const)(
    'towards a client that takes nothing for too long end the socket, however little waits (%s)',
    async (slowConsumer) => {
      const { connect, subscribers, core } = await startSockets({ settings: { slowConsumer }, writeTimeoutMs: 50, atOnce: true })
      const { call, socket, messages, closed } = await connect()
      call(1)
      await expect.poll(() => messages.length).toBe(1)
      socket.pause()
      // More than the buffers of the system take, and less than may wait.
      for (let sent = 0; sent < 70; sent++) subscribers[0]!.push(notification(`"${'x'.repeat(100_000)}"`))
      await expect.poll(() => core.sockets.slowConsumers.value).toBe(1)
      socket.resume()
      expect([1013, 1006]).toContain((await closed).code)
    },
  )

  test('are dropped from the oldest where that is chosen, and the client goes on with the newest', async () => {
    const { connect, subscribers, core } = await startSockets({ settings: { maxBufferedBytes: 1_000_000, slowConsumer: 'drop-oldest' }, atOnce: true })
    const { call, socket, messages } = await connect()
    call(0)
    await expect.poll(() => messages.length).toBe(1)
    socket.pause()
    let sent = 0
    for (; sent < 400 && core.sockets.pushesDropped.value < 5; sent++) {
      subscribers[0]!.push(notification(`{"id":${sent},"x":"${'x'.repeat(100_000)}"}`))
      await new Promise(setImmediate)
    }
    expect(core.sockets.pushesDropped.value).toBeGreaterThanOrEqual(5)
    socket.resume()
    const got = (): number[] => ids(messages.slice(1)) as number[]
    await expect.poll(() => got().at(-1)).toBe(sent - 1)
    expect(got()).toEqual(got().toSorted((a, b) => a - b))
    expect(got()).toHaveLength(sent - core.sockets.pushesDropped.value)
  })
})

test('an answer that is larger than the connection takes is told so, and the socket stays open', async () => {
  const { connect } = await startSockets({ settings: { maxAnswerBytes: 10 }, atOnce: true })
  const { call, messages } = await connect()
  call(1, 'a_method_with_a_long_name')
  call(2, 'short')
  await expect.poll(() => messages.length).toBe(2)
  expect(messages[0]).toContain('answer-too-large')
  expect(messages[1]).toContain('"result":"short"')
})
