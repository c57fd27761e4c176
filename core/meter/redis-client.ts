/**
 * The connection to Redis: one server, the nodes of a cluster, or whichever server the sentinels call the master.
 * Nothing waits for a connection, nothing is sent twice: what was sent when the connection broke has failed.
 */
import { Cluster, Redis } from 'ioredis'
import { scripts } from './redis-scripts.ts'
import type { RedisOptions } from 'ioredis'
import type { StoreSpec } from '../config/snapshot.ts'
import type { ScriptName } from './redis-scripts.ts'

export type RedisSpec = Exclude<StoreSpec, { kind: 'memory' }>

/** Until a connection stands. */
const CONNECT_TIMEOUT_MS = 2000
/** A connection that owes an answer for so long is given up. */
const SILENCE_MS = 10_000
const MAX_RECONNECT_MS = 500
const DEFAULT_PORT = 6379
/** How often the nodes of a cluster are asked who holds what. */
const SLOTS_REFRESH_MS = 10_000

/** What scripts are run with. */
export interface RedisClient {
  /** Whether all keys of a script have to have one tag. */
  readonly isCluster: boolean
  /** Runs a script with numbers and words; a Redis that does not know it is sent its text. Those of one turn of the loop are written at once. */
  run(script: ScriptName, keys: readonly string[], args: readonly (string | number)[]): Promise<number[]>
  close(): void
}

export interface ClientEvents {
  /** A connection stands. */
  ready(): void
  /** There was one, and it broke; `error` says why, where that is known. */
  lost(error: Error | undefined): void
}

type Runner = Record<`${ScriptName}Buffer`, (keys: number, ...keysAndList: string[]) => Promise<Buffer>>

/** Connects, and goes on doing so until it is closed. */
export function connectRedis(spec: RedisSpec, events: ClientEvents): RedisClient {
  const client = openClient(spec)
  let error: Error | undefined
  client.on('error', (latest: Error) => void (error = latest)) // every failure is told to whoever asked, too
  client.on('ready', () => void reach(client).then(() => events.ready()))
  client.on('close', () => events.lost(error))
  for (const [name, lua] of Object.entries(scripts)) client.defineCommand(name, { lua })
  const runner = client as unknown as Runner
  const gather = gathering(client)
  return {
    isCluster: spec.kind === 'cluster',
    run(script, keys, args) {
      gather()
      return runner[`${script}Buffer`](keys.length, ...keys, JSON.stringify(args)).then(numbersIn)
    },
    close: () => client.disconnect(),
  }
}

const SPACE = 0x20
const MINUS = 0x2d
const ZERO = 0x30

/** The whole numbers of an answer, each followed by a space: a dozen for each call. To make a text of each first costs four times as much. */
function numbersIn(answer: Buffer): number[] {
  const numbers: number[] = []
  let sign = 1
  let number = 0
  for (let at = 0; at < answer.length; at++) {
    const c = answer[at]!
    if (c === SPACE) {
      numbers.push(sign * number)
      sign = 1
      number = 0
    } else if (c === MINUS) sign = -1
    else number = number * 10 + c - ZERO
  }
  return numbers
}

/** Connects to the nodes of a cluster before anything is asked of them: it would connect with the first command, and refuse those that come meanwhile. */
async function reach(client: Redis | Cluster): Promise<void> {
  if (client instanceof Cluster) await Promise.allSettled(client.nodes('master').map((node) => node.ping()))
}

/** Lets connections gather what is written until the turn of the loop is over. */
function gathering(client: Redis | Cluster): () => void {
  let isGathering = false
  return () => {
    if (isGathering) return
    isGathering = true
    const streams = (client instanceof Redis ? [client] : client.nodes('master')).flatMap(({ stream }) => stream ?? [])
    for (const stream of streams) stream.cork()
    queueMicrotask(() => {
      isGathering = false
      for (const stream of streams) stream.uncork()
    })
  }
}

const COMMON = {
  connectTimeout: CONNECT_TIMEOUT_MS,
  socketTimeout: SILENCE_MS,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  retryStrategy: (attempt: number) => Math.min(50 * attempt, MAX_RECONNECT_MS),
  // A master that became a replica: the name or the sentinels lead to the new one.
  reconnectOnError: ({ message }: Error) => message.startsWith('READONLY'),
} satisfies RedisOptions

/** A connection as all of ours are. */
export function openClient(spec: RedisSpec): Redis | Cluster {
  if (spec.kind === 'redis') return new Redis(spec.url, COMMON)
  const servers = spec.urls.map(partsOf)
  const addresses = servers.map(({ host, port }) => ({ host, port }))
  const { db, login } = servers[0]!
  if (spec.kind === 'sentinel') return new Redis({ ...COMMON, ...login, ...ofSentinels(login), db, sentinels: addresses, name: spec.name })
  const { retryStrategy: _retry, enableOfflineQueue: _queue, ...ofNodes } = COMMON
  const cluster = new Cluster(addresses, {
    redisOptions: { ...ofNodes, ...login },
    enableOfflineQueue: false,
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    slotsRefreshInterval: SLOTS_REFRESH_MS,
    clusterRetryStrategy: (attempt) => Math.min(50 * attempt, MAX_RECONNECT_MS),
  })
  return cluster.on('+node', (node: Redis) => void node.ping().catch(() => undefined)) // one that joins later is connected to at once, too
}

/** Sentinels are spoken to as their master is. */
function ofSentinels({ username, password, tls }: Login) {
  return {
    ...(username !== undefined && { sentinelUsername: username }),
    ...(password !== undefined && { sentinelPassword: password }),
    ...(tls !== undefined && { sentinelTLS: tls, enableTLSForSentinelMode: true }),
  }
}

interface Login {
  username?: string
  password?: string
  tls?: Record<string, never>
}

/** The parts of `rediss://user:password@host:port/db`. */
function partsOf(url: string): { host: string; port: number; db: number; login: Login } {
  const { protocol, hostname, port, username, password, pathname } = new URL(url)
  return {
    host: hostname.replaceAll(/^\[|\]$/g, ''),
    port: Number(port || DEFAULT_PORT),
    db: Number(pathname.slice(1)),
    login: {
      ...(username !== '' && { username: decodeURIComponent(username) }),
      ...(password !== '' && { password: decodeURIComponent(password) }),
      ...(protocol === 'rediss:' && { tls: {} }),
    },
  }
}
