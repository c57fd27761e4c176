/**
 * The connections to one origin: kept alive, the one that was used last before all others, as many as are needed up to a
 * bound. Requests that find none free wait in line.
 */
import { afterTurn } from '../../plugin/after-turn.ts'
import { CONNECT_TIMEOUT } from '../connector.ts'
import { Connection } from './connection.ts'
import type { Connect } from '../connector.ts'
import type { ConnectionOwner, ResponseReader } from './connection.ts'

/** Idle connections are looked through this often; one that has been idle for too long is not used in any case. */
const SWEEP_MS = 1000
/** A node that says how long it keeps an idle connection is believed but for this: a request may be on its way. */
const MARGIN_MS = 1000
/** A connection that was idle for longer may have been ended by the node without our having heard of it yet. */
const TRUSTED_MS = 1

/** Why a request has no connection. */
export type NoConnection = 'connect-failed' | 'connect-timeout' | 'connection-lost'

/** A request that wants a connection. */
export interface Applicant extends ResponseReader {
  /** Whether it may be sent again, should the connection be lost. */
  readonly mayRepeat: boolean
  /** There is a connection: sends the request on it, or answers false when nobody wants it any more. In monotonic milliseconds it is `nowMs`. */
  connected(connection: Connection, nowMs: number): boolean
  /** No connection could be made. */
  unconnected(why: NoConnection, code: string | undefined): void
}

export interface OriginOptions {
  readonly connect: Connect
  readonly maxConnections: number
  /** An idle connection is kept for so long. */
  readonly keepAliveMs: number
  readonly monotonicMs: () => number
}

export class Origin implements ConnectionOwner {
  private readonly options: OriginOptions
  private readonly connections = new Set<Connection>()
  /** The one that was used last at the end. */
  private idle: Connection[] = []
  private waiting: Applicant[] = []
  private connecting = 0
  private sweeper: NodeJS.Timeout | undefined
  private isClosing = false
  private isDestroyed = false

  /** Opens no connection. */
  constructor(options: OriginOptions) {
    this.options = options
  }

  /** Finds a connection for a request, possibly at once. In monotonic milliseconds it is `nowMs`. */
  apply(applicant: Applicant, nowMs: number): void {
    const connection = this.idle.pop()
    if (connection === undefined) return this.wait(applicant)
    if (applicant.mayRepeat && nowMs - connection.idleSinceMs <= TRUSTED_MS) this.give(connection, nowMs, applicant)
    else onceRead(() => this.give(connection, this.options.monotonicMs(), applicant))
  }

  /** Ends each connection once nothing runs on it. */
  close(): void {
    this.isClosing = true
    this.cutIdle(() => true)
  }

  /** Ends all connections; what runs on them fails. */
  destroy(): void {
    this.isClosing = this.isDestroyed = true
    clearInterval(this.sweeper)
    for (const applicant of this.waiting.splice(0)) applicant.unconnected('connection-lost', undefined)
    this.idle = []
    for (const connection of this.connections) connection.abort()
  }

  freed(connection: Connection, nowMs: number): void {
    let next: Applicant | undefined
    while ((next = this.waiting.shift()) !== undefined) if (next.connected(connection, nowMs)) return
    if (this.isClosing) return connection.cut()
    connection.idleSinceMs = nowMs
    this.idle.push(connection)
    this.sweeper ??= setInterval(() => this.sweep(), SWEEP_MS).unref()
  }

  lost(connection: Connection): void {
    this.connections.delete(connection)
    if (this.waiting.length > this.connecting) this.connectOneMore()
  }

  private give(connection: Connection, nowMs: number, applicant: Applicant): void {
    const isStale = !this.mayIdle(connection, nowMs - connection.idleSinceMs)
    if (isStale) connection.cut()
    if (isStale || !connection.isUsable) this.apply(applicant, nowMs)
    else if (!applicant.connected(connection, nowMs)) this.freed(connection, nowMs)
  }

  private wait(applicant: Applicant): void {
    if (this.isDestroyed) return applicant.unconnected('connection-lost', undefined)
    this.waiting.push(applicant)
    if (this.connecting < this.waiting.length) this.connectOneMore()
  }

  private connectOneMore(): void {
    const { connect, maxConnections } = this.options
    if (this.connections.size + this.connecting >= maxConnections) return
    this.connecting++
    let connection: Connection | undefined
    connect(
      (error, socket) => {
        this.connecting--
        if (error !== undefined) return this.notConnected(error)
        connection = new Connection(socket, this)
        this.connections.add(connection)
        this.freed(connection, this.options.monotonicMs())
      },
      (bytes) => connection?.received(bytes, this.options.monotonicMs()),
    )
  }

  private notConnected(error: NodeJS.ErrnoException): void {
    const { code } = error
    this.waiting.shift()?.unconnected(code === CONNECT_TIMEOUT || code === 'ETIMEDOUT' ? 'connect-timeout' : 'connect-failed', code)
    if (this.waiting.length > this.connecting) this.connectOneMore()
  }

  private mayIdle({ keptMs }: Connection, idleMs: number): boolean {
    return idleMs < this.options.keepAliveMs && (keptMs === undefined || idleMs < keptMs - MARGIN_MS)
  }

  private sweep(): void {
    const now = this.options.monotonicMs()
    this.cutIdle((connection) => !this.mayIdle(connection, now - connection.idleSinceMs))
    if (this.idle.length > 0) return
    clearInterval(this.sweeper)
    this.sweeper = undefined
  }

  private cutIdle(test: (connection: Connection) => boolean): void {
    const ending = this.idle.filter(test)
    this.idle = this.idle.filter((connection) => !ending.includes(connection))
    for (const connection of ending) connection.cut()
  }
}

/** Runs `then` once all sockets have been read: the first of the two turns may be the end of one that had read them before. */
function onceRead(then: () => void): void {
  afterTurn(() => afterTurn(then))
}
