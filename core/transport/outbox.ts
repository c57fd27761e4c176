/**
 * What goes down one WebSocket, in order and bounded. Answers and notifications share the socket; what a slow reader
 * leaves unread is bounded by closing the socket, or by dropping the oldest notifications, as the operator chose.
 */
import type { WebSocket } from 'ws'
import type { Document } from '../jsonrpc/encode.ts'
import type { Room } from '../pipeline/ports.ts'
import type { WebSocketSettings } from '../plugin/define.ts'

/** Notifications wait here rather than in the socket once the socket holds this much: what the socket holds cannot be dropped. */
const KEEP_IN_SOCKET_BYTES = 262_144

type Held = readonly [message: Document, bytes: number]

export class Outbox {
  private readonly socket: WebSocket
  private readonly settings: WebSocketSettings
  private readonly room: Room
  private readonly tooSlow: () => void
  private held: Held[] = []
  private heldBytes = 0
  /** What of all that waits is counted in the room. */
  private countedBytes = 0
  private isCorked = false
  private readonly writeTimeoutMs: number
  /** Runs while something waits. */
  private watch: NodeJS.Timeout | undefined
  /** Something has left since the watch began. */
  private hasMoved = false

  /** `tooSlow` is called when too much waits, and when none of what waits has left for `writeTimeoutMs`, at the latest after twice that. */
  constructor(socket: WebSocket, settings: WebSocketSettings, writeTimeoutMs: number, room: Room, tooSlow: () => void) {
    this.socket = socket
    this.writeTimeoutMs = writeTimeoutMs
    this.room = room
    this.settings = settings
    this.tooSlow = tooSlow
  }

  /** Sends an answer. Answers are never dropped. */
  answer(document: Document): void {
    this.send(document)
    if (this.count() > this.settings.maxBufferedBytes) this.tooSlow()
  }

  /** The socket has closed: nothing waits any more. */
  close(): void {
    clearTimeout(this.watch)
    this.room.heldBytes.value -= this.countedBytes
    this.countedBytes = 0
  }

  /** Counts what waits, in the socket and before it. */
  private count(): number {
    const bytes = this.socket.bufferedAmount + this.heldBytes
    this.room.heldBytes.value += bytes - this.countedBytes
    this.countedBytes = bytes
    if (bytes > 0 && this.watch === undefined) this.beginWatch()
    return bytes
  }

  /** One timer for as long as something waits, rather than one for each message. */
  private beginWatch(): void {
    this.hasMoved = false
    this.watch = setTimeout(() => {
      this.watch = undefined
      if (this.countedBytes === 0) return
      if (this.hasMoved) this.beginWatch()
      else this.tooSlow()
    }, this.writeTimeoutMs).unref()
  }

  /** Sends a notification; answers how many had to be dropped for it. */
  notification(message: Document, bytes: number): number {
    if (this.held.length === 0 && this.socket.bufferedAmount <= KEEP_IN_SOCKET_BYTES) {
      this.send(message)
      this.count()
      return 0
    }
    this.held.push([message, bytes])
    this.heldBytes += bytes
    if (this.count() <= this.settings.maxBufferedBytes) return 0
    if (this.settings.slowConsumer === 'drop-oldest') return this.dropOldest()
    this.tooSlow()
    return 0
  }

  private dropOldest(): number {
    let dropped = 0
    while (this.held.length > 1 && this.socket.bufferedAmount + this.heldBytes > this.settings.maxBufferedBytes) {
      this.heldBytes -= this.held.shift()![1]
      dropped++
    }
    this.count()
    return dropped
  }

  /** Sends what waits, as far as the socket has room. */
  private flush(): void {
    let sent = 0
    while (sent < this.held.length && this.socket.bufferedAmount <= KEEP_IN_SOCKET_BYTES) {
      const [message, bytes] = this.held[sent++]!
      this.heldBytes -= bytes
      this.send(message)
    }
    if (sent > 0) this.held.splice(0, sent)
  }

  private send(document: Document): void {
    this.cork()
    if (typeof document === 'string') {
      this.socket.send(Buffer.from(document, 'latin1'), TEXT, this.written)
      return
    }
    const last = document.length - 1
    for (const [at, piece] of document.entries()) {
      const bytes = typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece
      this.socket.send(bytes, { binary: false, fin: at === last }, at === last ? this.written : undefined)
    }
  }

  private readonly written = (): void => {
    this.hasMoved = true
    if (this.held.length > 0) this.flush()
    if (this.countedBytes > 0) this.count()
  }

  /** All that is sent in one tick goes out in one system call. */
  private cork(): void {
    if (this.isCorked) return
    // @ts-expect-error -- ws keeps its socket to itself; without it every message is a system call of its own
    const socket = this.socket._socket as { cork(): void; uncork(): void } | undefined
    if (socket === undefined) return
    this.isCorked = true
    socket.cork()
    setImmediate(() => {
      this.isCorked = false
      socket.uncork()
    })
  }
}

const TEXT = { binary: false }
