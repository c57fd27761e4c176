/**
 * Load with a memory: clients that call over HTTP and WebSocket at a steady rate, each a consumer of its own, and each with
 * a history of what it asked for and what it was answered. What the gateway recorded is held against these histories:
 * acknowledged ≤ recorded ≤ attempted.
 */
import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { WebSocket } from 'ws'

/** Methods and what they cost, as `basicFiles` has it. */
const PRICES: readonly (readonly [method: string, cu: number])[] = [
  ['eth_blockNumber', 1],
  ['eth_getBalance', 2],
  ['eth_call', 5],
  ['eth_getLogs', 10],
]
/** What may be lost when the process is killed: what it served within its flush interval. */
const FLUSH_MS = 1000
/** How long a client remembers when it was served what: longer than a killed process takes to end. */
const REMEMBERED_MS = 10 * FLUSH_MS
/** A frame without an answer for so long will have none. */
const GIVE_UP_MS = 20_000
/** The statuses of the table of errors, and of refused connections. */
const STATUSES = new Set([200, 401, 403, 405, 408, 413, 429, 502, 503, 504])

interface Answer {
  readonly id: number
  readonly error?: { readonly code: number; readonly message: string; readonly data?: { readonly reason?: string } }
}

/** One consumer. */
export class LoadClient {
  readonly key: string
  /** CU of all calls that were sent. */
  attempted = 0
  /** CU of all calls that a node answered. */
  acknowledged = 0
  /** CU that a killed process may have taken with it. */
  forgivable = 0
  readonly username: string
  private readonly recent: (readonly [atMs: number, cu: number])[] = []

  constructor(username: string) {
    this.username = username
    this.key = `key-of-${username}`
  }

  acknowledge(cu: number): void {
    const now = performance.now()
    this.acknowledged += cu
    this.recent.push([now, cu])
    while (this.recent[0]![0] < now - REMEMBERED_MS) this.recent.shift()
  }

  /** The process was killed at that moment of `performance.now()`, and has ended; what it had answered by then may have been heard after. */
  forgive(killedAt: number): void {
    for (const [at, cu] of this.recent) if (at >= killedAt - FLUSH_MS) this.forgivable += cu
  }
}

export interface LoadOptions {
  readonly http: number
  readonly ws: number
  /** Frames per second of all clients together. */
  readonly perSecond: number
}

export class Load {
  readonly clients: readonly LoadClient[]
  /** Frames by what became of them: `ok`, the reason of a refusal, `lost` where the connection went. */
  readonly outcomes = new Map<string, number>()
  /** Sockets that were open and have closed, by code. */
  readonly closes = new Map<number, number>()
  /** What must not be, in words. */
  readonly odd: string[] = []
  /** The longest that a frame took to be answered; may be set back to 0. Milliseconds. */
  slowestMs = 0
  private readonly options: LoadOptions
  private readonly agent = new Agent({ connections: 64, pipelining: 1 })
  private urls: readonly string[] = []
  private isOver = false
  private loops: Promise<void>[] = []

  constructor(options: LoadOptions) {
    this.options = options
    this.clients = Array.from({ length: options.http + options.ws }, (_, at) => new LoadClient(`client-${at}`))
  }

  /** For the configuration of the gateway. */
  get consumers(): readonly Record<string, unknown>[] {
    return this.clients.map(({ username, key }) => ({ username, plan: 'load', plugins: { 'key-auth': { key } } }))
  }

  /** Begins to call `http://HOST:PORT/NETWORK`: with several, any of them each time. */
  start(...urls: readonly string[]): void {
    this.urls = urls
    const everyMs = (1000 * this.clients.length) / this.options.perSecond
    this.loops = this.clients.map((client, at) => (at < this.options.http ? this.callOverHttp(client, everyMs) : this.callOverSocket(client, everyMs)))
  }

  /** Stops, and waits for what is under way. */
  async stop(): Promise<void> {
    this.isOver = true
    await Promise.all(this.loops)
    await this.agent.destroy()
  }

  get frames(): number {
    return [...this.outcomes.values()].reduce((sum, count) => sum + count, 0)
  }

  count(outcome: string): number {
    return this.outcomes.get(outcome) ?? 0
  }

  /** Where what was recorded cannot be, per consumer; empty when all is right. */
  violations(recorded: ReadonlyMap<string, number>): string[] {
    return this.clients.flatMap(({ username, attempted, acknowledged, forgivable }) => {
      const used = recorded.get(username) ?? 0
      if (used > attempted) return [`${username} was charged ${used} CU and asked for ${attempted}`]
      return used < acknowledged - forgivable ? [`${username} was charged ${used} CU and was served ${acknowledged}, of which ${forgivable} may be lost`] : []
    })
  }

  /** Where not exactly that was recorded which the caller was told was served, per consumer: what a stop that waits must come to. */
  differences(recorded: ReadonlyMap<string, number>): string[] {
    return this.clients.flatMap(({ username, acknowledged }) => {
      const used = recorded.get(username) ?? 0
      return used === acknowledged ? [] : [`${username} was charged ${used} CU and was served ${acknowledged}`]
    })
  }

  private async callOverHttp(client: LoadClient, everyMs: number): Promise<void> {
    await delay(Math.random() * everyMs)
    while (!this.isOver) {
      const { text, prices } = frameOf(client)
      const headers = { apikey: client.key, 'content-type': 'application/json' }
      const askedAt = performance.now()
      try {
        const answer = await request(this.anyUrl(), {
          method: 'POST',
          headers,
          body: text,
          dispatcher: this.agent,
          headersTimeout: GIVE_UP_MS,
          bodyTimeout: GIVE_UP_MS,
        })
        const body = await answer.body.text()
        this.took(askedAt)
        if (!STATUSES.has(answer.statusCode)) this.odd.push(`status ${answer.statusCode}: ${body.slice(0, 200)}`)
        this.take(client, body, prices)
      } catch {
        this.note('lost')
      }
      await delay(everyMs)
    }
  }

  private async callOverSocket(client: LoadClient, everyMs: number): Promise<void> {
    await delay(Math.random() * everyMs)
    while (!this.isOver) {
      const socket = new WebSocket(this.anyUrl().replace('http', 'ws'), { headers: { apikey: client.key }, handshakeTimeout: GIVE_UP_MS })
      const ended = new Promise<void>((resolve) => socket.on('close', () => resolve()).on('error', () => socket.terminate()))
      const opened = new Promise<boolean>((resolve) => socket.on('open', () => resolve(true)).on('close', () => resolve(false)))
      if (await opened) {
        socket.on('close', (code) => this.closes.set(code, (this.closes.get(code) ?? 0) + 1))
        await this.callOn(socket, client, everyMs)
      }
      socket.close()
      await ended
      await delay(100)
    }
  }

  /** One frame at a time, until the socket goes or the load is over. */
  private async callOn(socket: WebSocket, client: LoadClient, everyMs: number): Promise<void> {
    while (!this.isOver && socket.readyState === socket.OPEN) {
      const { text, prices } = frameOf(client)
      const answered = new Promise<string | undefined>((resolve) => {
        const timer = setTimeout(() => resolve(undefined), GIVE_UP_MS)
        const done = (message?: string): void => {
          clearTimeout(timer)
          socket.off('message', hear).off('close', gone)
          resolve(message)
        }
        const hear = (message: Buffer): void => done(message.toString())
        const gone = (): void => done()
        socket.on('message', hear).on('close', gone)
      })
      const askedAt = performance.now()
      socket.send(text)
      const answer = await answered
      if (answer === undefined) this.note('lost')
      else {
        this.took(askedAt)
        this.take(client, answer, prices)
      }
      await delay(everyMs)
    }
  }

  private anyUrl(): string {
    return this.urls[Math.floor(Math.random() * this.urls.length)]!
  }

  private took(askedAt: number): void {
    this.slowestMs = Math.max(this.slowestMs, performance.now() - askedAt)
  }

  private take(client: LoadClient, text: string, prices: ReadonlyMap<number, number>): void {
    let answers: readonly Answer[]
    try {
      answers = [JSON.parse(text) as Answer | Answer[]].flat()
    } catch {
      this.odd.push(`no JSON: ${text.slice(0, 200)}`)
      return
    }
    for (const { id, error } of answers) {
      const cu = prices.get(id)
      const reason = error?.data?.reason
      if (cu === undefined && id !== null) this.odd.push(`an answer with the id of another: ${text.slice(0, 200)}`)
      else if (reason === undefined) client.acknowledge(cu ?? 0)
      this.note(reason ?? 'ok')
    }
  }

  private note(outcome: string): void {
    this.outcomes.set(outcome, this.count(outcome) + 1)
  }
}

let nextId = 1

/** A call, or one time in ten a batch of five. */
function frameOf(client: LoadClient): { text: string; prices: ReadonlyMap<number, number> } {
  const prices = new Map<number, number>()
  const calls = Array.from({ length: Math.random() < 0.1 ? 5 : 1 }, () => {
    const [method, cu] = PRICES[Math.floor(Math.random() * PRICES.length)]!
    prices.set(nextId, cu)
    client.attempted += cu
    return `{"jsonrpc":"2.0","id":${nextId++},"method":"${method}","params":["${client.username}"]}`
  })
  return { text: calls.length === 1 ? calls[0]! : `[${calls.join(',')}]`, prices }
}

/** CU per consumer in all cycles, as the database of a gateway has it. Throws when the database is not sound. */
export function recordedUsage(dataDir: string): Map<string, number> {
  const db = new DatabaseSync(join(dataDir, 'usage.sqlite'), { readOnly: true })
  try {
    const [sound] = db.prepare('PRAGMA integrity_check').all() as { integrity_check: string }[]
    if (sound?.integrity_check !== 'ok') throw new Error(`the database is not sound: ${sound?.integrity_check}`)
    const rows = db.prepare('SELECT key, SUM(used) AS used FROM usage GROUP BY key').all() as { key: string; used: number }[]
    return new Map(rows.map(({ key, used }) => [key, used]))
  } finally {
    db.close()
  }
}
