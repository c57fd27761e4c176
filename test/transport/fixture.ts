/** WebSockets on a real server, before a pipeline whose upstream the test holds in its hand. */
import { createServer } from 'node:http'
import { once } from 'node:events'
import { expect, onTestFinished } from 'vitest'
import { WebSocket } from 'ws'
import { LiveSession } from '../../core/pipeline/session.ts'
import { acceptWebSockets } from '../../core/transport/handshake.ts'
import { answer } from '#plugin'
import { pipelineOf } from '../pipeline/fixture.ts'
import type { AddressInfo } from 'node:net'
import type { ExchangeContext, Subscriber } from '../../core/pipeline/ports.ts'
import type { Payload } from '../../core/jsonrpc/encode.ts'
import type { RpcRequest } from '../../core/jsonrpc/frame.ts'
import type { Outcome, WebSocketSettings } from '#plugin'
import type { Door } from '../../core/transport/door.ts'
import type { FixtureOptions, Member } from '../pipeline/fixture.ts'

const SETTINGS: WebSocketSettings = {
  mode: 'shared',
  maxInFlight: 64,
  maxSubscriptions: 100,
  maxMessageBytes: 1_048_576,
  maxAnswerBytes: 16_777_216,
  maxBufferedBytes: 8_388_608,
  slowConsumer: 'close',
  maxErrors: 100,
  pingIntervalMs: 30_000,
  maxLifetimeMs: undefined,
  compression: false,
  origins: undefined,
}

/** A call that waits for the test to answer it. */
interface Waiting {
  readonly method: string
  answer(): void
}

export interface SocketsOptions extends Pick<FixtureOptions, 'members' | 'meter' | 'maxHeldBytes' | 'maxBacklogBytes'> {
  readonly settings?: Partial<WebSocketSettings>
  readonly writeTimeoutMs?: number
  readonly requestTimeoutMs?: number
  /** What every call is answered with; without it the name of its method. */
  readonly payload?: Payload
  /** Answers every call at once instead of leaving it to `waiting`. */
  readonly atOnce?: boolean
}

export async function startSockets(options: SocketsOptions = {}) {
  const { settings = {}, writeTimeoutMs = 30_000, requestTimeoutMs = 30_000, members = [], payload, atOnce = false } = options
  const waiting: Waiting[] = []
  const subscribers: Subscriber[] = []
  const upstream = (requests: readonly RpcRequest[], context: ExchangeContext): Promise<readonly Outcome[]> => {
    if (context.subscriber !== undefined && !subscribers.includes(context.subscriber)) subscribers.push(context.subscriber)
    const outcomes = requests.map((request): Outcome => (payload === undefined ? answer(`"${request.method}"`) : { kind: 'result', payload }))
    if (atOnce) return Promise.resolve(outcomes)
    return new Promise((resolve) => waiting.push({ method: requests[0]!.method, answer: () => resolve(outcomes) }))
  }
  const open: Member = { name: 'ws', priority: 0, instance: { webSocket: { ...SETTINGS, ...settings } } }
  const { pipeline, destination, metrics, core } = pipelineOf({ ...options, members: [...members, open], upstream })
  const world = { destination: destination as typeof destination | undefined }
  const door: Door = {
    pipeline,
    sockets: core.sockets,
    enter: (origin) => (world.destination === undefined ? undefined : new LiveSession(origin, world.destination, 'r1', 0)),
    find: () => world.destination,
    now: () => Date.now(),
    isDraining: () => false,
    refusedAtEdge: () => undefined,
  }
  const server = createServer()
  const sessions = acceptWebSockets(server, door, { writeTimeoutMs, requestTimeoutMs })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { room, backlog } = pipeline.load
  onTestFinished(async () => {
    sessions.cut()
    server.close()
    await expect.poll(() => [room.held.value, backlog.held.value]).toEqual([0, 0]) // whoever has gone holds nothing
  })
  const { port } = server.address() as AddressInfo
  return {
    /** Calls that reached the node and wait for an answer. */
    waiting,
    /** The gateway's ends of the sockets that have called. */
    subscribers,
    sessions,
    metrics,
    core,
    world,
    load: pipeline.load,
    settings: { ...SETTINGS, ...settings },
    port,
    connect: async (): Promise<Client> => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/eth`)
      onTestFinished(() => socket.terminate())
      const messages: string[] = []
      socket.on('message', (message: Buffer) => messages.push(message.toString()))
      const closed = once(socket, 'close').then(([code, reason]) => ({ code: code as number, reason: String(reason) }))
      await once(socket, 'open')
      return { socket, messages, closed, call: (id, method = 'm') => socket.send(`{"jsonrpc":"2.0","id":${id},"method":"${method}"}`) }
    },
  }
}

export interface Client {
  readonly socket: WebSocket
  readonly messages: string[]
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>
  readonly call: (id: number, method?: string) => void
}
